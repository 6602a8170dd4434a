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
    let file = find(&store, "scores.parquet").pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = place.segad(&["store", "verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("1 damaged") && text.contains("scores.parquet"),
        "{text}"
    );
}

#[test]
fn ctrl_c_ends_with_130_and_loses_nothing() {
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
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
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
