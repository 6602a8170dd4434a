//! Supervised classifiers from the command line, on the real images that come with the repository.

use crate::support::{Place, expect};
use std::collections::BTreeMap;
use std::process::Command;

const FILE: &str = "experiments/elpv-supervised.toml";

fn sweep(place: &Place, out: &str, more: &[&str]) -> Command {
    let out = place.path(out);
    let mut args = vec![
        "sweep",
        FILE,
        "--profile",
        "smoke",
        "--data",
        "datasets/elpv-sample",
    ];
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
            rows.entry(line["row"].clone())
                .or_default()
                .push(line["score"].parse().unwrap());
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
    assert!(
        counts.iter().all(|&n| n == counts[0] && n > 0),
        "{counts:?}"
    );
    let differ = |a: &str, b: &str| assert_ne!(rows[a], rows[b], "{a} and {b}");
    differ("SegAD + LR, g in sample", "SegAD + LR, g out of fold");
    differ(
        "SegAD + LR, g out of fold",
        "SegAD + LR, g out of fold, monotone",
    );
    differ("PatchCore + SegAD", "SegAD monotone");
    differ("Frozen LR", "Frozen GBT");
    // One network's features serve both heads, all folds and all protocols.
    let embedded = std::fs::read_dir(place.path("cache/store/v1/embed"))
        .unwrap()
        .count();
    assert_eq!(embedded, 1);
}

#[test]
fn what_cannot_be_is_said() {
    let place = Place::bare();
    let says = |only: &str, set: &str, code: i32, text: &str| {
        let more = expect(sweep(&place, "x", &["--only", only, "--set", set]), code);
        assert!(more.contains(text), "{more}");
    };
    says(
        "WRN",
        "classifiers.wrn.epochs=0",
        3,
        "epochs = 0: expected at least 1",
    );
    says("WRN", "classifiers.wrn.kind=wnr", 3, "expected one of wrn");
    says(
        "Frozen LR",
        "classifiers.frozen-lr.head=trees",
        3,
        "frozen-gbt",
    );
    says(
        "Frozen LR",
        "classifiers.frozen-lr.backbone=resnet18",
        5,
        "no weights of resnet18",
    );
    says(
        "PatchCore + SegAD",
        "defaults.forest={ g_scores = \"out-of-fold\" }",
        3,
        "need a classifier",
    );
    says(
        "g in sample",
        "defaults.forest={ g_scores = \"out-of-fold\", g_folds = 99 }",
        1,
        "99 folds: expected 2 to 7",
    );
}

/// One bad training image, or as many as are asked for; every kind of classifier, and a forest with
/// scores of either sort.
const FEW: &str = r#"
dataset = "elpv-sample"
protocols = ["few"]
seeds = [333]
[variants.few]
kind = "elpv-high-shot"
[detectors.patchcore]
backbone = "miniature"
image_size = 64
coreset_ratio = 0.1
[classifiers]
wrn = { backbone = "miniature", image_size = 64, epochs = 1 }
devnet = { backbone = "miniature", image_size = 64, batch = 4, epochs = 1, steps_per_epoch = 2 }
dra = { backbone = "miniature", image_size = 64, batch = 6, epochs = 1, steps_per_epoch = 2 }
frozen-lr = { backbone = "miniature", image_size = 64 }
frozen-gbt = { backbone = "miniature", image_size = 64 }
[[row]]
name = "SegAD"
detectors = ["patchcore"]
classifier = "frozen-lr"
[[row]]
name = "Out of fold"
detectors = ["patchcore"]
classifier = "frozen-lr"
forest = { preset = "brf", g_scores = "out-of-fold" }
"#;

#[test]
fn one_bad_image_trains_all_but_folds_and_none_is_refused() {
    let place = Place::bare();
    let kinds = ["wrn", "devnet", "dra", "frozen-lr", "frozen-gbt"];
    let rows = kinds
        .map(|k| format!("[[row]]\nname = \"{k}\"\nclassifier = \"{k}\"\nhead = \"classifier\"\n"));
    let run = |bad: usize, code: i32| {
        let file = place.path("few.toml");
        let text =
            FEW.replace("[detectors", &format!("train_bad = {bad}\n[detectors")) + &rows.concat();
        std::fs::write(&file, text).unwrap();
        let mut command = place.segad(&[
            "sweep",
            file.to_str().unwrap(),
            "--data",
            "datasets/elpv-sample",
        ]);
        command.args([
            "--threads",
            "1",
            "--out",
            place.path("few").to_str().unwrap(),
        ]);
        expect(command, code)
    };
    let message = run(1, 1);
    assert!(
        message.contains("1 results are missing")
            && message.contains("so none is left to train on"),
        "{message}"
    );
    assert!(message.contains("take scores in sample"), "{message}");
    let mut reader = csv::Reader::from_path(place.path("few/metrics.csv")).unwrap();
    let named: std::collections::BTreeSet<String> = reader
        .records()
        .map(|r| r.unwrap().get(0).unwrap().to_owned())
        .collect();
    assert!(
        kinds
            .iter()
            .chain(&["SegAD"])
            .all(|row| named.contains(*row)),
        "{named:?}"
    );
    let message = run(0, 3);
    assert!(
        message.contains("train_bad = 0: expected at least 1, as the forest needs bad images"),
        "{message}"
    );
}
