//! The demo on the real images that come with the repository.

use crate::support::{Place, expect};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn the_demo_runs_and_a_second_run_computes_nothing() {
    let place = Place::new();
    let first = expect(place.demo("a", &[]), 0);
    assert!(!first.contains(" 0 cells computed"), "{first}");
    let again = expect(place.demo("b", &[]), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    assert_eq!(place.results("a"), place.results("b"));
    let one = expect(
        place.demo(
            "c",
            &[
                "--threads",
                "1",
                "--store",
                place.path("other").to_str().unwrap(),
            ],
        ),
        0,
    );
    assert!(!one.contains(" 0 cells computed"), "{one}");
    let (two, mut one) = (place.results("a"), place.results("c"));
    // The page states the number of threads.
    one.insert("report.html".into(), two["report.html"]);
    assert_eq!(two, one, "one thread and another store give the same bytes");
}

#[test]
fn metrics_agree_with_the_scores_they_are_made_of() {
    let place = Place::new();
    expect(place.demo("a", &["--only", "PatchCore"]), 0);
    let scores = read(&place, "a/scores.csv");
    let mut cells: BTreeMap<(String, String), (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for s in &scores {
        let cell = cells
            .entry((s["row"].clone(), s["class"].clone()))
            .or_default();
        let score = s["score"].parse().unwrap();
        match s["group"].as_str() {
            "good" => cell.0.push(score),
            "bad" => cell.1.push(score),
            _ => {} // set aside: the experts were unsure
        }
    }
    let metrics = read(&place, "a/metrics.csv");
    assert_eq!(cells.len(), 4);
    for ((row, class), (good, bad)) in cells {
        // Pairs in the right order, ties half: AUROC by its definition.
        let right: f64 = bad
            .iter()
            .flat_map(|b| {
                good.iter().map(move |g| {
                    if b > g {
                        1.0
                    } else if b == g {
                        0.5
                    } else {
                        0.0
                    }
                })
            })
            .sum();
        let auroc = 100.0 * right / (good.len() * bad.len()) as f64;
        let told = metrics
            .iter()
            .find(|m| m["row"] == row && m["class"] == class && m["metric"] == "cl_auroc")
            .unwrap();
        let told: f64 = told["value"].parse().unwrap();
        assert!(
            (told - auroc).abs() < 1e-6,
            "{row} {class}: {told} instead of {auroc}"
        );
    }
}

#[test]
fn no_test_image_trains_and_unsure_cells_are_reported_apart() {
    let place = Place::new();
    expect(place.demo("a", &["--only", "PatchCore + SegAD"]), 0);
    let groups: BTreeSet<String> = read(&place, "a/scores.csv")
        .iter()
        .map(|s| s["group"].clone())
        .collect();
    assert_eq!(
        groups,
        ["bad", "good", "p33", "p67"].map(String::from).into()
    );
    let metrics: BTreeSet<String> = read(&place, "a/metrics.csv")
        .iter()
        .map(|m| m["metric"].clone())
        .collect();
    assert!(
        metrics.contains("cl_auroc[p33]") && metrics.contains("cl_auroc[p67]"),
        "{metrics:?}"
    );
}

#[test]
fn the_plan_tells_hits_from_misses() {
    let place = Place::new();
    let plan = |p: &Place| -> Vec<String> {
        let args = [
            "plan",
            "experiments/demo.toml",
            "--json",
            "--profile",
            "smoke",
            "--data",
            "datasets/elpv-sample",
        ];
        let mut command = p.segad(&args);
        let out = command
            .args(["--set", crate::support::BACKBONE])
            .output()
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        value["cells"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["state"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(plan(&place).iter().all(|s| s == "miss"));
    expect(place.demo("a", &[]), 0);
    assert!(plan(&place).iter().all(|s| s == "hit"));
}

fn read(place: &Place, file: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(place.path(file)).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}
