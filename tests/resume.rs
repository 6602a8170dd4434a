//! Killed runs, running twice at once, damaged results.

use crate::support::{Place, expect, stderr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let place = Place::new();
    let whole = place.path("whole");
    expect(
        place.demo("whole-out", &["--store", whole.to_str().unwrap()]),
        0,
    );
    let killed = place.path("killed");
    // Killed at ever later moments; what each attempt finished is kept.
    for attempt in 1..=6u64 {
        let mut child = place
            .demo("killed-out", &["--store", killed.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(attempt * 400));
        // Fails only if it has already ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
    }
    expect(
        place.demo("killed-out", &["--store", killed.to_str().unwrap()]),
        0,
    );
    assert_eq!(place.results("whole-out"), place.results("killed-out"));
}

#[test]
fn two_runs_share_one_store() {
    let place = Place::new();
    let start = |out: &str| {
        place
            .demo(out, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (a, b) = (start("a"), start("b"));
    for child in [a, b] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(place.results("a"), place.results("b"));
}

#[test]
fn a_damaged_result_is_named() {
    let place = Place::new();
    expect(place.demo("a", &["--only", "PatchCore + SegAD"]), 0);
    let store = place.path("cache/store");
    flip_a_bit(&find(&store, "scores.parquet").pop().unwrap());
    let output = place.segad(&["store", "verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("1 damaged") && text.contains("scores.parquet"),
        "{text}"
    );
}

#[test]
fn damaged_results_are_computed_again() {
    let place = Place::new();
    let only = ["--only", "PatchCore + SegAD"];
    expect(place.demo("a", &only), 0);
    let store = place.path("cache/store");
    let before = place.results("a");
    // One that the tables read, and one that only what was computed before has read.
    for (kind, name) in [("evaluate", "scores.parquet"), ("maps", "maps.parquet")] {
        flip_a_bit(&find(&store.join("v1").join(kind), name).pop().unwrap());
        let message = expect(place.demo("a", &only), 0);
        assert!(message.contains("damaged, moved to"), "{name}: {message}");
        assert_eq!(place.results("a"), before);
    }
    // A chain: the forest is gone, and the statistics that it needs are damaged.
    std::fs::remove_dir_all(store.join("v1/forest")).unwrap();
    std::fs::remove_dir_all(store.join("v1/evaluate")).unwrap();
    flip_a_bit(&find(&store, "features.parquet").pop().unwrap());
    expect(place.demo("a", &only), 0);
    assert_eq!(place.results("a"), before);

    flip_a_bit(&find(&store.join("v1/forest"), "forest.bin").pop().unwrap());
    expect(place.segad(&["store", "verify"]), 5);
    let repaired = place.segad(&["store", "repair"]).output().unwrap();
    let text = String::from_utf8_lossy(&repaired.stdout).into_owned();
    assert_eq!(repaired.status.code(), Some(0), "{text}");
    assert!(
        text.contains("1 damaged cells moved") && text.contains("forest.bin"),
        "{text}"
    );
    expect(place.segad(&["store", "verify"]), 0);
}

fn flip_a_bit(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_signal_ends_a_run_with_its_code_and_loses_nothing() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        interrupt(signal, code);
    }
}

fn interrupt(signal: &str, code: i32) {
    let place = Place::new();
    let mut child = place
        .demo("a", &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Wait for the first stored cell, so that the run is surely under way.
    while find(&place.path("cache/store"), "meta.json").is_empty() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before it stored anything"
        );
        sleep(Duration::from_millis(20));
    }
    let interrupted = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let since = std::time::Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(code));
    assert!(since.elapsed() < Duration::from_secs(20));
    let before = find(&place.path("cache/store"), "meta.json").len();
    assert!(before > 0);
    expect(place.demo("a", &[]), 0);
}

/// Files of this name anywhere below a folder.
fn find(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.filter_map(|e| Some(e.ok()?.path())) {
        if path.is_dir() {
            found.extend(find(&path, name));
        } else if path.file_name().is_some_and(|n| n == name) {
            found.push(path);
        }
    }
    found
}
