//! Every file of a product is accounted for.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail by panicking and make their own files"
)]

mod common;

use common::{png, put, touch};
use segad_core::Image;
use segad_datasets::{Dataset, Gathered, Layout, Manifest};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn gather(layout: Layout, root: &Path) -> Gathered {
    let dataset = Dataset::open(Manifest::plain("cups", layout), root).unwrap();
    dataset.gather().unwrap()
}

fn ids(gathered: &Gathered) -> Vec<&str> {
    let entries = gathered.index.entries().iter();
    entries.map(|e| e.id.as_str()).collect()
}

/// A photograph, or black and white, of this size.
fn picture(height: usize, width: usize, values: [u8; 2]) -> Vec<u8> {
    let grey: Vec<u8> = (0..height * width).map(|i| values[i % 2]).collect();
    segad_imaging::encode_png(&Image::from_grey(height, width, &grey).unwrap()).unwrap()
}

#[test]
fn masks_are_told_from_images() {
    let root = tempfile::tempdir().unwrap();
    let photo = picture(4, 4, [90, 110]);
    let mask = picture(4, 4, [0, 255]);
    let small = picture(2, 2, [0, 255]);
    for (path, content) in [
        ("good/a.png", &photo),
        // Beside an image, by name; what they contain is not looked at.
        ("bad/scratch/b.png", &photo),
        ("bad/scratch/b_mask.png", &photo),
        ("bad/scratch/b_MASK.jpg", &photo),
        // By content and name together.
        ("bad/c.jpg", &photo),
        ("bad/c.png", &mask),
        ("bad/c-label.png", &mask),
        // No masks: of another size, not black and white, beside no image, beside another such.
        ("bad/c.2.png", &small),
        ("bad/c_3.png", &photo),
        ("bad/d.png", &mask),
        ("bad/e.png", &mask),
        ("bad/e_1.png", &mask),
        ("bad/gas_mask.png", &photo),
        ("bad/f_mask.png", &mask),
        ("bad/dent/ground_truth/7.png", &photo),
        ("ground_truth/scratch/b.png", &mask),
    ] {
        put(root.path(), path, content);
    }
    let gathered = gather(Layout::GoodBad, root.path());
    let images = [
        "bad/c.2.png",
        "bad/c.jpg",
        "bad/c_3.png",
        "bad/d.png",
        "bad/e.png",
        "bad/e_1.png",
        "bad/gas_mask.png",
        "bad/scratch/b.png",
        "good/a.png",
    ];
    assert_eq!(ids(&gathered), images);
    let masks = [
        "bad/c-label.png",
        "bad/c.png",
        "bad/dent/ground_truth/7.png",
        "bad/f_mask.png",
        "bad/scratch/b_MASK.jpg",
        "bad/scratch/b_mask.png",
        "ground_truth",
    ];
    assert_eq!(gathered.left_out.masks, masks);
    assert!(gathered.refused.is_empty() && gathered.left_out.outside.is_empty());
}

#[test]
fn what_cannot_be_used_has_a_reason() {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        [
            "train/good/1.png",
            "train/odd/2.png",
            "test/hole/deep/3.png",
            "test/loose.png",
            "notes.txt",
        ],
    );
    touch(
        root.path(),
        [
            "test/hole/back\\slash.png",
            "test/.hidden/4.png",
            "test/hole/._3.png",
        ],
    );
    let odd = root
        .path()
        .join("train/good")
        .join(OsStr::from_bytes(b"caf\xe9.png"));
    std::fs::write(odd, png(1)).unwrap();
    std::os::unix::fs::symlink("..", root.path().join("test/hole/up")).unwrap();
    let gathered = gather(Layout::Mvtec, root.path());
    // What is behind the link is listed once.
    assert_eq!(
        ids(&gathered),
        [
            "test/hole/deep/3.png",
            "test/hole/up/loose.png",
            "train/good/1.png"
        ]
    );
    let refused: Vec<(&str, &str)> = gathered
        .refused
        .iter()
        .map(|(path, why)| (path.as_str(), why.as_str()))
        .collect();
    let neither = "neither in a folder of good nor of bad images";
    assert_eq!(
        refused,
        [
            (
                "test/hole/back\\slash.png",
                "a back-slash in its name; rename it"
            ),
            ("test/loose.png", neither),
            (
                "train/good/caf\u{fffd}.png",
                "its name is not UTF-8; rename it"
            ),
            ("train/odd/", neither),
        ]
    );
    assert_eq!(gathered.left_out.outside, ["notes.txt"]);
}

#[test]
fn lists_name_what_is_meant() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "x/2024-05-01T12:30:00.png", &png(1));
    put(root.path(), "x/2024-05-01T12:30:00_mask.png", &png(1));
    let list = "path,label\nx/2024-05-01T12:30:00.png,good\nx/2024-05-01T12:30:00_mask.png,bad\nx/gone.png,bad\n";
    put(root.path(), "list.csv", list.as_bytes());
    let gathered = gather(Layout::Csv, &root.path().join("list.csv"));
    assert_eq!(ids(&gathered).len(), 2);
    let gone = (
        "x/gone.png".to_owned(),
        "listed, but there is no such file".to_owned(),
    );
    assert_eq!(gathered.refused, [gone]);
}
