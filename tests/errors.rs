//! Bad input: each fault is named with its place, ends with the documented exit code, and loses
//! nothing.

use crate::support::{BACKBONE, Place, expect, root};
use std::path::Path;

fn write(path: &Path, text: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let place = Place::new();
    let text = std::fs::read_to_string(root().join("experiments/demo.toml")).unwrap();
    let file = write(
        &place.path("typo.toml"),
        &text.replace("head = \"max\"", "haed = \"max\""),
    );
    let message = expect(place.segad(&["sweep", &file]), 3);
    assert!(
        message.contains("typo.toml")
            && message.contains("line")
            && message.contains("did you mean `head`?"),
        "{message}"
    );
    let message = expect(
        place.demo("a", &["--set", "detectors.patchcore.coreset=0.1"]),
        1,
    );
    assert!(
        message.contains("detectors.patchcore") && message.contains("coreset"),
        "{message}"
    );
}

#[test]
fn what_is_not_there_is_named_with_advice() {
    let place = Place::new();
    let message = expect(place.segad(&["demo", "--set", BACKBONE]), 5);
    assert!(
        message.contains("elpv") && message.contains("fetch"),
        "{message}"
    );
    std::fs::remove_file(place.path("cache/weights/resnet18.safetensors")).unwrap();
    let message = expect(place.demo("a", &[]), 5);
    assert!(
        message.contains("resnet18") && message.contains("cargo xtask fetch resnet18"),
        "{message}"
    );
    let message = expect(place.demo("a", &["--only", "no such row"]), 4);
    assert!(message.contains("PatchCore + SegAD"), "{message}");
    expect(place.segad(&["demo", "--no-such-option"]), 2);
    let message = expect(place.segad(&["reproduce", "table77"]), 5);
    assert!(message.contains("table77.toml"), "{message}");
}

#[test]
fn bad_images_are_named_and_the_rest_is_kept() {
    let place = Place::new();
    let data = place.path("data");
    copy(&root().join("datasets/elpv-sample"), &data);
    let image = data.join("images/cell0907.png");
    let good = std::fs::read(&image).unwrap();
    let faults: [(&str, Vec<u8>); 3] = [
        ("truncated", good[..good.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("text", b"not a picture".to_vec()),
    ];
    for (name, bytes) in faults {
        std::fs::write(&image, bytes).unwrap();
        let out = place.path(name);
        let args = [
            "demo",
            "--profile",
            "smoke",
            "--set",
            BACKBONE,
            "--only",
            "PatchCore + SegAD",
        ];
        let mut command = place.segad(&args);
        command.args([
            "--data",
            data.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        let message = expect(command, 1);
        assert!(message.contains("cell0907.png"), "{name}: {message}");
    }
    let verify = place
        .segad(&[
            "data",
            "verify",
            "elpv-sample",
            "--data",
            data.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert_eq!(verify.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&verify.stdout).contains("unreadable: images/cell0907.png"));
}

#[test]
fn damaged_weights_and_segment_files_are_named() {
    let place = Place::new();
    let weights = place.path("cache/weights/resnet18.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let message = expect(place.demo("a", &[]), 1);
    assert!(
        message.contains("resnet18") || message.contains("safetensors"),
        "{message}"
    );
    std::fs::write(&weights, bytes).unwrap();
    let shapes = write(&place.path("bad.toml"), "colour = 3\n");
    let set = format!("defaults.segments={{kind=\"static\",path=\"{shapes}\"}}");
    let message = expect(
        place.demo("a", &["--set", &set, "--only", "PatchCore + SegAD"]),
        1,
    );
    assert!(
        message.contains("bad.toml") && message.contains("colour"),
        "{message}"
    );
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = write(&place.path("file"), "in the way");
    let message = expect(
        place.demo("file/below", &["--only", "PatchCore + SegAD"]),
        7,
    );
    assert!(message.contains(&file), "{message}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
