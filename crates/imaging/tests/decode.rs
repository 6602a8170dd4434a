//! Decoding against Pillow, and every refusal.

#![allow(clippy::disallowed_methods, reason = "tests make their own files")]

mod common;

use common::{array, bytes, fixture};
use proptest::prelude::*;
use segad_core::{Image, LabelMap};
use segad_imaging::{
    ImagingError as E, Limits, Recognised, decode, decode_labels, decode_with, encode_labels_png,
    encode_png, open, recognise,
};

#[test]
fn png_kinds_are_pillows() {
    for (file, expected) in [
        ("rgb.png", "rgb.npy"),
        ("opaque.png", "rgb.npy"),
        ("palette.png", "palette_rgb.npy"),
    ] {
        assert_eq!(
            open(&fixture(file)).unwrap().rgb(),
            array(expected),
            "{file}"
        );
    }
    for (file, expected) in [("grey.png", "grey.npy"), ("bilevel.png", "bilevel.npy")] {
        let grey: Vec<u8> = array(expected)
            .into_iter()
            .flat_map(|v| [v, v, v])
            .collect();
        assert_eq!(open(&fixture(file)).unwrap().rgb(), grey, "{file}");
    }
}

#[test]
fn jpeg_is_pillows_but_for_rounding() {
    for name in ["photo", "photo_444", "photo_progressive", "photo_grey"] {
        let image = open(&fixture(&format!("{name}.jpg"))).unwrap();
        assert_eq!((image.height(), image.width()), (40, 48));
        let step = if name == "photo_grey" { 3 } else { 1 };
        let ours: Vec<u8> = image.rgb().iter().step_by(step).copied().collect();
        let theirs = array(&format!("{name}.npy"));
        assert_eq!(ours.len(), theirs.len());
        let off: Vec<u8> = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| a.abs_diff(*b))
            .collect();
        let mean = off.iter().map(|&d| f64::from(d)).sum::<f64>() / off.len() as f64;
        assert!(
            off.iter().all(|&d| d <= 3) && mean < 0.5,
            "{name}: mean {mean}, worst {:?}",
            off.iter().max()
        );
    }
}

#[test]
fn refusals_name_the_file_and_the_reason() {
    type Case = (&'static str, fn(&E) -> bool, &'static str);
    let cases: [Case; 8] = [
        (
            "sixteen.png",
            |e| matches!(e, E::Depth { bits: 16, .. }),
            "16 bits",
        ),
        (
            "transparent.png",
            |e| {
                matches!(
                    e,
                    E::Transparent {
                        row: 3,
                        column: 5,
                        alpha: 128,
                        ..
                    }
                )
            },
            "row 3, column 5",
        ),
        (
            "animated.png",
            |e| matches!(e, E::Animated("PNG")),
            "animated",
        ),
        ("cmyk.jpg", |e| matches!(e, E::Inexact(_)), "CMYK"),
        (
            "absurd.png",
            |e| matches!(e, E::TooLarge { height: 60000, .. }),
            "60000×60000",
        ),
        ("other.gif", |e| matches!(e, E::OtherFormat("GIF")), "GIF"),
        ("make.py", |e| matches!(e, E::NotAnImage(_)), "not an image"),
        (
            "missing.png",
            |e| matches!(e, E::File { .. }),
            "cannot be read",
        ),
    ];
    for (file, kind, text) in cases {
        let error = open(&fixture(file)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(file) && message.contains(text),
            "{message}"
        );
        if let Err(bare) = decode(&segad_imaging::read_file(&fixture(file)).unwrap_or_default())
            && file != "missing.png"
        {
            assert!(kind(&bare), "{file}: {bare:?}");
        }
    }
    assert!(matches!(decode(&[]), Err(E::ZeroBytes)));
    let limit = Limits { pixels: 191 };
    assert!(matches!(
        decode_with(&bytes("rgb.png"), limit),
        Err(E::TooLarge { limit: 191, .. })
    ));
    assert!(decode_with(&bytes("rgb.png"), Limits { pixels: 192 }).is_ok());
}

#[test]
fn files_are_recognised_by_their_first_bytes() {
    for (file, expected) in [
        ("rgb.png", Recognised::Readable("PNG")),
        ("photo.jpg", Recognised::Readable("JPEG")),
        ("other.gif", Recognised::Unsupported("GIF")),
        ("other.bmp", Recognised::Readable("BMP")),
        ("other.tiff", Recognised::Readable("TIFF")),
        ("other.webp", Recognised::Readable("WebP")),
        ("make.py", Recognised::Unknown),
    ] {
        let head = &bytes(file)[..Recognised::HEAD];
        assert_eq!(recognise(head), expected, "{file}");
    }
    assert_eq!(recognise(b""), Recognised::Unknown);
    assert_eq!(recognise(b"\x89PN"), Recognised::Unknown);
}

#[test]
fn no_file_holds_up_or_fills_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let sparse = |name: &str, head: &[u8], size: u64| {
        let path = dir.path().join(name);
        std::fs::write(&path, head).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        path
    };
    // Terabytes of nothing: were they read, this test would not end.
    let zeros = sparse("zeros.png", b"", 1 << 42);
    assert!(
        open(&zeros)
            .unwrap_err()
            .to_string()
            .contains("not an image")
    );
    let signature = sparse("head.png", &bytes("rgb.png"), 1 << 42);
    let message = open(&signature).unwrap_err().to_string();
    assert!(message.contains("expected at most 268435456"), "{message}");
    let pipe = dir.path().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let endless = dir.path().join("endless.png");
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    for (path, what) in [(&pipe, "a pipe"), (&endless, "a device")] {
        let message = open(path).unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn every_cut_is_noticed() {
    for file in [
        "rgb.png",
        "palette.png",
        "photo.jpg",
        "photo_progressive.jpg",
        "photo_grey.jpg",
    ] {
        let whole = bytes(file);
        // The last bytes of a PNG are the check sum of an empty chunk; without them nothing is
        // lost.
        let end = if file.ends_with("png") {
            whole.len() - 8
        } else {
            whole.len()
        };
        for n in 1..end {
            let error = decode(&whole[..n]).unwrap_err();
            assert!(
                matches!(error, E::Truncated { .. } | E::NotAnImage(_)),
                "{file} cut to {n}: {error}"
            );
        }
    }
}

#[test]
fn labels_are_indices_or_grey_values() {
    let raw = decode_labels(&bytes("palette.png")).unwrap();
    assert_eq!((raw.height, raw.width), (12, 16));
    assert_eq!(raw.labels, array("palette_index.npy"));
    assert_eq!(
        decode_labels(&bytes("grey.png")).unwrap().labels,
        array("grey.npy")
    );
    for file in ["rgb.png", "opaque.png", "photo.jpg"] {
        assert!(
            matches!(decode_labels(&bytes(file)), Err(E::NotLabels(_))),
            "{file}"
        );
    }
    assert!(matches!(
        decode_labels(&bytes("bilevel.png")),
        Err(E::Depth { bits: 1, .. })
    ));
    assert!(matches!(
        decode_labels(&bytes("sixteen.png")),
        Err(E::Depth { bits: 16, .. })
    ));
}

#[test]
fn what_is_written_reads_back() {
    let rgb = open(&fixture("rgb.png")).unwrap();
    let grey = Image::from_grey(2, 3, &[0, 1, 2, 200, 254, 255]).unwrap();
    for image in [rgb, grey] {
        assert_eq!(decode(&encode_png(&image).unwrap()).unwrap(), image);
    }
    let map = LabelMap::new(2, 3, vec![0, 1, 2, 17, 1, 0], 18).unwrap();
    assert_eq!(
        decode_labels(&encode_labels_png(&map).unwrap())
            .unwrap()
            .labels,
        map.labels()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn damage_never_panics(
        file in prop::sample::select(vec![
            "rgb.png", "palette.png", "bilevel.png", "opaque.png", "animated.png", "photo.jpg", "photo_progressive.jpg",
            "photo_grey.jpg", "photo_444.jpg", "cmyk.jpg",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut data = bytes(file);
        for (at, value) in edits {
            let i = at.index(data.len());
            data[i] = value;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        // A damaged file decodes to something or gives an error that prints; a panic would fail the
        // test.
        if let Err(error) = decode_with(&data, Limits { pixels: 1 << 20 }) {
            prop_assert!(!error.to_string().is_empty());
        }
        if let Err(error) = decode_labels(&data) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
