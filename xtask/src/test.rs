//! `cargo xtask test` and `cargo xtask bench`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use segad_provision::exit;
use segad_provision::native::Native;

use crate::error::XtaskError;
use crate::setup::Context;
use crate::{bench, cargo, dist};

/// What is checked before the tests: a name, and cargo's arguments.
const CHECKS: [(&str, &[&str]); 4] = [
    ("formatting", &["fmt", "--all", "--check"]),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    (
        "documentation",
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--config",
            "build.rustdocflags=['-D', 'warnings']",
        ],
    ),
    ("documentation tests", &["test", "--doc", "--workspace"]),
];

/// Checks whose program may be absent. Advisories on dependencies are not among them: they change
/// without a commit.
const OPTIONAL: [(&str, &str, &[&str]); 2] = [
    ("spelling", "typos", &[]),
    (
        "dependencies",
        "cargo-deny",
        &["check", "bans", "licenses", "sources"],
    ),
];

/// Runs every check, even after one has failed; the tests come last, so that their summary ends the
/// output. With filters, runs only the tests that they select.
pub(crate) fn run(
    context: &Context,
    native: &Native,
    filters: &[OsString],
) -> Result<u8, XtaskError> {
    let mut failed = Vec::new();
    if filters.is_empty() {
        for (name, program, arguments) in OPTIONAL {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&context.root);
            if !is_installed(Command::new(program)) {
                tell!("── {name}: skipped, {program} is not installed");
            } else if !passes(name, &mut command)? {
                failed.push(name);
            }
        }
        for (name, arguments) in CHECKS {
            let mut command = cargo::command(&context.root, Some(native));
            if !passes(name, command.args(arguments))? {
                failed.push(name);
            }
        }
    }
    // insta appends the path of every snapshot that a test compares with.
    let references = std::env::temp_dir().join(format!("segad-snapshots-{}", std::process::id()));
    let mut nextest = cargo::command(&context.root, None);
    nextest.arg("nextest");
    let mut tests = cargo::command(&context.root, Some(native));
    tests
        .args(test_runner(is_installed(nextest)))
        .args(filters)
        .env("INSTA_SNAPSHOT_REFERENCES_FILE", &references);
    match python(context)? {
        Some(python) => tests.env("SEGAD_TEST_PYTHON", python),
        None => {
            tell!("── tests of HyperQueue: skipped, no Python from 3.11 on with pip and network");
            &mut tests
        }
    };
    if !passes("tests", &mut tests)? {
        failed.push("tests");
    } else if filters.is_empty() {
        // Only a complete run that passed has come to every snapshot.
        let list = segad_files::read_to_string_if_present(&references)?.unwrap_or_default();
        // A test that is gone would otherwise leave its snapshot for good.
        let unused = unused_snapshots(&context.root, &list)?;
        for path in &unused {
            tell!("{}: no test uses this snapshot", path.display());
        }
        if !unused.is_empty() {
            failed.push("snapshots");
        }
    }
    segad_files::remove(&references)?;
    if filters.is_empty() {
        tell!("── Python package");
        match dist::test_python(context, native)? {
            Some(true) => tell!("── Python package: passed"),
            Some(false) => failed.push("Python package"),
            None => {
                tell!("── Python package: skipped, no Python from 3.10 on with pip and network")
            }
        }
    }
    if failed.is_empty() {
        return Ok(exit::OK);
    }
    tell!("failed: {}", failed.join(", "));
    Ok(exit::FAILED)
}

/// A Python with the packages that tests use, where it can be had.
fn python(context: &Context) -> Result<Option<PathBuf>, XtaskError> {
    let folder = context.provisioner.cache.root().join("python/tests");
    // 3.11 is the first that reads TOML.
    let pythons = [
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3",
    ];
    bench::environment(context, &folder, &pythons, &["hyperqueue==0.27.*"])
}

/// cargo's arguments for running the tests; every failure is shown, not only the first.
fn test_runner(nextest: bool) -> &'static [&'static str] {
    if nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
        ]
    }
}

fn is_installed(mut program: Command) -> bool {
    program
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seconds that a check took are for the user"
)]
fn passes(name: &str, command: &mut Command) -> Result<bool, XtaskError> {
    tell!("── {name}");
    let start = Instant::now();
    let passed = cargo::status(command)?.success();
    let outcome = if passed { "passed" } else { "FAILED" };
    let seconds = start.elapsed().as_secs_f64();
    tell!("── {name}: {outcome} in {seconds:.0} s");
    Ok(passed)
}

/// Snapshots below `root` that are not among the paths in `list`, one per line.
fn unused_snapshots(root: &Path, list: &str) -> Result<Vec<PathBuf>, XtaskError> {
    // Tests outside their crate's folder give paths such as crates/x/../../tests/snapshots/y.snap.
    let used: BTreeSet<PathBuf> = list
        .lines()
        .filter_map(|line| segad_files::real_path(Path::new(line)).ok())
        .collect();
    let mut unused = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests", "xtask"].map(|f| root.join(f)).into();
    while let Some(folder) = folders.pop() {
        for path in segad_files::list_all(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "snap")
                && !used.contains(&segad_files::real_path(&path)?)
            {
                unused.push(path);
            }
        }
    }
    unused.sort();
    Ok(unused)
}

/// Runs one benchmark or all, in the profile that the demo is built in: what users run is what is
/// measured.
pub(crate) fn bench(
    context: &Context,
    native: &Native,
    name: Option<&str>,
    arguments: &[OsString],
) -> Result<u8, XtaskError> {
    let mut command = cargo::command(&context.root, Some(native));
    command.args(["bench", "--workspace", "--profile", "dev"]);
    match name {
        Some(name) => command.args(["--bench", name]),
        None => command.arg("--benches"),
    };
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    let status = cargo::status(&mut command)?;
    Ok(if status.success() {
        exit::OK
    } else {
        exit::FAILED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_are_shown_with_and_without_nextest() {
        for nextest in [true, false] {
            assert!(test_runner(nextest).contains(&"--no-fail-fast"));
        }
        assert_eq!(test_runner(false)[0], "test");
    }

    #[test]
    fn snapshots_that_no_test_uses_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in [
            "crates/a/tests/used.snap",
            "tests/unused.snap",
            "xtask/src/main.rs",
        ] {
            segad_files::write_with_parents(&root.join(path), b"").unwrap();
        }
        let list = format!("{}/crates/a/src/../tests/used.snap\n", root.display());
        segad_files::create_dir(&root.join("crates/a/src")).unwrap();
        let unused = unused_snapshots(root, &list).unwrap();
        assert_eq!(unused, [root.join("tests/unused.snap")]);
    }
}
