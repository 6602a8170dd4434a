//! Every experiment file on miniature data; failures that are remembered; killed runs; poisoned
//! labels; bad input.

use crate::arithmetic;
use crate::support::{Place, expect, root, snapshot, stderr};
use segad_core::Key;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Names of all experiment files in a folder, without extension.
fn names(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join("experiments").join(folder)).unwrap();
    let stems = files
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"));
    let mut names: Vec<String> = stems
        .map(|p| {
            Path::new(folder)
                .join(p.file_stem().unwrap())
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    names
}

/// `segad reproduce NAMES`, profile smoke, on miniature data.
fn smoke(place: &Place, names: &[&str], out: &str, more: &[&str]) -> Command {
    let out = place.path(out).to_str().unwrap().to_owned();
    let mut args = vec!["reproduce"];
    args.extend(names);
    args.extend([
        "--profile",
        "smoke",
        "--data",
        "mini",
        "--threads",
        "2",
        "--out",
        &out,
    ]);
    args.extend(more);
    let mut command = place.segad(&args);
    arithmetic::portable(&mut command);
    command
}

/// Runs experiments, holds their tables against snapshots, and proves that a second run computes
/// nothing.
fn tables(names: &[&str]) -> Place {
    let place = Place::bare();
    expect(smoke(&place, names, "out", &[]), 0);
    for name in names {
        let table = place.path("out").join(folder(name)).join("table.csv");
        arithmetic::trained(
            &format!("{}-csv", folder(name)),
            &std::fs::read_to_string(table).unwrap(),
        );
    }
    let again = expect(smoke(&place, names, "again", &[]), 0);
    assert_eq!(
        again.matches("0 cells computed").count(),
        names.len(),
        "{again}"
    );
    for name in names {
        let [a, b] = ["out", "again"].map(|out| digests(&place.path(out).join(folder(name))));
        assert_eq!(a, b, "{name}");
    }
    place
}

/// The folder that an experiment writes to: the name of its file.
fn folder(name: &str) -> &str {
    name.rsplit('/').next().unwrap()
}

/// Digests of all files below a folder but those that state times.
fn digests(folder: &Path) -> BTreeMap<PathBuf, Key> {
    fn walk(top: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Key>) {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().path())
        {
            if path.is_dir() {
                walk(top, &path, found);
            } else if path.file_name().is_none_or(|n| n != "provenance.json") {
                found.insert(
                    path.strip_prefix(top).unwrap().to_owned(),
                    Key::of_bytes(&std::fs::read(&path).unwrap()),
                );
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn every_table_of_vad_runs_in_miniature() {
    let place = tables(&["table2", "table3", "table4", "table6", "fig6", "text"]);
    let figures = std::fs::read_dir(place.path("out/fig6/figures")).unwrap();
    let mut figures: Vec<String> = figures
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    figures.sort();
    for row in ["patchcore", "wrn", "patchcore-wrn-ours"] {
        for extension in ["svg", "csv", "png"] {
            assert!(
                figures.contains(&format!("histogram-{row}-seed-333.{extension}")),
                "{figures:?}"
            );
        }
    }
    let numbers =
        std::fs::read_to_string(place.path("out/fig6/figures/histogram-wrn-seed-333.csv")).unwrap();
    let counted: u64 = numbers
        .lines()
        .skip(1)
        .map(|l| l.rsplit(',').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(
        counted,
        16 + 10 + 6,
        "every test image of the miniature stands in one bin"
    );
    // Each number of the table names the stored cell that it came from.
    let json: Value =
        serde_json::from_slice(&std::fs::read(place.path("out/table3/table.json")).unwrap())
            .unwrap();
    for cell in json["cells"].as_array().unwrap() {
        for seed in cell["seeds"].as_array().unwrap() {
            let (kind, key) = seed["cell"].as_str().unwrap().split_once('/').unwrap();
            let stored = place
                .path("cache/store/v1")
                .join(kind)
                .join(&key[..2])
                .join(key);
            assert!(stored.join("meta.json").is_file(), "{}", stored.display());
        }
    }
}

#[test]
fn every_table_of_visa_and_mvtec_runs_in_miniature() {
    let place = tables(&["table5", "table8", "table9", "readme"]);
    for table in ["table8", "table9"] {
        for extension in ["svg", "csv", "png"] {
            let bars = place.path(&format!("out/{table}/figures/bars-cl-auroc.{extension}"));
            assert!(bars.is_file(), "{}", bars.display());
        }
    }
}

#[test]
fn every_ablation_runs_in_miniature() {
    let names = names("ablations");
    tables(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn every_experiment_file_can_be_read_in_every_profile() {
    for name in names("").into_iter().chain(names("ablations")) {
        let file = format!("experiments/{name}.toml");
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for profile in ["paper", "smoke"] {
            let folder = root().join(&file);
            let read = |path: &str| -> Result<String, segad_core::BoxError> {
                Ok(std::fs::read_to_string(folder.with_file_name(path))?)
            };
            let layers =
                segad_grid::Layers::new(&file, &text).and_then(|l| l.profile(profile, &read));
            let experiment = layers.and_then(|l| l.experiment()).unwrap();
            for metric in &experiment.metrics {
                let known = metric.parse::<segad_metrics::Metric>();
                assert!(known.is_ok(), "{name}: {metric}");
            }
        }
    }
}

/// Made-up maps of two classes, 16 × 16.
fn maps(place: &Place) -> String {
    let maps = place.path("maps");
    if !maps.exists() {
        segad_miniature::maps::write(&maps, 16, &[("candle", 2, 5, 6, 14), ("pcb1", 6, 5, 6, 14)])
            .unwrap();
    }
    maps.to_str().unwrap().to_owned()
}

/// Table 5 from maps, with small forests.
fn from_maps(place: &Place, store: &str, out: &str, more: &[&str]) -> Command {
    from_maps_of(place, &["table5"], store, out, more)
}

fn from_maps_of(place: &Place, names: &[&str], store: &str, out: &str, more: &[&str]) -> Command {
    let (maps, store, out) = (maps(place), place.path(store), place.path(out));
    let forest = r#"defaults.forest={preset="brf",rounds=3,trees_per_round=20,min_child_weight=0.1,reg_alpha=0.1}"#;
    let mut args = vec!["reproduce"];
    args.extend(names);
    args.extend(["--maps", &maps, "--set", r#"classes=["candle","pcb1"]"#]);
    args.extend([
        "--set",
        "seeds=[333,576]",
        "--set",
        forest,
        "--threads",
        "1",
    ]);
    args.extend([
        "--store",
        store.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    args.extend(more);
    place.segad(&args)
}

/// Statistics, splits and forests give the same numbers everywhere, so these tables are held with
/// theirs.
#[test]
fn tables_from_maps_are_as_they_were() {
    let place = Place::bare();
    let names = ["table5", "table8", "readme"];
    expect(from_maps_of(&place, &names, "store", "out", &[]), 0);
    for name in names {
        for file in ["table.md", "table.csv"] {
            let text = std::fs::read_to_string(place.path("out").join(name).join(file)).unwrap();
            snapshot(
                &format!("maps-{name}-{}", file.rsplit('.').next().unwrap()),
                &text,
            );
        }
    }
}

#[test]
fn a_kill_at_any_point_changes_no_byte() {
    const POINTS: u32 = 20;
    let place = Place::bare();
    // The first run makes the maps and reads the program; the second tells how long one takes.
    expect(from_maps(&place, "first", "whole", &[]), 0);
    let start = Instant::now();
    expect(from_maps(&place, "second", "other", &[]), 0);
    let whole = start.elapsed();
    let told = digests(&place.path("whole"));
    assert_eq!(told, digests(&place.path("other")));
    assert!(told.len() > 10, "{told:?}");
    let (mut whole, mut cut) = (whole, 0);
    for point in 0..4 * POINTS {
        if cut == POINTS {
            break;
        }
        let (store, out) = (format!("store{point}"), format!("out{point}"));
        let mut command = from_maps(&place, &store, &out, &[]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Multiples of the golden ratio spread over the run, however many there are.
        std::thread::sleep(whole.mul_f64((f64::from(point) * 0.618_034).fract()));
        if child.try_wait().unwrap().is_some() {
            // It ran faster than the one that was timed.
            whole = whole.mul_f64(0.9);
            continue;
        }
        // SIGKILL; fails only if the run has just ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
        cut += 1;
        expect(from_maps(&place, &store, &out, &[]), 0);
        assert_eq!(told, digests(&place.path(&out)), "killed at point {point}");
    }
    assert_eq!(
        cut, POINTS,
        "too few runs were still going when they were to be killed"
    );
}

/// A data set as a list: 40 good and 20 bad training images, 12 and 12 test images whose labels are
/// `poisoned` or not.
fn listed(place: &Place, name: &str, poisoned: bool) -> PathBuf {
    let dir = place.path(name);
    let mut list = "path,label,type,split\n".to_owned();
    for i in 0..84u32 {
        let (part, bad) = match i {
            0..40 => ("train", false),
            40..60 => ("train", true),
            60..72 => ("test", false),
            _ => ("test", true),
        };
        let pixel =
            |p: u32| ((p * 37 + i * 101) % 90 + if bad && p % 32 < 8 { 140 } else { 20 }) as u8;
        let image = segad_core::Image::from_grey(32, 32, &(0..1024).map(pixel).collect::<Vec<_>>())
            .unwrap();
        let path = format!("{i:03}.png");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&path), segad_imaging::encode_png(&image).unwrap()).unwrap();
        let told = bad != (poisoned && part == "test");
        let label = if told { "bad" } else { "good" };
        list.push_str(&format!("{path},{label},{label},{part}\n"));
    }
    std::fs::write(dir.join("images.csv"), list).unwrap();
    dir
}

const LISTED: &str = r#"
schema = 1
name = "listed"
title = "A list"
layout = "csv"
[seeds]
listed = [1, 2]
[[group]]
name = "good"
label = "good"
[[group]]
name = "bad"
label = "bad"
[[class]]
name = "listed"
segments = 1
"#;

const POISON: &str = r#"
title = "poison"
dataset = "listed"
protocol = "vad-high-shot"
seeds = [1, 2]
[detectors.patchcore]
backbone = "miniature"
image_size = 32
coreset_ratio = 0.1
[detectors.fastflow]
backbone = "miniature"
image_size = 32
flow_steps = 2
epochs = 1
[detectors.efficientad]
teacher = "distilled"
distill = { network = "miniature", backbone = "miniature", image_size = 128, iterations = 2, batch = 2 }
image_size = 128
map_size = 32
iterations = 4
[classifiers.wrn]
backbone = "miniature"
image_size = 32
epochs = 1
[defaults]
forest = { preset = "brf", rounds = 2, trees_per_round = 10 }
[[row]]
name = "PatchCore"
head = "max"
detectors = ["patchcore"]
[[row]]
name = "All"
detectors = ["patchcore", "fastflow", "efficientad"]
classifier = "wrn"
"#;

#[test]
fn poisoned_test_labels_give_identical_models() {
    let place = Place::bare();
    let (manifest, file) = (place.path("listed.toml"), place.path("poison.toml"));
    std::fs::write(&manifest, LISTED).unwrap();
    std::fs::write(&file, POISON).unwrap();
    let models: Vec<BTreeMap<PathBuf, Key>> = [("clean", false), ("poisoned", true)]
        .into_iter()
        .map(|(name, poisoned)| {
            let data = listed(&place, name, poisoned);
            let (store, out) = (
                place.path(&format!("store-{name}")),
                place.path(&format!("out-{name}")),
            );
            let mut command = place.segad(&["sweep", file.to_str().unwrap()]);
            command.args([
                "--manifest",
                manifest.to_str().unwrap(),
                "--data",
                data.to_str().unwrap(),
            ]);
            command.args([
                "--store",
                store.to_str().unwrap(),
                "--out",
                out.to_str().unwrap(),
            ]);
            expect(command, 0);
            let mut files = digests(&store);
            // Models, thresholds of detectors inside them, and the scores of every image; what
            // lists labels is not one.
            let is_model = |path: &Path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                let kind = |kind: &str| path.starts_with(Path::new("v1").join(kind));
                (kind("fit") || kind("forest")) && name != "meta.json"
            };
            files.retain(|path, _| is_model(path));
            files
        })
        .collect();
    // Per seed: three detectors and a classifier (model.json, model.safetensors, curves), and a
    // forest with its scores.
    assert!(models[0].len() >= 2 * (4 * 2 + 2), "{:?}", models[0]);
    assert_eq!(models[0], models[1]);
    let metrics = |name: &str| std::fs::read(place.path(name).join("metrics.csv")).unwrap();
    assert_ne!(
        metrics("out-clean"),
        metrics("out-poisoned"),
        "the poison was not even measured"
    );
}

#[test]
fn a_cell_that_takes_too_long_is_stopped_and_the_rest_goes_on() {
    let place = Place::bare();
    // EfficientAD would take days.
    let slow = [
        "--set",
        "detectors.efficientad.iterations=2000000",
        // Long enough for all others on a busy machine.
        "--time-limit",
        "8s",
    ];
    let rows = [
        "--only",
        "EfficientAD",
        "--only",
        "PatchCore",
        "--exclude",
        "Ours",
        "--set",
        "seeds=[333]",
    ];
    let message = expect(
        smoke(&place, &["table2"], "a", &[&slow[..], &rows].concat()),
        1,
    );
    assert!(
        message.contains("stopped at the time limit of 8 s"),
        "{message}"
    );
    let mean = |row: &str| value(&place.path("a/table.csv"), &[row, "vad", "cl_auroc"], 3);
    assert!(mean("EfficientAD").is_empty() && !mean("PatchCore").is_empty());
    // Another machine has caches of its own; what it goes on from is in the store they share.
    let other = Place::bare();
    let store = place.path("cache/store");
    let shared = ["--store", store.to_str().unwrap(), "--rerun-failed", "-v"];
    let more = [&slow[..], &rows, &shared].concat();
    let message = expect(smoke(&other, &["table2"], "a", &more), 1);
    assert!(
        message.contains("training resumes from a checkpoint"),
        "{message}"
    );
}

#[test]
fn a_failure_stands_until_it_is_to_be_tried_again() {
    let place = Place::bare();
    let fastflow = [
        "--only",
        "FastFlow",
        "--exclude",
        "Ours",
        "--set",
        "seeds=[333]",
    ];
    let run = |more: &[&str]| smoke(&place, &["table2"], "a", &[&fastflow, more].concat());
    let mean = || {
        value(
            &place.path("a/table.csv"),
            &["FastFlow", "vad", "cl_auroc"],
            3,
        )
    };
    // Training cannot write its checkpoint.
    let in_the_way = place.path("cache/store/v1/checkpoint");
    std::fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
    std::fs::write(&in_the_way, "no folder").unwrap();
    let message = expect(run(&["--retries", "1"]), 1);
    assert!(
        message.contains("trying again") && message.contains("checkpoint"),
        "{message}"
    );
    // A table without a single number is none.
    assert!(message.contains("nothing is written") && !place.path("a").exists());
    // It would work now, but nobody asked.
    std::fs::remove_file(&in_the_way).unwrap();
    let message = expect(run(&[]), 1);
    assert!(
        message.contains("failed before, tried 2 times"),
        "{message}"
    );
    let mut plan = place.segad(&[
        "plan",
        "experiments/table2.toml",
        "--profile",
        "smoke",
        "--data",
        "mini",
    ]);
    plan.args(fastflow);
    // As the runs were: the processor's instructions are part of the keys.
    arithmetic::portable(&mut plan);
    let text = String::from_utf8_lossy(&plan.output().unwrap().stdout).into_owned();
    assert!(
        text.contains("failed ") && text.contains("--rerun-failed"),
        "{text}"
    );
    expect(run(&["--rerun-failed"]), 0);
    assert!(!mean().is_empty());
    assert!(expect(run(&[]), 0).contains("0 cells computed"));
}

/// A field of the line of a CSV file that begins with these fields.
fn value(file: &Path, first: &[&str], field: usize) -> String {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let mut lines = reader.records().map(|l| l.unwrap());
    let line = lines.find(|l| l.iter().zip(first).all(|(a, b)| a == *b));
    line.unwrap_or_else(|| panic!("{}: no line {first:?}", file.display()))[field].to_owned()
}

#[test]
fn tables_are_made_again_from_their_metrics_and_drift_is_found() {
    let place = Place::bare();
    expect(from_maps(&place, "store", "results/table5", &[]), 0);
    let results = place.path("results");
    let tables = |more: &[&str]| {
        let mut args = vec!["tables", "--results", results.to_str().unwrap()];
        args.extend(more);
        place.segad(&args)
    };
    expect(tables(&["--check"]), 0);
    let csv = results.join("table5/table.csv");
    let whole = std::fs::read_to_string(&csv).unwrap();
    let digit = whole
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(3)
        .unwrap()
        .to_owned();
    std::fs::write(&csv, whole.replacen(&digit, "12.3456", 1)).unwrap();
    let message = expect(tables(&["--check"]), 6);
    assert!(
        message.contains("12.3456") && message.contains("table.csv") && message.contains(&digit),
        "{message}"
    );
    expect(tables(&[]), 0);
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), whole);
    expect(tables(&["--check", "table5"]), 0);
    let metrics = results.join("table5/metrics.csv");
    let text = std::fs::read_to_string(&metrics).unwrap();
    for damaged in ["", text.split_once('\n').unwrap().1] {
        std::fs::write(&metrics, damaged).unwrap();
        for check in [&["--check"][..], &[]] {
            let message = expect(tables(check), 5);
            assert!(
                message.contains("table5") && message.contains("metrics.csv has columns"),
                "{message}"
            );
        }
    }
    assert_eq!(
        std::fs::read_to_string(&csv).unwrap(),
        whole,
        "damaged metrics give no table"
    );
    let message = expect(tables(&["table7"]), 4);
    assert!(message.contains("table5"), "{message}");
}

#[test]
fn what_cannot_run_is_named_and_everything_else_runs() {
    let place = Place::bare();
    // A class that is not there, one of two.
    let maps = PathBuf::from(maps(&place));
    std::fs::rename(maps.join("anomaly_maps/rd4ad/pcb1"), place.path("away")).unwrap();
    let output = from_maps(&place, "store", "out", &[]).output().unwrap();
    let message = stderr(&output);
    assert!(matches!(output.status.code(), Some(1 | 5)), "{message}");
    assert!(
        message.contains("rd4ad") && message.contains("pcb1"),
        "{message}"
    );
    let table = std::fs::read_to_string(place.path("out/table.csv")).unwrap();
    assert!(
        table.contains("EfficientAD + Ours,pcb1,cl_auroc,")
            && table.contains("RD4AD,pcb1,cl_auroc,,,0,"),
        "{table}"
    );
    // An experiment that does not exist is reported before any other runs.
    let both = expect(smoke(&place, &["table77", "readme"], "both", &[]), 5);
    assert!(both.contains("table77.toml"), "{both}");
    assert!(!place.path("both").exists());
    // A typo in a row, an impossible sweep.
    let text = std::fs::read_to_string(root().join("experiments/ablations/quantile.toml")).unwrap();
    // A copy in another folder names the shared settings by their full path.
    let profiles = root().join("experiments/profiles");
    let text = text.replace("../profiles", profiles.to_str().unwrap());
    let faulty = |name: &str, text: String| {
        let file = place.path(name);
        std::fs::write(&file, text).unwrap();
        expect(
            place.segad(&[
                "sweep",
                file.to_str().unwrap(),
                "--profile",
                "smoke",
                "--data",
                "mini",
            ]),
            3,
        )
    };
    let typo = faulty(
        "typo.toml",
        text.replace("detectors = [\"each\"]", "detectors = [\"eahc\"]"),
    );
    assert!(
        typo.contains("typo.toml") && typo.contains("row[0]") && typo.contains("each"),
        "{typo}"
    );
    let empty = faulty(
        "empty.toml",
        text.replace("[0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0]", "[]")
            .replace("= [0.9, 0.995]", "= []"),
    );
    assert!(
        empty.contains("sweep.features.quantile") && empty.contains("empty list"),
        "{empty}"
    );
    // A level outside 0 to 1 ends the run before it begins.
    let file = place.path("wild.toml");
    std::fs::write(&file, text.replace("= [0.9, 0.995]", "= [0.9, 7.0]")).unwrap();
    let out = place.path("wild");
    let args = [
        "sweep",
        file.to_str().unwrap(),
        "--profile",
        "smoke",
        "--data",
        "mini",
        "--out",
        out.to_str().unwrap(),
    ];
    let message = expect(place.segad(&args), 3);
    assert!(message.contains("quantile = 7"), "{message}");
    assert!(!out.exists());
}

#[test]
fn results_are_queried_across_experiments() {
    let place = Place::bare();
    let query = |more: &[&str]| place.segad(&[&["results", "--csv"], more].concat());
    let print = |more: &[&str]| {
        let output = query(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let demo = print(&["--where", "experiment=demo", "--against", "PatchCore"]);
    let start = "PatchCore + SegAD,PatchCore,demo,elpv-high-shot,cl_auroc,";
    let line = demo.lines().find_map(|l| l.strip_prefix(start)).unwrap();
    // results/demo/differences.csv has the same with three decimals.
    assert_eq!(line, "0.2615,-7.1313,7.6542,2,5");
    // Several experiments have a row of this name.
    let shared = print(&[
        "--where",
        "row=PatchCore",
        "--where",
        "metric=ap",
        "--by",
        "experiment",
    ]);
    assert!(shared.lines().count() > 2, "{shared}");
    assert!(expect(query(&["--where", "row=Patchcore"]), 4).contains("expected one of"));
    assert!(expect(query(&["--by", "rows"]), 3).contains("expected one of experiment"));
}
