//! `tables`: regenerates the tables of `results/` from stored metrics, or checks that they match.

use segad_report::{ReportError, Results};
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::path::{Path, PathBuf};

/// The files of a results folder that this command reads.
const INPUTS: [&str; 2] = ["table.json", "metrics.csv"];

/// A file of tables and what writes it.
type Writer = (&'static str, fn(&Results) -> Result<String, ReportError>);

const WRITERS: [Writer; 4] = [
    ("table.md", segad_report::table_md),
    ("table.tex", segad_report::table_tex),
    ("table.csv", segad_report::table_csv),
    ("table.json", segad_report::table_json),
];

/// Goes through the named folders of `results`, or all; a fault in one does not stop the others.
pub(super) fn run(
    names: &[String],
    results: &Path,
    check: bool,
    bars: &Bars,
) -> Result<(), Failure> {
    let mut folders = Vec::new();
    find(results, &INPUTS, &mut folders)?;
    let known: Vec<String> = folders.iter().map(|f| name(f, results)).collect();
    if let Some(unknown) = names.iter().find(|n| !known.contains(n)) {
        return Err(Failure::NothingSelected(format!(
            "{}: no results are called {unknown:?}; known: {}",
            results.display(),
            known.join(", ")
        )));
    }
    folders.retain(|f| names.is_empty() || names.contains(&name(f, results)));
    if folders.is_empty() {
        return Err(Failure::NothingSelected(format!(
            "{}: no results found",
            results.display()
        )));
    }
    let mut worst = None;
    for folder in &folders {
        match regenerate(folder, check) {
            Ok(()) => bars.line(&format!("{}: tables match metrics.csv", folder.display())),
            Err(failure) => {
                bars.line(&format!("{}: {failure}", folder.display()));
                worst = super::worse(worst, failure);
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

/// A folder as the command line names it.
fn name(folder: &Path, results: &Path) -> String {
    folder
        .strip_prefix(results)
        .unwrap_or(folder)
        .display()
        .to_string()
}

/// Folders that hold all these files, at any depth.
pub(super) fn find(folder: &Path, files: &[&str], found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if files.iter().all(|f| folder.join(f).is_file()) {
        found.push(folder.to_owned());
    }
    let mut inside = segad_files::list_dir(folder)?;
    inside.sort();
    inside
        .iter()
        .filter(|path| path.is_dir())
        .try_for_each(|path| find(path, files, found))
}

fn regenerate(folder: &Path, check: bool) -> Result<(), Failure> {
    let [json, metrics] = INPUTS.map(|name| segad_files::read_to_string(&folder.join(name)));
    let json = json?;
    let metrics = metrics?;
    let results = segad_report::read_table(&json, &metrics)?;
    let mut differing = Vec::new();
    for (name, write) in WRITERS {
        let now = write(&results)?;
        let path = folder.join(name);
        let before = segad_files::read_to_string_if_present(&path)?;
        // A table that was never written differs as one that is out of date does.
        let before = before.unwrap_or_default();
        if before == now {
            continue;
        }
        if !check {
            segad_files::write_atomic(&path, now.as_bytes())?;
            continue;
        }
        differing.push(format!("{name} does not match metrics.csv"));
        if name == "table.csv" {
            let drifts = segad_report::drift(&before, &now, 0.0)?;
            differing.extend(drifts.into_iter().map(|drift| drift.to_string()));
        }
    }
    if differing.is_empty() {
        Ok(())
    } else {
        Err(Failure::Differs(differing.join("\n")))
    }
}
