//! Cells as tasks of schedulers: the same bytes as from one process, and clear ends where a
//! scheduler is missing or refuses. Slurm and HyperQueue run on this machine where they are
//! installed.

mod hyperqueue;
mod slurm;

use crate::support::{Place, expect, stderr};
use serde_json::Value;
use std::process::Command;

/// Tells that a test did nothing.
#[expect(clippy::print_stderr, reason = "a test runner shows what tests print")]
fn not_run(why: &str) {
    eprintln!("{why}, not run");
}

/// A table of the paper in profile smoke on miniature data, from a store of its own.
fn table(place: &Place, out: &str, more: &[&str]) -> Command {
    run(place, "sweep", out, more)
}

fn run(place: &Place, verb: &str, name: &str, more: &[&str]) -> Command {
    let [out, store] = [name.to_owned(), format!("{name}-store")].map(|n| place.path(&n));
    let [out, store] = [out.to_str().unwrap(), store.to_str().unwrap()];
    let mut args = vec![verb, "experiments/table6.toml", "--profile", "smoke"];
    args.extend(["--data", "mini", "--store", store]);
    if verb == "sweep" {
        args.extend(["--out", out]);
    }
    args.extend(more);
    place.segad(&args)
}

/// Holds what `start` computes against a run in one process, which an executor must not do itself.
fn same_as_one_process(place: &Place, mut start: impl FnMut(&str) -> Command) {
    let alone = expect(table(place, "alone", &["--threads", "2"]), 0);
    let text = expect(start("tasks"), 0);
    assert_eq!(place.results("alone"), place.results("tasks"));
    let computed = alone.split(" cells computed").next().unwrap();
    let computed = computed.rsplit(['\n', ' ']).next().unwrap();
    let shared = format!("0 cells computed here, {computed} by others, 0 from the store");
    assert!(text.contains(&shared), "{text}");
    // Nothing is submitted where nothing is missing.
    let again = expect(start("tasks"), 0);
    assert!(!again.contains("submitted"), "{again}");
}

/// The plan's cells.
fn planned(place: &Place, name: &str) -> Vec<Value> {
    let output = run(place, "plan", name, &["--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["cells"].as_array().unwrap().clone()
}

/// The first of them of a kind.
fn first<'a>(cells: &'a [Value], kind: &str) -> &'a Value {
    cells.iter().find(|cell| cell["kind"] == kind).unwrap()
}

#[test]
fn a_scheduler_that_is_not_there_is_named() {
    let place = Place::bare();
    std::fs::create_dir(place.path("bin")).unwrap();
    for (executor, program) in [("slurm", "sbatch"), ("hq", "hq")] {
        let mut command = table(&place, "a", &["--executor", executor]);
        command.env("PATH", place.path("bin"));
        let message = expect(command, 3);
        assert!(
            message.contains(&format!("error: {program}: ")),
            "{message}"
        );
        assert!(message.contains("in PATH"), "{message}");
    }
    let message = expect(table(&place, "a", &["--executor", "pbs"]), 3);
    assert!(
        message.contains("--executor = pbs: expected one of local, slurm, hq"),
        "{message}"
    );
}

#[test]
fn what_would_be_submitted_is_printed() {
    let place = Place::bare();
    let print = |format| {
        let output = run(&place, "plan", "a", &["--format", format])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let cells = planned(&place, "a");
    let fit = &first(&cells, "fit")["key"].as_str().unwrap()[..16];
    let slurm = print("slurm");
    assert!(
        slurm.contains("sbatch --parsable") && slurm.contains(fit),
        "{slurm}"
    );
    let hq: toml::Table = print("hq").parse().unwrap();
    assert!(hq["task"].as_array().is_some_and(|tasks| tasks.len() > 1));
    let k8s: Value = serde_json::from_str(&print("k8s")).unwrap();
    assert_eq!(k8s["kind"], "List");
    assert!(!place.path("a-store").exists());
}

#[test]
fn a_task_leaves_what_it_needs_to_others() {
    let place = Place::bare();
    let cells = planned(&place, "a");
    let cell = |key: &str, more: &[&str]| run(&place, "cell", "a", &[&[key], more].concat());
    // A key that another version or other options gave.
    let message = expect(cell("0000000000000000", &[]), 4);
    assert!(message.contains("has no such cell in segad"), "{message}");
    // The fit fails, and that is kept.
    let maps = first(&cells, "maps");
    let fit = maps["needs"][0].as_str().unwrap();
    expect(cell(fit, &["--time-limit", "0.001s"]), 1);
    let message = expect(cell(maps["key"].as_str().unwrap(), &["--no-needs"]), 1);
    assert!(
        message.contains("which failed: stopped at the time limit"),
        "{message}"
    );
}
