//! `cargo xtask test` and `cargo xtask bench`.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use segad_provision::exit;
use segad_provision::native::Native;

use crate::cargo;
use crate::error::XtaskError;
use crate::setup::Context;

/// Runs every check, the tests last so that their summary ends the output; all run even if one
/// fails.
pub(crate) fn run(
    context: &Context,
    native: &Native,
    filters: &[OsString],
) -> Result<u8, XtaskError> {
    let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
    let cargo = |arguments: &[&str]| {
        let mut command = cargo::command(&context.root, Some(native));
        command.args(arguments);
        command
    };
    let mut steps = Vec::new();
    // With a filter, only the tests that it names are wanted.
    if filters.is_empty() {
        steps.push(("formatting", cargo(&["fmt", "--all", "--check"])));
        steps.push((
            "lints",
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
        ));
        steps.push((
            "documentation tests",
            cargo(&["test", "--doc", "--workspace"]),
        ));
    }
    let mut tests = cargo(runner(has_nextest(context), ci));
    tests.args(filters);
    steps.push(("tests", tests));

    let mut failed = Vec::new();
    for (name, mut command) in steps {
        eprintln!("── {name}");
        let seconds = timed(&mut command)?;
        match seconds {
            (true, seconds) => eprintln!("── {name}: passed in {seconds:.0} s"),
            (false, seconds) => {
                eprintln!("── {name}: FAILED in {seconds:.0} s");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(exit::OK);
    }
    eprintln!("failed: {}", failed.join(", "));
    Ok(exit::FAILED)
}

/// cargo's arguments for running the tests.
fn runner(nextest: bool, ci: bool) -> &'static [&'static str] {
    match (nextest, ci) {
        (true, true) => &["nextest", "run", "--workspace", "--profile", "ci"],
        (true, false) => &["nextest", "run", "--workspace"],
        // --no-fail-fast as in nextest's profile.
        (false, true) => &[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
        ],
        (false, false) => &["test", "--workspace", "--lib", "--bins", "--tests"],
    }
}

fn has_nextest(context: &Context) -> bool {
    cargo::command(&context.root, None)
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seconds of a step are for the user"
)]
fn timed(command: &mut Command) -> Result<(bool, f64), XtaskError> {
    let start = Instant::now();
    let status = cargo::status(command)?;
    Ok((status.success(), start.elapsed().as_secs_f64()))
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
    fn ci_has_its_profile_and_nextest_is_not_required() {
        assert!(runner(true, true).ends_with(&["--profile", "ci"]));
        assert!(!runner(true, false).contains(&"ci"));
        assert_eq!(runner(false, true)[0], "test");
    }
}
