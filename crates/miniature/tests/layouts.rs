//! The sets are read as the real ones are, and repeat.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use common::sets;
use segad_core::{ImageLoader, Key, KeyHasher, NoProgress, Seed};
use segad_datasets::{Dataset, Manifest};
use segad_miniature::{DATASETS, MiniatureError, Params, provide, write};
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

fn digest(root: &Path) -> Key {
    let mut hasher = KeyHasher::new("tree", 1);
    for file in files(root) {
        let name = file
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        hasher
            .field("name", &name)
            .field("bytes", &Key::of_bytes(&std::fs::read(&file).unwrap()));
    }
    hasher.finish()
}

#[test]
fn every_class_is_whole() {
    let sets = sets();
    let sets = sets.path();
    for name in DATASETS {
        let manifest = Manifest::read(&sets.join(format!("{name}.toml"))).unwrap();
        let real = Manifest::shipped(name).unwrap();
        assert!(manifest.made_up && !real.made_up);
        assert_eq!(
            (&manifest.seeds, &manifest.groups, manifest.layout),
            (&real.seeds, &real.groups, real.layout)
        );
        let dataset = Dataset::open(manifest, &sets.join(name)).unwrap();
        let classes = |m: &Manifest| m.classes.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        assert_eq!(dataset.manifest().classes.len(), real.classes.len());
        assert_eq!(classes(dataset.manifest()), classes(&real));
        for class in dataset.classes() {
            let report = dataset.verify(class, &NoProgress).unwrap();
            assert!(report.is_ok() && report.images > 0, "{name}: {report:?}");
        }
    }
}

#[test]
fn masks_and_lists_belong_to_images() {
    let sets = sets();
    let sets = sets.path();
    for (image, mask) in [
        (
            "visa/pcb1/Data/Images/Anomaly/013.JPG",
            "visa/pcb1/Data/Masks/Anomaly/013.png",
        ),
        (
            "mvtec/grid/test/thread/000.png",
            "mvtec/grid/ground_truth/thread/000_mask.png",
        ),
    ] {
        let image = segad_imaging::open(&sets.join(image)).unwrap();
        let labels = segad_imaging::open(&sets.join(mask)).unwrap();
        assert_eq!(
            (image.height(), image.width()),
            (labels.height(), labels.width())
        );
        assert!(labels.rgb().iter().any(|&v| v > 0) && labels.rgb().contains(&0));
    }
    let split = std::fs::read_to_string(sets.join("visa/split_csv/1cls.csv")).unwrap();
    let rows: Vec<&str> = split.split("\r\n").filter(|l| !l.is_empty()).collect();
    assert_eq!(
        (rows[0], rows.len()),
        ("object,split,label,image,mask", 1 + 12 * 40)
    );
    for row in &rows[1..] {
        let fields: Vec<&str> = row.split(',').collect();
        assert!(
            fields[3..]
                .iter()
                .all(|f| f.is_empty() || sets.join("visa").join(f).is_file()),
            "{row}"
        );
    }
    // Wider than high and JPEG, as VisA's are; grey files where MVTec AD has them.
    let visa = Dataset::open(
        Manifest::read(&sets.join("visa.toml")).unwrap(),
        &sets.join("visa"),
    )
    .unwrap();
    let image = visa
        .loader()
        .load(&visa.index("candle").unwrap().entries()[0].id)
        .unwrap();
    assert_eq!((image.height(), image.width()), (64, 80));
    let png = std::fs::read(sets.join("mvtec/screw/train/good/000.png")).unwrap();
    assert_eq!(png[25], 0, "colour type grey");
}

/// Raise `segad_miniature::REVISION` with this digest: caches are found by it.
#[test]
fn the_default_sets_are_the_same_everywhere() {
    let expected = "06be33b3abca24045df4623a446d9aead3035e9f6ade90de04d3af70e62a6608";
    assert_eq!(digest(sets().path()).to_string(), expected);
}

#[test]
fn seed_and_size_decide_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let small = Params {
        size: 32,
        seed: Seed(1),
    };
    let place = provide(dir.path(), &small, &NoProgress).unwrap();
    // What is damaged in the cache is written again.
    let image = files(&place.join("vad")).pop().unwrap();
    let whole = std::fs::read(&image).unwrap();
    for damage in [Some(&whole[..10]), None] {
        match damage {
            Some(bytes) => std::fs::write(&image, bytes).unwrap(),
            None => std::fs::remove_file(&image).unwrap(),
        }
        assert_eq!(provide(dir.path(), &small, &NoProgress).unwrap(), place);
        assert!(std::fs::read(&image).unwrap() == whole);
    }
    let (again, other) = (dir.path().join("again"), dir.path().join("other"));
    write(&again, &small, &NoProgress).unwrap();
    write(
        &other,
        &Params {
            seed: Seed(2),
            ..small
        },
        &NoProgress,
    )
    .unwrap();
    assert_eq!(digest(&place), digest(&again));
    assert_ne!(digest(&place), digest(&other));
    let error = write(&again, &small, &NoProgress).unwrap_err();
    assert!(matches!(error, MiniatureError::NotEmpty { .. }), "{error}");
    let error = write(
        &dir.path().join("big"),
        &Params {
            size: 5000,
            ..small
        },
        &NoProgress,
    )
    .unwrap_err();
    assert!(error.to_string().contains("32 to 512"), "{error}");
    assert!(!dir.path().join("big").exists());
}
