//! Bad input: each fault is named with its place, ends with the documented exit code, and loses
//! nothing.

use crate::support::{BACKBONE, Place, expect, root, stderr};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

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
}

#[test]
fn a_wrong_setting_ends_a_run_before_it_begins() {
    let place = Place::new();
    let earlier = write(&place.path("a/metrics.csv"), "of an earlier run");
    for (set, expected) in [
        ("detectors.patchcore.coreset=0.1", "coreset"),
        ("defaults.forest=\"brrf\"", "brrf"),
        ("defaults.segments=\"elpv-mon\"", "elpv-mon"),
        ("defaults.features.quantile=7", "quantile = 7"),
        (
            "metrics=[\"cl_auroc\", \"f2\"]",
            "metric = \"f2\": expected one of",
        ),
        ("seeds=[1,1]", "seeds = [1, 1]: expected"),
        ("seeds=\"none\"", "seeds = \"none\": expected"),
        (
            "protocols=[\"elpv-high\"]",
            "protocol = \"elpv-high\": expected one of",
        ),
        ("classes=[\"momo\"]", "classes = \"momo\": expected"),
        (
            "detectors.patchcore.kind=\"patchcor\"",
            "kind = \"patchcor\": expected one of",
        ),
    ] {
        for verb in ["sweep", "plan"] {
            let mut args = vec![verb, "experiments/demo.toml", "--profile", "smoke"];
            args.extend(["--data", "datasets/elpv-sample"]);
            args.extend(["--set", BACKBONE, "--set", set]);
            let out = place.path("a");
            if verb == "sweep" {
                args.extend(["--out", out.to_str().unwrap()]);
            }
            let message = expect(place.segad(&args), 3);
            assert!(message.contains(expected), "{verb} {set}: {message}");
        }
    }
    assert_eq!(
        std::fs::read_to_string(earlier).unwrap(),
        "of an earlier run"
    );
    assert_eq!(std::fs::read_dir(place.path("a")).unwrap().count(), 1);
    let demo = place.segad(&[
        "demo",
        "--data",
        "datasets/elpv-sample",
        "--profile",
        "quik",
    ]);
    let message = expect(demo, 3);
    assert!(
        message.contains("profile = \"quik\": expected one of"),
        "{message}"
    );
}

#[test]
fn a_plan_needs_neither_store_nor_data() {
    let place = Place::new();
    let plan = |more: &[&str], code: i32| {
        let mut args = vec!["plan", "experiments/demo.toml", "--set", BACKBONE];
        args.extend(more);
        if !more.contains(&"paper") {
            args.extend(["--profile", "smoke"]);
        }
        let output = place.segad(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let with = plan(&["--data", "datasets/elpv-sample"], 0);
    assert!(with.contains("miss ") && !with.contains("unused"), "{with}");
    // Of a row whose forest is wrong, nothing is shown as if it were wanted.
    let wrong = [
        "--data",
        "datasets/elpv-sample",
        "--set",
        "defaults.forest=\"brrf\"",
    ];
    let wrong = plan(&wrong, 3);
    assert!(
        wrong.contains("cannot be planned") && !wrong.contains("unused"),
        "{wrong}"
    );
    let without = plan(&["--profile", "paper"], 0);
    assert!(without.contains("data set elpv not found") && without.contains("fetch elpv"));
    assert!(
        without.contains("fit: 1 cells") || without.contains("fit: "),
        "{without}"
    );
    assert!(!place.path("cache/store").exists());
    expect(place.segad(&["store", "ls"]), 5);
    expect(place.segad(&["store", "verify"]), 5);
    assert!(!place.path("cache/store").exists());
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let place = Place::new();
    let commands: [&[&str]; 6] = [
        &["completions", "bash"],
        &["config", "experiments/demo.toml"],
        &[
            "plan",
            "experiments/demo.toml",
            "--profile",
            "smoke",
            "--set",
            BACKBONE,
        ],
        &["results"],
        &["--help"],
        &["fit", "--help"],
    ];
    for words in commands {
        let mut child = place
            .segad(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            stderr(&output)
        );
        assert_eq!(stderr(&output), "", "{words:?}");
    }
    // Messages that nobody reads.
    for (words, code) in [
        (&["plan", "nowhere.toml"][..], 5),
        (&["fit", "a", "--out", "b", "--folds", "1"], 3),
        (&["inspct"], 2),
    ] {
        let mut child = place.segad(words).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{words:?}");
    }
}

#[test]
fn openmp_waits_passively_in_the_bare_binary() {
    let place = Place::new();
    let environment = |own: Option<&str>| {
        let mut command = place.segad(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env_remove("OMP_WAIT_POLICY")
            .env_remove("GOMP_SPINCOUNT");
        if let Some(own) = own {
            command.env("OMP_WAIT_POLICY", own);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Once it serves, it is past its start.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("http://"), "{line}");
        let environment = std::fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        String::from_utf8_lossy(&environment).into_owned()
    };
    let set = environment(None);
    assert!(set.contains("OMP_WAIT_POLICY=PASSIVE") && set.contains("GOMP_SPINCOUNT=1000"));
    let own = environment(Some("ACTIVE"));
    assert!(own.contains("OMP_WAIT_POLICY=ACTIVE") && own.contains("GOMP_SPINCOUNT=1000"));
}

#[test]
fn commands_work_in_any_folder() {
    let place = Place::new();
    let here = place.path("here");
    std::fs::create_dir_all(&here).unwrap();
    let sample = root().join("datasets/elpv-sample");
    let mut command = place.segad(&["demo", "--profile", "smoke", "--set", BACKBONE]);
    command.current_dir(&here).arg("--data").arg(&sample);
    expect(command, 0);
    assert!(here.join("results/smoke/demo/table.md").exists());
    let mut command = place.segad(&["plan", "experiments/ablations/quantile.toml"]);
    command.current_dir(&here);
    expect(command, 0);
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
        3,
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
        5,
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
