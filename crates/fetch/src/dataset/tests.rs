//! Archives of the miniature sets, from a server on this machine.
#![allow(clippy::disallowed_methods, reason = "tests lay out files")]

#[path = "../../../provision/tests/common/server.rs"]
mod server;

use std::io::{Cursor, Write};

use segad_provision::{digest, exit};
use server::{Behave, Server};

use super::*;
use crate::tests::provisioner;

/// Small miniature sets.
fn sets(dir: &Path) -> PathBuf {
    let sets = dir.join("sets");
    let params = segad_miniature::Params {
        size: 32,
        ..Default::default()
    };
    segad_miniature::write(&sets, &params, &NoProgress).unwrap();
    sets
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files_of(from) {
        let place = to.join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
}

fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for item in std::fs::read_dir(&next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, segad_files::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A tar archive of a folder's files.
fn tar(folder: &Path, top: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files_of(folder) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{top}{name}"), bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes a zip archive of a folder's files.
pub(crate) fn zip(folder: &Path, top: &str, to: &Path) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files_of(folder) {
        zip.start_file(
            format!("{top}/{name}"),
            zip::write::SimpleFileOptions::default(),
        )
        .unwrap();
        zip.write_all(&bytes).unwrap();
    }
    segad_files::write_with_parents(to, zip.finish().unwrap().get_ref()).unwrap();
}

/// A miniature's manifest under the data set's name, with one source behind `url`.
fn manifest(sets: &Path, name: &str, file: &str, url: &str, bytes: &[u8]) -> Manifest {
    let mut manifest = Manifest::read(&sets.join(format!("{name}.toml"))).unwrap();
    let shipped = Manifest::shipped(name).unwrap();
    name.clone_into(&mut manifest.name);
    manifest.sources = shipped.sources;
    let source = &mut manifest.sources[0];
    (source.url, source.sha256) = (Some(url.to_owned()), Some(digest::sha256(bytes)));
    file.clone_into(&mut source.file);
    manifest
}

/// Serves an archive and fetches it.
fn fetched(
    p: &Provisioner<'_>,
    sets: &Path,
    (name, file): (&str, &str),
    bytes: &[u8],
    behaviour: Vec<Behave>,
) -> (Result<PathBuf, FetchError>, Server, Manifest) {
    let server = Server::start(bytes.to_vec(), behaviour);
    let manifest = manifest(sets, name, file, &server.url(file), bytes);
    (provide_as(p, manifest.clone(), None), server, manifest)
}

#[test]
fn each_data_set_comes_out_of_its_kind_of_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (p, sets) = (provisioner(dir.path(), false), sets(dir.path()));
    zip(&sets.join("vad"), "vad", &dir.path().join("VAD.zip"));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar(&sets.join("mvtec"), "./")).unwrap();
    for (name, file, bytes) in [
        (
            "vad",
            "VAD.zip",
            segad_files::read(&dir.path().join("VAD.zip")).unwrap(),
        ),
        ("visa", "VisA_20220922.tar", tar(&sets.join("visa"), "")),
        ("mvtec", "mvtec.tar.gz", gz.finish().unwrap()),
    ] {
        let broken = vec![Behave::BreakAfter(bytes.len() / 2), Behave::Well];
        let (place, server, manifest) = fetched(&p, &sets, (name, file), &bytes, broken);
        let place = place.unwrap();
        assert_eq!(place, p.cache.data(name));
        assert!(
            server.requests()[1].ends_with(&format!("from {}", bytes.len() / 2)),
            "{:?}",
            server.requests()
        );
        let dataset = Dataset::open(manifest.clone(), &place).unwrap();
        for class in dataset.classes() {
            let report = dataset.verify(class, &NoProgress).unwrap();
            assert!(report.is_ok(), "{name}: {report:?}");
        }
        assert!(
            !p.cache.download(file).exists(),
            "the archive is not needed any more"
        );
        // The second time nothing is asked for.
        provide_as(&p, manifest, None).unwrap();
        assert_eq!(server.requests().len(), 2);
    }
    // VisA was arranged: the images are the same, and masks lie beside them.
    let visa = p.cache.data("visa");
    let was = sets.join("visa/pcb2/Data/Images/Anomaly/003.JPG");
    assert_eq!(
        segad_files::read(&visa.join("pcb2/test/bad/003.JPG")).unwrap(),
        segad_files::read(&was).unwrap()
    );
    assert!(
        visa.join("pcb2/ground_truth/bad/003.png").is_file()
            && !visa.join("pcb2/Data/Images/Normal/000.JPG").exists()
    );
}

#[test]
fn where_to_get_it_by_hand_is_said_and_what_was_saved_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (p, sets) = (provisioner(dir.path(), false), sets(dir.path()));
    let p = &p;
    let file = p.cache.download("VAD.zip");
    let gone = fetched(
        p,
        &sets,
        ("vad", "VAD.zip"),
        b"x",
        vec![Behave::Status(403)],
    );
    let error = gone.0.unwrap_err();
    let text = error.to_string();
    for part in ["403", "drive.google.com", file.to_str().unwrap(), "--from"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.exit_code(), exit::INPUT);

    // A file without a published digest is looked into.
    let vad = dir.path().join("vad");
    copy(&sets.join("vad"), &vad);
    let image = vad.join("test/good/0041.png");
    let whole = segad_files::read(&image).unwrap();
    segad_files::write_with_parents(&image, &whole[..whole.len() / 2]).unwrap();
    zip(&vad, "vad", &file);
    let text = provide_as(p, gone.2.clone(), None).unwrap_err().to_string();
    assert!(
        text.contains("1 image(s) cannot be read, first test/good/0041.png"),
        "{text}"
    );
    assert!(
        !p.cache.data("vad").exists(),
        "nothing half-made is published"
    );
    segad_files::write_with_parents(&image, &whole).unwrap();
    let own = dir.path().join("mine.zip");
    zip(&vad, "anything", &own);
    let text = provide_as(p, gone.2.clone(), own.to_str())
        .unwrap_err()
        .to_string();
    assert!(text.contains("folder of layout vad"), "{text}");
    zip(&vad, "VAD", &own);
    let place = provide_as(p, gone.2, own.to_str()).unwrap();
    assert!(
        place.join("VAD/train/bad").is_dir() && own.exists(),
        "the user's file stays"
    );
}

#[test]
fn what_the_user_put_there_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (p, sets) = (provisioner(dir.path(), true), sets(dir.path()));
    let manifest = manifest(&sets, "visa", "v.tar", "http://127.0.0.1:1/v.tar", b"");
    let p = &p;
    copy(&sets.join("visa"), &p.cache.data("visa"));
    assert!(
        provide_as(p, manifest.clone(), None).is_ok(),
        "by hand is as good"
    );
    std::fs::remove_file(
        p.cache
            .data("visa")
            .join("candle/Data/Images/Normal/003.JPG"),
    )
    .unwrap();
    let text = provide_as(p, manifest.clone(), None)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("Normal/003.JPG") && text.contains("complete it"),
        "{text}"
    );
    // This program's own folder is brought anew, if it can be.
    segad_files::write_with_parents(&p.cache.data("visa").join(RECORD), b"{}").unwrap();
    let text = provide_as(p, manifest, None).unwrap_err().to_string();
    assert!(text.contains("offline"), "{text}");
}

/// Entries that a well-meant archive does not have.
#[test]
fn hostile_archives_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (p, sets) = (provisioner(dir.path(), false), sets(dir.path()));
    let raw = |name: &str, kind: tar::EntryType, link: &str| {
        let mut header = tar::Header::new_gnu();
        // The crate's own setters refuse such names.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(if kind.is_file() { 4 } else { 0 });
        header.set_cksum();
        let mut whole = tar(&sets.join("visa/split_csv"), "split_csv/");
        whole.truncate(whole.len() - 1024);
        let mut tar = tar::Builder::new(whole);
        tar.append(&header, if kind.is_file() { &b"evil"[..] } else { b"" })
            .unwrap();
        tar.into_inner().unwrap()
    };
    use tar::EntryType;
    for (bytes, message) in [
        (raw("../evil", EntryType::Regular, ""), "outside"),
        (raw("candle/../../evil", EntryType::Regular, ""), "outside"),
        (raw("/tmp/segad-evil", EntryType::Regular, ""), "outside"),
        (raw("link", EntryType::Symlink, "/etc/passwd"), "is a link"),
        (
            raw("hard", EntryType::Link, "split_csv/1cls.csv"),
            "is a link",
        ),
        (raw("pipe", EntryType::Fifo, ""), "is not a regular file"),
        (
            raw("split_csv/1cls.csv", EntryType::Regular, ""),
            "occurs twice",
        ),
    ] {
        let (place, ..) = fetched(&p, &sets, ("visa", "v.tar"), &bytes, vec![Behave::Well]);
        let error = place.unwrap_err();
        assert!(error.to_string().contains(message), "{message}: {error}");
        assert_eq!(error.exit_code(), exit::INPUT);
        let cache = &p.cache;
        assert!(!cache.data("visa").exists() && !cache.root().join("partial").exists());
        assert!(!cache.root().join("evil").exists() && !dir.path().join("evil").exists());
        std::fs::remove_file(cache.download("v.tar")).unwrap();
    }
    assert!(!Path::new("/tmp/segad-evil").exists());
}

#[test]
fn a_class_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (p, sets) = (provisioner(dir.path(), false), sets(dir.path()));
    let bytes = tar(
        &sets.join("mvtec/bottle"),
        "mvtec_anomaly_detection/bottle/",
    );
    let (place, ..) = fetched(&p, &sets, ("mvtec", "m.tar"), &bytes, vec![Behave::Well]);
    let text = place.unwrap_err().to_string();
    assert!(text.contains("class cable is missing"), "{text}");
}
