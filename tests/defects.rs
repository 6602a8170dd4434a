//! The one-class benchmark: no bad image trains, defects are generated.

use crate::support::{Place, expect, root};
use std::collections::BTreeSet;

const TEXT: &str = r#"
dataset = "elpv-sample"
protocols = ["elpv-one-class", "soft"]
seeds = [333]
[variants.soft]
kind = "elpv-one-class"
defects = { segments = "elpv-mono", small = 0.0, thin = 0.0, exclude = ["background"] }
[detectors.patchcore]
backbone = "resnet18"
image_size = 64
[defaults]
segments = "elpv-mono"
[[row]]
name = "PatchCore"
detectors = ["patchcore"]
head = "max"
[[row]]
name = "PatchCore + SegAD"
detectors = ["patchcore"]
"#;

fn sweep(place: &Place, text: &str, out: &str) -> std::process::Command {
    let file = place.path("one-class.toml");
    std::fs::create_dir_all(place.path("datasets/segments")).unwrap();
    std::fs::write(&file, text).unwrap();
    let mut command = place.segad(&[
        "sweep",
        file.to_str().unwrap(),
        "--data",
        "datasets/elpv-sample",
    ]);
    command.args(["--out", place.path(out).to_str().unwrap()]);
    command
}

#[test]
fn the_one_class_benchmark_runs_end_to_end() {
    let place = Place::new();
    expect(sweep(&place, TEXT, "a"), 0);
    let again = expect(sweep(&place, TEXT, "b"), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    assert_eq!(place.results("a"), place.results("b"));
    // Generated images train, and only real ones are tested.
    let mut reader = csv::Reader::from_path(place.path("a/scores.csv")).unwrap();
    let rows: Vec<std::collections::BTreeMap<String, String>> =
        reader.deserialize().map(Result::unwrap).collect();
    let groups: BTreeSet<&str> = rows.iter().map(|r| r["group"].as_str()).collect();
    assert_eq!(groups, ["bad", "good", "p33", "p67"].into());
    assert!(
        rows.iter()
            .all(|r| !r["filepath"].starts_with("generated/"))
    );
    let page = std::fs::read_to_string(place.path("a/report.html")).unwrap();
    assert!(
        page.contains("Generated defects against real ones"),
        "the guard rail says what it found"
    );
    // A detector's own score does not depend on what the forest learns from.
    let score = |class: &str| -> Vec<String> {
        let own = rows
            .iter()
            .filter(|r| r["row"] == "PatchCore" && r["class"] == class);
        own.map(|r| r["score"].clone()).collect()
    };
    assert_eq!(score("elpv-one-class"), score("soft"));
}

#[test]
fn wrong_settings_are_named() {
    let place = Place::new();
    let message = expect(
        sweep(&place, &TEXT.replace("thin = 0.0", "thinn = 0.0"), "a"),
        3,
    );
    assert!(message.contains("thinn"), "{message}");
    let message = expect(
        sweep(
            &place,
            &TEXT.replace("kind = \"elpv-one-class\"", "kind = \"elpv-high-shot\""),
            "a",
        ),
        3,
    );
    assert!(message.contains("generates none"), "{message}");
    let message = expect(
        sweep(
            &place,
            &TEXT.replace("[\"background\"]", "[\"backgrund\"]"),
            "a",
        ),
        1,
    );
    assert!(
        message.contains("backgrund") && message.contains("busbar 1"),
        "{message}"
    );
}

#[test]
fn a_preview_shows_and_saves_what_is_generated() {
    let place = Place::new();
    let run = |seed: &str| {
        let save = place.path(&format!("made{seed}"));
        let out = place.path("sheet.png");
        let images = root().join("datasets/elpv-sample/images");
        let args = [
            "defects",
            "preview",
            images.to_str().unwrap(),
            "--count",
            "3",
            "--seed",
            seed,
        ];
        let more = [
            "--defects",
            "{ segments = \"elpv-mono\" }",
            "--out",
            out.to_str().unwrap(),
            "--save",
        ];
        let output = place.segad(&args).args(more).arg(&save).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            crate::support::stderr(&output)
        );
        assert!(out.exists());
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, again, other) = (run("1"), run("1"), run("2"));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!(one.lines().count(), 3);
    assert_eq!(
        one,
        std::fs::read_to_string(place.path("made1/defects.jsonl")).unwrap()
    );
    for line in one.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let stem = record["image"].as_str().unwrap().trim_end_matches(".png");
        let mask = segad_imaging::open(&place.path(&format!("made1/{stem}_mask.png"))).unwrap();
        let set = mask.rgb().iter().step_by(3).filter(|&&v| v == 255).count();
        assert_eq!(set as u64, record["changed"].as_u64().unwrap());
        assert!(place.path(&format!("made1/{stem}.png")).exists());
    }
    let message = expect(
        place.segad(&[
            "defects",
            "preview",
            "datasets/elpv-sample/images",
            "--defects",
            "{ small = -1.0 }",
        ]),
        3,
    );
    assert!(message.contains("small"), "{message}");
}
