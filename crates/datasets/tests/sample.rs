//! The shipped ELPV cells: real images through manifest, layout, decoder and protocols.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use segad_core::{ImageId, Label, NoProgress, Sample, Seed};
use segad_datasets::{Dataset, Entry, Index, Manifest, Part, Protocol, ProtocolParams};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../datasets/elpv-sample")
}

#[test]
fn every_cell_decodes_and_counts() {
    let sample = Dataset::open(Manifest::shipped("elpv-sample").unwrap(), &folder()).unwrap();
    let report = sample.verify("mono", &NoProgress).unwrap();
    assert!(report.is_ok() && report.images == 108, "{report:?}");
    let counts = sample.index("mono").unwrap().counts();
    let counts: Vec<usize> = ["good", "p33", "p67", "bad"]
        .iter()
        .map(|g| counts[&(Part::All, (*g).to_owned())])
        .collect();
    assert_eq!(counts, [65, 8, 7, 28]);
    let bytes: u64 = walk(&folder());
    assert!(bytes <= 4_000_000, "{bytes} bytes");
}

fn walk(folder: &std::path::Path) -> u64 {
    let items = std::fs::read_dir(folder)
        .unwrap()
        .map(|i| i.unwrap().path());
    items
        .map(|p| {
            if p.is_dir() {
                walk(&p)
            } else {
                p.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn blocks_follow_the_permutation() {
    let sample = Dataset::open(Manifest::shipped("elpv-sample").unwrap(), &folder()).unwrap();
    let index = sample.index("mono").unwrap();
    let split = Protocol::ElpvHighShot
        .split(&index, Seed(333), &ProtocolParams::default())
        .unwrap();
    // RandomState(333).permutation(12) in numpy 1.24.4: 1 8 0 7 | 9 2 4 | 5 10 6 11 3. Nine cells a
    // block.
    let blocks = |ids: Vec<segad_core::ImageId>| {
        let mut blocks: Vec<usize> = ids
            .iter()
            .map(|id| {
                let offset = id.stem()[4..].parse::<usize>().unwrap() - 901;
                (0..12)
                    .find(|b| (b * 714 / 12..(b + 1) * 714 / 12).contains(&offset))
                    .unwrap()
            })
            .collect();
        blocks.dedup();
        blocks
    };
    assert_eq!(blocks(split.detector.ids()), [0, 1, 7, 8]);
    let good = split.forest.samples().iter().filter(|s| !s.label.is_bad());
    assert_eq!(blocks(good.map(|s| s.id.clone()).collect()), [2, 4, 9]);
    assert_eq!(blocks(split.test.ids()), [3, 5, 6, 10, 11]);
    assert_eq!(split.test.samples().len(), 45);
    assert_eq!(split.headline_groups, ["bad", "good"]);
    let doubtful = split
        .test
        .samples()
        .iter()
        .filter(|s| !split.is_headline(s));
    assert!(
        doubtful.clone().count() > 0
            && doubtful
                .clone()
                .all(|s| s.label == Label::Bad && s.group != "bad")
    );
    for seed in Manifest::shipped("elpv-sample")
        .unwrap()
        .seeds("elpv")
        .unwrap()
    {
        Protocol::ElpvLowShot10
            .split(&index, Seed(*seed), &ProtocolParams::default())
            .unwrap();
    }
}

#[test]
fn damaged_label_lists_are_named() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("images")).unwrap();
    std::fs::write(root.path().join("images/cell0001.png"), b"").unwrap();
    let good = "images/cell0001.png  0.0  mono";
    for (text, message) in [
        (
            "images/cell0001.png 0.0",
            "line 1: expected path, probability and type, got 2 columns",
        ),
        (
            "images/cell0001.png 0.5 mono",
            "line 1: probability \"0.5\": expected one of 0.0, 0.3333333333333333",
        ),
        (
            "images/cell0001.png 0.0 thin",
            "line 1: type \"thin\": expected mono or poly",
        ),
        ("images/cell.png 0.0 mono", "expected a cell number"),
        ("../cell0001.png 0.0 mono", "expected a path below"),
        (
            &format!("{good}\n{good}"),
            "line 2: images/cell0001.png is listed twice",
        ),
        (
            &format!("{good}\nimages/cell0002.png 1.0 mono"),
            "listed but missing, first images/cell0002.png",
        ),
        (
            "images/cell0001.png 0.0 poly",
            "mono: all bad has 0 images, but the manifest says 313",
        ),
    ] {
        std::fs::write(root.path().join("labels.csv"), text).unwrap();
        let elpv = Dataset::open(Manifest::shipped("elpv").unwrap(), root.path()).unwrap();
        let error = elpv.index("mono").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_whole_runs_blocks_are_numpys() {
    let mut lines = include_str!("fixtures/elpv_blocks.txt").lines();
    let letters = lines.next().unwrap();
    let kind = |letter: char| match letter {
        '.' => (Label::Good, "good"),
        '-' => (Label::Bad, "p33"),
        '+' => (Label::Bad, "p67"),
        _ => (Label::Bad, "bad"),
    };
    let entries = letters.chars().enumerate().map(|(i, letter)| {
        let id = ImageId::new(format!("images/cell{:04}.png", i + 901));
        Entry {
            order: i + 901,
            ..Entry::new(id, kind(letter).0, Part::All).with_group(kind(letter).1)
        }
    });
    let index = Index::new("mono", entries.collect())
        .unwrap()
        .with_set_aside(vec!["p33".into(), "p67".into()]);
    let number = |s: &Sample| s.id.stem()[4..].parse::<usize>().unwrap();
    let mut seeds = 0;
    for line in lines {
        let values: Vec<usize> = line.split(' ').map(|v| v.parse().unwrap()).collect();
        let split = |p: Protocol| {
            p.split(&index, Seed(values[0] as u64), &ProtocolParams::default())
                .unwrap()
        };
        let high = split(Protocol::ElpvHighShot);
        let group = |g: &str| high.test.samples().iter().filter(|s| s.group == g).count();
        let counts = [
            high.detector.count(Label::Good),
            high.forest.count(Label::Good),
            high.forest.count(Label::Bad),
            group("good"),
            group("bad"),
            group("p33"),
            group("p67"),
        ];
        assert_eq!(counts, values[1..8], "seed {}", values[0]);
        let low = split(Protocol::ElpvLowShot10);
        let drawn: Vec<usize> = low
            .forest
            .samples()
            .iter()
            .filter(|s| s.label.is_bad())
            .map(number)
            .collect();
        assert_eq!(drawn, values[8..], "seed {}", values[0]);
        assert_eq!(split(Protocol::ElpvLowShot20).forest.count(Label::Bad), 20);
        seeds += 1;
    }
    assert_eq!((letters.len(), seeds), (714, 5));
}
