//! What must hold for every protocol, over random indices.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use proptest::prelude::*;
use segad_core::{ImageId, Label, Sample, Seed};
use segad_datasets::{
    DatasetError, Entry, Index, LowShotList, Part, Protocol, ProtocolParams, ProtocolSplit,
};
use std::collections::{BTreeSet, HashMap};

/// Sizes of a made-up data set.
#[derive(Clone, Debug)]
struct Sizes {
    train_good: usize,
    train_bad: usize,
    test_good: usize,
    test_bad: usize,
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (10..60usize, 5..30usize, 1..20usize, 25..60usize).prop_map(
        |(train_good, train_bad, test_good, test_bad)| Sizes {
            train_good,
            train_bad,
            test_good,
            test_bad,
        },
    )
}

fn folders(sizes: &Sizes) -> Vec<Entry> {
    let parts = [
        (Part::Test, Label::Bad, sizes.test_bad),
        (Part::Test, Label::Good, sizes.test_good),
        (Part::Train, Label::Bad, sizes.train_bad),
        (Part::Train, Label::Good, sizes.train_good),
    ];
    let entry = |part: Part, label: Label, i: usize| {
        Entry::new(
            ImageId::new(format!("{}/{label}/{i:03}.png", part.as_str())),
            label,
            part,
        )
    };
    parts
        .iter()
        .flat_map(|&(part, label, n)| (0..n).map(move |i| entry(part, label, i)))
        .collect()
}

fn indexed(entries: Vec<Entry>) -> Index {
    let list = |from: usize| {
        let images = (from..from + 3)
            .map(|i| ImageId::new(format!("train/bad/{i:03}.png")))
            .collect();
        LowShotList {
            name: from.to_string(),
            images,
        }
    };
    Index::new("made-up", entries)
        .unwrap()
        .with_low_shot(Ok(vec![list(0), list(2)]), vec![1, 2])
}

/// Numbered cells like ELPV's: about 60 % good, 25 % bad, 15 % in doubt.
fn cells(kinds: &[u8], units: bool) -> Index {
    let entries = kinds.iter().enumerate().map(|(i, kind)| {
        let id = ImageId::new(format!("images/cell{:04}.png", i + 901));
        let (label, group) = match kind {
            0..=59 => (Label::Good, "good"),
            60..=84 => (Label::Bad, "bad"),
            _ => (Label::Bad, "p33"),
        };
        let unit = units.then(|| format!("{}", usize::from(*kind) * 7 % 40 + i / 100 * 40));
        Entry {
            order: i + 901,
            unit,
            ..Entry::new(id, label, Part::All).with_group(group)
        }
    });
    Index::new("mono", entries.collect())
        .unwrap()
        .with_set_aside(vec!["p33".into()])
}

fn names(samples: &[Sample]) -> BTreeSet<&str> {
    samples.iter().map(|s| s.id.as_str()).collect()
}

fn training(split: &ProtocolSplit) -> BTreeSet<&str> {
    let parts = [
        Some(&split.detector),
        split.holdout.as_ref(),
        Some(&split.forest),
        split.classifier.as_ref(),
    ];
    parts
        .into_iter()
        .flatten()
        .flat_map(|p| names(p.samples()))
        .collect()
}

/// What holds whatever the protocol.
fn sound(index: &Index, split: &ProtocolSplit) -> Result<(), TestCaseError> {
    let test = names(split.test.samples());
    prop_assert!(training(split).is_disjoint(&test));
    if let Some(holdout) = &split.holdout {
        prop_assert!(names(holdout.samples()).is_disjoint(&names(split.detector.samples())));
    }
    prop_assert_eq!(split.detector.count(Label::Bad), 0);
    let by_id: HashMap<&ImageId, &Entry> = index.entries().iter().map(|e| (&e.id, e)).collect();
    for part in [
        Some(&split.detector),
        Some(&split.forest),
        split.classifier.as_ref(),
    ]
    .into_iter()
    .flatten()
    {
        for s in part.samples() {
            prop_assert_eq!(&by_id[&s.id].sample(), s);
            prop_assert!(
                !index.set_aside().contains(&s.group),
                "{} must not train",
                s.id
            );
        }
    }
    prop_assert!(
        split
            .headline_groups
            .iter()
            .all(|g| !index.set_aside().contains(g))
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn folder_protocols_keep_test_out_of_training(sizes in sizes(), seed in 1..3u64) {
        let index = indexed(folders(&sizes));
        use Protocol::{MvtecSupervised20, SegadMaps, VadHighShot, VadLowShot, VadOneClass, VisaSupervised10};
        for p in [VadOneClass, VadHighShot, VadLowShot, VisaSupervised10, MvtecSupervised20, SegadMaps] {
            let split = p.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
            sound(&index, &split)?;
            let carved = split.forest.samples().iter().filter(|s| s.id.as_str().starts_with("test/")).count();
            let expected = match p { VisaSupervised10 | SegadMaps => 10, MvtecSupervised20 => 20, _ => 0 };
            prop_assert_eq!(carved, expected);
            prop_assert_eq!(split.test.samples().len(), sizes.test_good + sizes.test_bad - carved);
            if p != SegadMaps {
                // Every good training image goes to exactly one of detector and forest.
                prop_assert!(names(split.detector.samples()).is_disjoint(&names(split.forest.samples())));
                let used = split.detector.count(Label::Good) + split.forest.count(Label::Good);
                prop_assert_eq!(used, sizes.train_good);
            }
        }
    }

    #[test]
    fn poisoned_test_labels_train_the_same(sizes in sizes(), seed in 1..3u64) {
        let entries = folders(&sizes);
        let mut poisoned = entries.clone();
        for e in poisoned.iter_mut().filter(|e| e.part == Part::Test) {
            e.label = if e.label.is_bad() { Label::Good } else { Label::Bad };
            e.group = "poison".to_owned();
        }
        for p in [Protocol::VadOneClass, Protocol::VadHighShot, Protocol::VadLowShot] {
            let draw = |e: &[Entry]| p.split(&indexed(e.to_vec()), Seed(seed), &ProtocolParams::default()).unwrap();
            let (a, b) = (draw(&entries), draw(&poisoned));
            prop_assert_eq!((a.detector, a.holdout, a.forest, a.classifier), (b.detector, b.holdout, b.forest, b.classifier));
        }
        // Protocols that carve look at the bad test folder's list and at nothing else of the test
        // part.
        let other_good: Vec<Entry> = entries
            .iter()
            .filter(|e| !(e.part == Part::Test && e.label == Label::Good))
            .cloned()
            .chain([Entry::new(ImageId::new("test/good/new.png"), Label::Good, Part::Test).with_group("poison")])
            .collect();
        for p in [Protocol::VisaSupervised10, Protocol::MvtecSupervised20, Protocol::SegadMaps] {
            let draw = |e: &[Entry]| p.split(&indexed(e.to_vec()), Seed(seed), &ProtocolParams::default()).unwrap();
            let (a, b) = (draw(&entries), draw(&other_good));
            prop_assert_eq!((a.detector, a.holdout, a.forest, a.classifier), (b.detector, b.holdout, b.forest, b.classifier));
        }
    }

    #[test]
    fn blocks_stay_whole_and_ignore_test_labels(
        kinds in prop::collection::vec(0..100u8, 714),
        seed in 0..1000u64,
    ) {
        let index = cells(&kinds, false);
        for p in [Protocol::ElpvHighShot, Protocol::ElpvLowShot20, Protocol::ElpvLowShot10, Protocol::Blocks] {
            let split = p.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
            sound(&index, &split)?;
            let mut poisoned = kinds.clone();
            for s in split.test.samples() {
                let i = s.id.stem()[4..].parse::<usize>().unwrap() - 901;
                poisoned[i] = 99 - poisoned[i];
            }
            let again = p.split(&cells(&poisoned, false), Seed(seed), &ProtocolParams::default()).unwrap();
            prop_assert_eq!((&split.detector, &split.forest), (&again.detector, &again.forest));
            prop_assert_eq!(split.test.ids(), again.test.ids());
            if p == Protocol::Blocks {
                continue;
            }
            // Twelve blocks, five of them test; block borders by whole-number arithmetic, written
            // out here anew.
            let mut test_blocks = 0;
            let test = names(split.test.samples());
            for b in 0..12 {
                let block = index.entries()[b * 714 / 12..(b + 1) * 714 / 12].iter();
                let inside = block.clone().filter(|e| test.contains(e.id.as_str())).count();
                prop_assert!(inside == 0 || inside == block.len());
                test_blocks += usize::from(inside > 0);
            }
            prop_assert_eq!(test_blocks, 5);
        }
    }

    #[test]
    fn units_stay_together(kinds in prop::collection::vec(0..100u8, 400), seed in 0..1000u64) {
        let index = cells(&kinds, true);
        for p in [Protocol::Blocks, Protocol::Random] {
            let split = p.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
            sound(&index, &split)?;
            let unit: HashMap<&str, &str> =
                index.entries().iter().map(|e| (e.id.as_str(), e.unit.as_deref().unwrap())).collect();
            let of = |names: BTreeSet<&str>| names.into_iter().map(|n| unit[n]).collect::<BTreeSet<_>>();
            prop_assert!(of(training(&split)).is_disjoint(&of(names(split.test.samples()))));
        }
    }

    #[test]
    fn smaller_draws_are_in_larger_ones(kinds in prop::collection::vec(0..100u8, 714), seed in 0..1000u64) {
        let index = cells(&kinds, false);
        let bad = |p: Protocol| {
            let split = p.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
            let all: BTreeSet<ImageId> =
                split.forest.samples().iter().filter(|s| s.label.is_bad()).map(|s| s.id.clone()).collect();
            (split.test, split.detector, all)
        };
        let (ten, twenty, all) = (bad(Protocol::ElpvLowShot10), bad(Protocol::ElpvLowShot20), bad(Protocol::ElpvHighShot));
        prop_assert!(ten.2.len() == 10 && twenty.2.len() == 20 && ten.2.is_subset(&twenty.2) && twenty.2.is_subset(&all.2));
        prop_assert_eq!((&ten.0, &ten.1), (&all.0, &all.1));
        // The one-class benchmark: the same images without the bad ones, which are to be generated.
        let high = Protocol::ElpvHighShot.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
        let one = Protocol::ElpvOneClass.split(&index, Seed(seed), &ProtocolParams::default()).unwrap();
        let good: Vec<_> = high.forest.samples().iter().filter(|s| !s.label.is_bad()).cloned().collect();
        prop_assert_eq!(one.forest.samples(), &good[..]);
        prop_assert_eq!((one.forest_generated, one.classifier.is_none()), (good.len(), true));
        prop_assert_eq!((&one.test, &one.detector), (&high.test, &high.detector));
    }
}

#[test]
fn parameters_are_checked() {
    let index = cells(&[10; 714], false);
    let split = |p: Protocol, params| p.split(&index, Seed(1), &params).unwrap_err().to_string();
    let d = ProtocolParams::default;
    for (p, params, message) in [
        (
            Protocol::Random,
            ProtocolParams {
                blocks: Some(3),
                ..d()
            },
            "random: unknown parameter blocks; known: train_bad",
        ),
        (
            Protocol::ElpvHighShot,
            ProtocolParams {
                forest_blocks: Some(8),
                ..d()
            },
            "forest_blocks = 8: expected at least 1 each and less than 12 together",
        ),
        (
            Protocol::ElpvHighShot,
            ProtocolParams {
                blocks: Some(715),
                ..d()
            },
            "blocks = 715: expected at most one per cell",
        ),
        (
            Protocol::ElpvHighShot,
            ProtocolParams {
                first: Some(2000),
                last: Some(2100),
                ..d()
            },
            "mono has no cell in this range",
        ),
        (
            Protocol::ElpvHighShot,
            d(),
            "seed 1: forest needs 1 bad images, found 0",
        ),
        (
            Protocol::ElpvLowShot10,
            d(),
            "seed 1: forest needs 10 bad images, found 0",
        ),
        (
            Protocol::Blocks,
            ProtocolParams {
                detector_fraction: Some(0.8),
                ..d()
            },
            "something is left for test",
        ),
        (
            Protocol::Blocks,
            ProtocolParams {
                train_bad: Some(0),
                ..d()
            },
            "train_bad = 0: expected at least 1",
        ),
        (
            Protocol::VadHighShot,
            d(),
            "train needs 2 good images, found 0",
        ),
    ] {
        let error = split(p, params);
        assert!(error.contains(message), "{error}");
    }
    assert!(matches!(
        Protocol::ElpvHighShot.split(&index, Seed(1 << 40), &d()),
        Err(DatasetError::Seed(s)) if s == 1 << 40
    ));
    let error = "elpv-highshot".parse::<Protocol>().unwrap_err().to_string();
    assert!(
        error.contains("did you mean \"elpv-high-shot\"?"),
        "{error}"
    );
    for p in Protocol::ALL {
        assert_eq!(p.name().parse::<Protocol>().unwrap(), p);
    }
}

#[test]
fn units_are_the_blocks_of_the_split() {
    let kinds: Vec<u8> = (0..714).map(|i| if i % 7 == 0 { 70 } else { 10 }).collect();
    for (protocol, units, blocks) in [
        (Protocol::ElpvHighShot, false, 12),
        (Protocol::Blocks, true, 16),
        (Protocol::Blocks, false, 20),
    ] {
        let (index, params) = (cells(&kinds, units), ProtocolParams::default());
        let split = protocol.split(&index, Seed(5), &params).unwrap();
        let of = |samples: &[Sample]| -> BTreeSet<String> {
            protocol
                .units(&index, samples, &params)
                .unwrap()
                .into_iter()
                .collect()
        };
        let (train, test) = (
            of(split.classifier.unwrap().samples()),
            of(split.test.samples()),
        );
        assert_eq!(
            train.len() + test.len(),
            blocks,
            "{protocol}: a block trains or is tested, never both"
        );
        assert!(train.is_disjoint(&test));
    }
    let index = cells(&kinds, false);
    let strange = Sample::new(ImageId::new("other.png"), Label::Good);
    let e = Protocol::Random
        .units(&index, &[strange], &ProtocolParams::default())
        .unwrap_err();
    assert!(
        e.to_string().contains("other.png is not in the index"),
        "{e}"
    );
}
