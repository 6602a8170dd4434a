//! DINOv2 and AnomalyDINO at the command, with random weights of a miniature transformer.

use crate::support::{Place, expect, root, stderr};
use segad_core::{Image, Seed};
use segad_nn::{BackboneKind, Weights, write_tensors};
use std::path::Path;
use std::process::Command;

const EXPERIMENT: &str = "experiments/dino.toml";

/// Weights as files of the cache; `as_kind` may be another network's name.
fn cache(place: &Place, weights: BackboneKind, as_kind: &str) {
    let random = Weights::random(weights, None, Seed(1)).unwrap();
    let folder = place.path("cache/weights");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{as_kind}.safetensors"));
    std::fs::write(file, write_tensors(random.tensors()).unwrap()).unwrap();
}

/// One row of the experiment, with the published backbone, on the sample.
fn row(place: &Place, verb: &str, set: &[&str]) -> Command {
    let mut command = place.segad(&[verb, EXPERIMENT, "--only", "AnomalyDINO"]);
    command.args(["--exclude", "SegAD", "--data", "datasets/elpv-sample"]);
    for key in [
        "dataset=\"elpv-sample\"",
        "seeds=[333]",
        "protocols=[\"elpv-high-shot\"]",
    ]
    .iter()
    .chain(set)
    {
        command.args(["--set", key]);
    }
    if verb == "sweep" {
        command.args(["--out", place.path("out").to_str().unwrap()]);
    }
    command
}

#[test]
fn every_row_runs_without_downloads() {
    let place = Place::bare();
    let out = place.path("out");
    let args = [
        "sweep",
        EXPERIMENT,
        "--profile",
        "smoke",
        "--data",
        "datasets/elpv-sample",
    ];
    let mut command = place.segad(&args);
    expect_in(command.args(["--out", out.to_str().unwrap()]), 0);
    let table = std::fs::read_to_string(out.join("table.md")).unwrap();
    for name in [
        "PatchCore, DINOv2",
        "AnomalyDINO",
        "AnomalyDINO + PatchCore + SegAD",
    ] {
        assert!(table.contains(name), "{name}: {table}");
    }
}

fn expect_in(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn missing_and_foreign_weights_and_wrong_sizes_are_named() {
    let place = Place::bare();
    let plan = |set: &[&str]| {
        let output = row(&place, "plan", set).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
    };
    let text = plan(&[]);
    assert!(text.contains("cargo xtask fetch dinov2-vits14"), "{text}");
    let text = plan(&["detectors.anomalydino.image_size=256"]);
    let says = "image_size = 256: expected a multiple of 14, the patch of dinov2_vits14, e.g. 252";
    assert!(text.contains(says), "{text}");
    let text = plan(&["detectors.anomalydino.backbone=\"resnet18\""]);
    assert!(
        text.contains("backbone = resnet18: expected a vision transformer"),
        "{text}"
    );
    cache(&place, BackboneKind::MiniatureVit, "dinov2-vits14");
    let message = expect(row(&place, "sweep", &[]), 1);
    let says = "weights of dinov2_vits14";
    assert!(
        message.contains(says) && message.contains("blocks.4.attn.qkv.weight"),
        "{message}"
    );
}

/// Grey plates with a stripe; bad ones have a bright block.
fn plates(folder: &Path) {
    for (name, bad, count) in [("good", false, 12), ("bad/block", true, 4)] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for n in 0..count {
            let noise = |i: usize| (i * 37 + n * 101 + usize::from(bad)) % 23;
            let pixel = |i: usize| {
                let block =
                    bad && (24 + n..36 + n).contains(&(i / 70)) && (20..34).contains(&(i % 70));
                if block { 250 } else { 100 + noise(i) as u8 }
            };
            let grey: Vec<u8> = (0..70 * 70).map(pixel).collect();
            let png = segad_imaging::encode_png(&Image::from_grey(70, 70, &grey).unwrap());
            std::fs::write(folder.join(name).join(format!("{n:02}.png")), png.unwrap()).unwrap();
        }
    }
}

#[test]
fn a_product_is_fitted_with_it() {
    let place = Place::bare();
    let data = place.path("plates");
    plates(&data);
    let fit = |out: &str, more: &[&str]| {
        let out = place.path(out);
        let mut command = place.segad(&["fit", data.to_str().unwrap(), "--folds", "3"]);
        command.args(["--out", out.to_str().unwrap(), "--detectors", "anomalydino"]);
        command.args(more);
        command
    };
    // A convolutional network is replaced by the transformer that it needs.
    let message = expect(fit("x", &["--backbone", "resnet18"]), 5);
    assert!(
        message.contains("cargo xtask fetch dinov2-vits14"),
        "{message}"
    );
    cache(&place, BackboneKind::Dinov2Vits14, "dinov2-vits14");
    let small = ["--backbone", "dinov2_vits14", "--image-size", "56"];
    expect(
        fit("two.segad", &[&small[..], &["--threads", "2"]].concat()),
        0,
    );
    expect(
        fit("one.segad", &[&small[..], &["--threads", "1"]].concat()),
        0,
    );
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(read("one.segad") == read("two.segad"));
    let model = place.path("one.segad");
    let image = data.join("bad/block/00.png");
    let paths = [model.to_str().unwrap(), image.to_str().unwrap()];
    let output = place
        .segad(&["inspect", paths[0], paths[1], "--json"])
        .output()
        .unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["verdict"], "bad", "{record}");
    let message = expect(
        fit("x", &["--backbone", "dinov2_vits14", "--image-size", "64"]),
        3,
    );
    assert!(
        message.contains("image_size = 64: expected a multiple of 14"),
        "{message}"
    );
    assert!(!root().join("x").exists());
}

#[test]
fn a_stack_is_measured_beside_its_parts() {
    let place = Place::bare();
    let sweep = |file: &str| {
        let out = place.path("out");
        let data = root().join("datasets/screws");
        let mut command = place.segad(&["sweep", file, "--profile", "smoke"]);
        command.args(["--data", data.to_str().unwrap()]);
        command.args(["--out", out.to_str().unwrap()]);
        command
    };
    let text = std::fs::read_to_string(root().join("experiments/screws.toml")).unwrap();
    let file = |name: &str, text: &str| {
        let path = root().join("experiments/profiles/miniature.toml");
        let text = text.replace("profiles/miniature.toml", path.to_str().unwrap());
        std::fs::write(place.path(name), text).unwrap();
        place.path(name).to_str().unwrap().to_owned()
    };
    expect(sweep("experiments/screws.toml"), 0);
    let table = std::fs::read_to_string(place.path("out/table.csv")).unwrap();
    let row = |name: &str| {
        table
            .lines()
            .find(|l| l.starts_with(name))
            .map(str::to_owned)
    };
    assert!(
        row("Stack").is_some() && row("Matched filter").is_some(),
        "{table}"
    );
    assert_ne!(
        row("Stack").unwrap().split_once(',').unwrap().1,
        row("Matched filter").unwrap().split_once(',').unwrap().1
    );
    let provenance = std::fs::read_to_string(place.path("out/provenance.json")).unwrap();
    for (name, what, is_told) in [
        ("Stack", "AUROC", true),
        ("Matched filter", "AUROC", true),
        ("Stack", "misses", true),
        ("Stack", "false alarms", true),
        // A part has no threshold of its own, and the classifier no fit of a product.
        ("Matched filter", "misses", false),
        ("Frozen LR", "AUROC", false),
    ] {
        let mut notes = provenance.lines().map(|line| line.trim().trim_matches('"'));
        let told = format!("{what} told by the fit minus");
        let found = notes.any(|note| note.starts_with(name) && note.contains(&told));
        assert_eq!(found, is_told, "{name}, {what}: {provenance}");
    }
    // One fit serves all rows, and a second run needs none.
    assert!(expect(sweep("experiments/screws.toml"), 0).contains("0 cells computed"));
    let unknown = file("part.toml", &text.replace("\"filter\"", "\"filtre\""));
    let message = expect(sweep(&unknown), 1);
    assert!(
        message.contains("part = \"filtre\": expected one of patchcore; nearest"),
        "{message}"
    );
    for (from, to, says) in [
        (
            "head = \"stack\"\npart",
            "head = \"max\"\npart",
            "only head = \"stack\" takes",
        ),
        (
            "\"miniature_vit\"",
            "\"miniature\"",
            "expected a vision transformer",
        ),
        (
            "segments = \"screws\"",
            "segments = { kind = \"folder\" }",
            "expected the name of a",
        ),
    ] {
        let wrong = file("wrong.toml", &text.replace(from, to));
        let message = expect(sweep(&wrong), 3);
        assert!(message.contains(says), "{message}");
    }
}
