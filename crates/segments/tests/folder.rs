//! Label files: what is read, and what is refused by name.

use segad_core::{Image, ImageId, LabelMap, SegmentSource as _};
use segad_imaging::{encode_labels_png, encode_png, npy};
use segad_segments::{Folder, FolderParams, SegmentsError as E, SegmentsSpec, open};
use std::path::Path;
use tempfile::TempDir;

#[expect(clippy::disallowed_methods, reason = "tests make their files")]
fn put(dir: &TempDir, name: &str, bytes: &[u8]) {
    let path = dir.path().join(name);
    let made = path.parent().map(std::fs::create_dir_all);
    assert!(made.is_some_and(|m| m.is_ok()) && std::fs::write(path, bytes).is_ok());
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn params(extra: &str) -> FolderParams {
    let text = format!("path = 'maps'\nsegments = ['a', 'b', 'c']\n{extra}");
    toml::from_str(&text).unwrap()
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn folder(dir: &TempDir, extra: &str) -> Folder {
    Folder::new(params(extra), dir.path(), 2, 3).unwrap()
}

const LABELS: [u8; 6] = [0, 1, 2, 2, 1, 0];

fn read(source: &Folder, id: &str) -> Result<LabelMap, E> {
    let image = Image::from_grey(1, 1, &[0])?;
    source.label_map(&ImageId::new(id), &image)
}

#[test]
fn npy_and_png_are_read_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let map = LabelMap::new(2, 3, LABELS.to_vec(), 3).unwrap();
    put(
        &dir,
        "maps/train/good/1.npy",
        &npy::write_u8(&[2, 3], &LABELS).unwrap(),
    );
    put(
        &dir,
        "maps/train/good/2.png",
        &encode_labels_png(&map).unwrap(),
    );
    put(
        &dir,
        "maps/train/good/3.npy",
        &npy::write_f32(&[2, 3], &LABELS.map(f32::from)).unwrap(),
    );
    let grey = Image::from_grey(2, 3, &LABELS).unwrap();
    put(&dir, "maps/train/good/4.png", &encode_png(&grey).unwrap());
    let source = folder(&dir, "");
    for n in 1..5 {
        assert_eq!(
            read(&source, &format!("train/good/{n}.jpg")).unwrap(),
            map,
            "{n}"
        );
    }
    let ids: Vec<ImageId> = ["train/good/1.jpg", "train/good/2.jpg"]
        .map(ImageId::new)
        .to_vec();
    let spec: SegmentsSpec = serde_json::from_value(serde_json::json!({
        "kind": "folder", "path": "maps", "segments": ["a", "b", "c"]
    }))
    .unwrap();
    let opened = open(&spec, dir.path(), 2, 3).unwrap();
    let before = opened.digest(&ids).unwrap();
    assert_ne!(before, opened.digest(&ids[..1]).unwrap());
    put(
        &dir,
        "maps/train/good/1.npy",
        &npy::write_u8(&[2, 3], &[1; 6]).unwrap(),
    );
    assert_ne!(before, opened.digest(&ids).unwrap());
}

#[test]
fn the_authors_layout() {
    let dir = tempfile::tempdir().unwrap();
    put(
        &dir,
        "maps/good/007.npy",
        &npy::write_u8(&[2, 3], &LABELS).unwrap(),
    );
    let source = folder(
        &dir,
        "file = '{folder}/{stem}'\nrename = { Normal = 'good' }",
    );
    for id in ["train/good/007.png", "Data/Images/Normal/007.JPG"] {
        assert_eq!(read(&source, id).unwrap().labels(), LABELS);
    }
    assert!(matches!(
        read(&source, "test/bad/007.png"),
        Err(E::Missing { .. })
    ));
}

#[test]
fn resizing_is_asked_for_and_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..24).map(|i| LABELS[i / 12 * 3 + i % 6 / 2]).collect();
    put(&dir, "maps/1.npy", &npy::write_u8(&[4, 6], &big).unwrap());
    let message = read(&folder(&dir, ""), "1.png").unwrap_err().to_string();
    assert!(
        message.contains("1.npy: 4×6 labels; expected 2×3"),
        "{message}"
    );
    assert_eq!(
        read(&folder(&dir, "resize = true"), "1.png")
            .unwrap()
            .labels(),
        LABELS
    );
}

#[test]
fn refusals_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let sample = npy::write_u8(&[2, 3], &LABELS).unwrap();
    let whole = Image::from_rgb(1, 1, vec![1, 2, 3]).unwrap();
    put(&dir, "maps/both.npy", &sample);
    put(&dir, "maps/both.png", b"x");
    put(&dir, "maps/cut.npy", &sample[..sample.len() - 1]);
    put(&dir, "maps/nothing.npy", b"");
    put(
        &dir,
        "maps/high.npy",
        &npy::write_u8(&[2, 3], &[0, 1, 2, 2, 3, 0]).unwrap(),
    );
    put(
        &dir,
        "maps/half.npy",
        &npy::write_f32(&[2, 3], &[0.0, 1.0, 0.5, 0.0, 0.0, 0.0]).unwrap(),
    );
    put(
        &dir,
        "maps/minus.npy",
        &npy::write_f32(&[2, 3], &[0.0, 1.0, 2.0, -1.0, 0.0, 0.0]).unwrap(),
    );
    put(
        &dir,
        "maps/flat.npy",
        &npy::write_u8(&[2, 3], &[0; 6]).unwrap(),
    );
    put(&dir, "maps/none.npy", &npy::write_u8(&[0, 3], &[]).unwrap());
    put(
        &dir,
        "maps/line.npy",
        &npy::write_u8(&[6], &LABELS).unwrap(),
    );
    put(&dir, "maps/rgb.png", &encode_png(&whole).unwrap());
    let source = folder(&dir, "");
    for (name, text) in [
        ("both", "both"),
        ("absent", "no label map; expected"),
        ("cut", "truncated npy"),
        ("nothing", "empty"),
        ("high", "label 3 at row 1, column 1; labels run from 0 to 2"),
        ("half", "0.5 at row 0, column 2"),
        ("minus", "label -1 at row 1, column 0"),
        ("flat", "empty map"),
        ("none", "empty map"),
        ("line", "shape [6]"),
        ("rgb", "RGB PNG"),
    ] {
        let message = read(&source, &format!("{name}.png"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(text) && message.contains(name),
            "{message}"
        );
    }
    assert_eq!(
        read(&folder(&dir, "allow_empty = true"), "flat.png")
            .unwrap()
            .areas(),
        [6, 0, 0]
    );
}

#[test]
fn settings_are_checked() {
    let check = |extra: &str| {
        Folder::new(params(extra), Path::new(""), 2, 3)
            .unwrap_err()
            .to_string()
    };
    assert!(check("file = '{name}'").contains("{stem}"));
    assert!(check("file = 'fixed'").contains("fixed"));
    let error =
        toml::from_str::<FolderParams>("path = 'm'\nsegments = ['a']\nresise = true").unwrap_err();
    assert!(error.to_string().contains("resise"), "{error}");
}
