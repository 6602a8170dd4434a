//! Small trees of files to read back.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each test file uses a part; tests make their own files"
)]

use segad_core::{Image, Sample};
use segad_datasets::Manifest;
use std::path::Path;

/// Makes files without content; layouts do not look inside.
pub(crate) fn touch<'a>(root: &Path, paths: impl IntoIterator<Item = &'a str>) {
    for path in paths {
        put(root, path, b"");
    }
}

/// Makes one file.
pub(crate) fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A real, tiny image.
pub(crate) fn png(grey: u8) -> Vec<u8> {
    segad_imaging::encode_png(&Image::from_grey(2, 3, &[grey; 6]).unwrap()).unwrap()
}

/// `prefix000.png`, `prefix001.png`, …
pub(crate) fn numbered(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i:03}.png")).collect()
}

pub(crate) fn ids(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|s| s.id.as_str()).collect()
}

pub(crate) fn manifest(text: &str) -> Manifest {
    Manifest::parse("test.toml", text).unwrap()
}

/// VAD with 8 + 6 training images, 4 + 3 + 2 test images and two low-shot lists of 2.
pub(crate) const SMALL_VAD: &str = "
schema = 1
name = 'vad'
title = 'Small VAD'
layout = 'vad'
seeds = { vad = [333, 576] }
low_shot = { lists = 2, images = 2, seeds = 'vad' }
group = [
  { name = 'good', label = 'good' },
  { name = 'bad', label = 'bad' },
  { name = 'bad_unseen', label = 'bad', folder = 'bad_unseen_defects' },
]
[[class]]
name = 'vad'
train = { good = 8, bad = 6 }
test = { good = 4, bad = 3, bad_unseen = 2 }
";

/// The files of [`SMALL_VAD`] below `vad/`.
pub(crate) fn small_vad(root: &Path) {
    let parts = [
        ("train/good/", 8),
        ("train/bad/", 6),
        ("test/good/", 4),
        ("test/bad/", 3),
    ];
    for (prefix, n) in parts {
        touch(
            &root.join("vad"),
            numbered(prefix, n).iter().map(String::as_str),
        );
    }
    touch(
        &root.join("vad"),
        [
            "test/bad_unseen_defects/100.png",
            "test/bad_unseen_defects/101.png",
        ],
    );
    let lists = br#"{"z_first": ["005.png", "001.png"], "a_second": ["000.png", "003.png"]}"#;
    put(&root.join("vad"), "low_shot_train.json", lists);
}
