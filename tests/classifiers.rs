//! Supervised classifiers from the command line, on the real images that come with the repository.

use crate::support::{Place, expect};
use std::collections::BTreeMap;
use std::process::Command;

const FILE: &str = "experiments/elpv-supervised.toml";

fn sweep(place: &Place, out: &str, more: &[&str]) -> Command {
    let out = place.path(out);
    let mut args = vec!["sweep", FILE, "--profile", "smoke", "--data", "datasets/elpv-sample"];
    args.extend(["--threads", "1", "--out", out.to_str().unwrap()]);
    args.extend(more);
    place.segad(&args)
}

/// The scores of each row under one protocol, in the order of the test images.
fn scores(place: &Place, out: &str) -> BTreeMap<String, Vec<f32>> {
    let mut reader = csv::Reader::from_path(place.path(out).join("scores.csv")).unwrap();
    let mut rows: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for line in reader.deserialize::<BTreeMap<String, String>>() {
        let line = line.unwrap();
        if line["class"].contains("high-shot") {
            rows.entry(line["row"].clone()).or_default().push(line["score"].parse().unwrap());
        }
    }
    rows
}

#[test]
fn every_row_runs_and_a_second_run_computes_nothing() {
    let place = Place::bare();
    let first = expect(sweep(&place, "a", &[]), 0);
    assert!(!first.contains(" 0 cells computed"), "{first}");
    let again = expect(sweep(&place, "b", &[]), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    assert_eq!(place.results("a"), place.results("b"));

    let rows = scores(&place, "a");
    let counts: Vec<usize> = rows.values().map(Vec::len).collect();
    assert!(counts.iter().all(|&n| n == counts[0] && n > 0), "{counts:?}");
    let differ = |a: &str, b: &str| assert_ne!(rows[a], rows[b], "{a} and {b}");
    differ("SegAD + LR, g in sample", "SegAD + LR, g out of fold");
    differ("SegAD + LR, g out of fold", "SegAD + LR, g out of fold, monotone");
    differ("PatchCore + SegAD", "SegAD monotone");
    differ("Frozen LR", "Frozen GBT");
    // One network's features serve both heads, all folds and all protocols.
    let embedded = std::fs::read_dir(place.path("cache/store/v1/embed")).unwrap().count();
    assert_eq!(embedded, 1);
}

#[test]
fn what_cannot_be_is_said() {
    let place = Place::bare();
    let says = |only: &str, set: &str, code: i32, text: &str| {
        let more = expect(sweep(&place, "x", &["--only", only, "--set", set]), code);
        assert!(more.contains(text), "{more}");
    };
    says("WRN", "classifiers.wrn.epochs=0", 1, "wrn setting epochs = 0: expected at least 1");
    says("WRN", "classifiers.wrn.kind=wnr", 1, "expected one of wrn");
    says("Frozen LR", "classifiers.frozen-lr.head=trees", 1, "frozen-gbt");
    says("Frozen LR", "classifiers.frozen-lr.backbone=resnet18", 5, "the weights of resnet18 are not there");
    says("PatchCore + SegAD", "defaults.forest={ g_scores = \"out-of-fold\" }", 1, "need a classifier");
    says(
        "g in sample",
        "defaults.forest={ g_scores = \"out-of-fold\", g_folds = 99 }",
        1,
        "99 folds: expected 2 to 7",
    );
}
