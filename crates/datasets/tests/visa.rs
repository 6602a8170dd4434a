//! VisA at full size (files without content): counts, test numbers, hold-outs and carved images are
//! the authors'.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod common;

use common::touch;
use segad_core::{ImageId, Label, Seed};
use segad_datasets::{Dataset, Index, Manifest, Part, Protocol, ProtocolParams};
use sha2::{Digest, Sha256};
use std::path::Path;

fn published(root: &Path, manifest: &Manifest) {
    for class in &manifest.classes {
        let normals = class.train["good"] + class.test["good"];
        let width = if normals >= 1000 { 4 } else { 3 };
        let place = format!("{}/Data/Images", class.name);
        let files: Vec<String> = (0..normals)
            .map(|n| format!("{place}/Normal/{n:0width$}.JPG"))
            .chain((0..100).map(|n| format!("{place}/Anomaly/{n:03}.JPG")))
            .collect();
        touch(root, files.iter().map(String::as_str));
    }
}

fn number(id: &ImageId) -> usize {
    id.stem().parse().unwrap()
}

#[test]
fn the_published_layout_gives_the_authors_splits() {
    let manifest = Manifest::shipped("visa").unwrap();
    let root = tempfile::tempdir().unwrap();
    published(root.path(), &manifest);
    let visa = Dataset::open(manifest, root.path()).unwrap();
    let indices: Vec<Index> = visa
        .classes()
        .into_iter()
        .map(|c| visa.index(c).unwrap())
        .collect();
    let total = |part, label| {
        indices
            .iter()
            .map(|i| i.select(part, label).len())
            .sum::<usize>()
    };
    assert_eq!(
        (
            total(Part::Train, Label::Good),
            total(Part::Test, Label::Good)
        ),
        (8659, 962)
    );
    assert_eq!(
        (
            total(Part::Train, Label::Bad),
            total(Part::Test, Label::Bad)
        ),
        (0, 1200)
    );

    let mut rows: Vec<String> = indices
        .iter()
        .flat_map(Index::entries)
        .map(|e| format!("{} {} {}\n", e.id, e.part.as_str(), e.label))
        .collect();
    rows.sort();
    let digest: String = Sha256::digest(rows.concat())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();

    let mut checked = 0;
    for line in include_str!("fixtures/visa_splits.txt").lines() {
        let (key, values) = line.split_once(": ").unwrap();
        let numbers = || {
            values
                .split(' ')
                .map(|v| v.parse().unwrap())
                .collect::<Vec<usize>>()
        };
        match key.split(' ').collect::<Vec<_>>()[..] {
            ["rows"] => assert_eq!(digest, values, "train and test lists"),
            ["bad", seed] => {
                for index in &indices {
                    let split = split(index, seed.parse().unwrap());
                    let bad: Vec<usize> = bad(&split).iter().map(number).collect();
                    assert_eq!(bad, numbers(), "{} {seed}", index.class());
                    checked += 1;
                }
            }
            ["holdout", class] => {
                let index = indices.iter().find(|i| i.class() == class).unwrap();
                let split = split(index, 874); // any seed: the hold-out is fixed
                let held = split.holdout.as_ref().unwrap();
                assert_eq!(
                    held.ids().iter().map(number).collect::<Vec<_>>(),
                    numbers(),
                    "{class}"
                );
                assert_eq!(
                    split.forest.samples()[..held.samples().len()],
                    *held.samples()
                );
                let n = index.select(Part::Train, Label::Good).len();
                assert_eq!(split.detector.samples().len() + held.samples().len(), n);
                assert_eq!(split.classifier.unwrap().count(Label::Good), n);
                assert_eq!(
                    (split.test.count(Label::Bad), split.detector_seed),
                    (90, Seed(333))
                );
                checked += 1;
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!(checked, 12 * 10 + 12);
}

fn split(index: &Index, seed: u64) -> segad_datasets::ProtocolSplit {
    Protocol::VisaSupervised10
        .split(index, Seed(seed), &ProtocolParams::default())
        .unwrap()
}

fn bad(split: &segad_datasets::ProtocolSplit) -> Vec<ImageId> {
    split
        .forest
        .samples()
        .iter()
        .filter(|s| s.label.is_bad())
        .map(|s| s.id.clone())
        .collect()
}

#[test]
fn the_prepared_layout_gives_the_same_images() {
    let mut manifest = Manifest::shipped("visa").unwrap();
    manifest.classes.retain(|c| c.name == "capsules");
    let root = tempfile::tempdir().unwrap();
    published(root.path(), &manifest);
    let raw = Dataset::open(manifest.clone(), root.path())
        .unwrap()
        .index("capsules")
        .unwrap();

    let prepared = tempfile::tempdir().unwrap();
    let files: Vec<String> = raw
        .entries()
        .iter()
        .map(|e| {
            format!(
                "1cls/capsules/{}/{}/{}.JPG",
                e.part.as_str(),
                e.label,
                e.id.stem()
            )
        })
        .collect();
    touch(prepared.path(), files.iter().map(String::as_str));
    touch(prepared.path(), ["1cls/capsules/ground_truth/bad/000.png"]);
    let prepared = Dataset::open(manifest, prepared.path())
        .unwrap()
        .index("capsules")
        .unwrap();
    let names = |index: &Index| {
        let s = split(index, 598);
        [s.detector.ids(), s.forest.ids(), s.test.ids()]
            .map(|ids| ids.iter().map(number).collect::<Vec<_>>())
    };
    assert_eq!(names(&raw), names(&prepared));
    assert_eq!(
        prepared.entries()[0].id.as_str(),
        "capsules/test/bad/000.JPG"
    );
}

#[test]
fn gaps_and_strangers_are_named() {
    let mut manifest = Manifest::shipped("visa").unwrap();
    manifest
        .classes
        .retain(|c| ["cashew", "pcb1"].contains(&c.name.as_str()));
    let root = tempfile::tempdir().unwrap();
    let mut there = manifest.clone();
    there.classes.truncate(1);
    published(root.path(), &there);
    let visa = Dataset::open(manifest, root.path()).unwrap();
    assert!(visa.index("cashew").is_ok());
    let error = visa.index("pcb1").unwrap_err().to_string();
    assert!(
        error.ends_with("pcb1: class pcb1 is missing; unpack it there or leave it out"),
        "{error}"
    );
    let error = visa.index("cashow").unwrap_err().to_string();
    assert!(error.contains("did you mean \"cashew\"?"), "{error}");

    std::fs::remove_file(root.path().join("cashew/Data/Images/Normal/007.JPG")).unwrap();
    let error = visa.index("cashew").unwrap_err().to_string();
    assert!(
        error.contains("1 file(s) are listed but missing, first cashew/Data/Images/Normal/007.JPG"),
        "{error}"
    );
    touch(
        root.path(),
        [
            "cashew/Data/Images/Normal/007.JPG",
            "cashew/Data/Images/Normal/500.JPG",
        ],
    );
    let error = visa.index("cashew").unwrap_err().to_string();
    assert!(
        error.contains("do not belong to the data set, first cashew/Data/Images/Normal/500.JPG"),
        "{error}"
    );
}
