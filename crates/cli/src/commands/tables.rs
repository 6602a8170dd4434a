//! `tables`: makes the tables of `results/` again out of their metrics, or checks that they are
//! what the metrics give.

use segad_report::{ReportError, Results};
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::path::{Path, PathBuf};

/// What a folder of results holds that this command needs.
const INPUTS: [&str; 2] = ["table.json", "metrics.csv"];

/// A file of tables and what writes it.
type Writer = (&'static str, fn(&Results) -> Result<String, ReportError>);

const WRITERS: [Writer; 4] = [
    ("table.md", segad_report::table_md),
    ("table.tex", segad_report::table_tex),
    ("table.csv", segad_report::table_csv),
    ("table.json", segad_report::table_json),
];

/// Goes through the named folders of `results`, or all; faults of one do not keep the others from
/// being done.
pub(super) fn run(
    names: &[String],
    results: &Path,
    check: bool,
    bars: &Bars,
) -> Result<(), Failure> {
    let mut folders = Vec::new();
    find(results, &INPUTS, &mut folders)?;
    let name = |folder: &Path| {
        folder
            .strip_prefix(results)
            .unwrap_or(folder)
            .display()
            .to_string()
    };
    if let Some(unknown) = names
        .iter()
        .find(|n| !folders.iter().any(|f| name(f) == **n))
    {
        let known: Vec<String> = folders.iter().map(|f| name(f)).collect();
        let message = format!(
            "{}: no results are called {unknown:?}; there are {}",
            results.display(),
            known.join(", ")
        );
        return Err(Failure::NothingSelected(message));
    }
    folders.retain(|f| names.is_empty() || names.contains(&name(f)));
    if folders.is_empty() {
        return Err(Failure::NothingSelected(format!(
            "{}: no results are there",
            results.display()
        )));
    }
    let mut worst: Option<Failure> = None;
    for folder in &folders {
        match one(folder, check) {
            Ok(()) => bars.line(&format!(
                "{}: the tables are those of metrics.csv",
                folder.display()
            )),
            Err(failure) => {
                bars.line(&format!("{}: {failure}", folder.display()));
                let more = worst
                    .as_ref()
                    .is_none_or(|w| failure.exit_code() > w.exit_code());
                worst = if more { Some(failure) } else { worst };
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

/// Folders that hold all these files, at any depth.
pub(super) fn find(folder: &Path, files: &[&str], found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if files.iter().all(|f| folder.join(f).is_file()) {
        found.push(folder.to_owned());
    }
    let mut inside = segad_files::list_dir(folder).map_err(Failure::input)?;
    inside.sort();
    inside
        .iter()
        .filter(|path| path.is_dir())
        .try_for_each(|path| find(path, files, found))
}

fn one(folder: &Path, check: bool) -> Result<(), Failure> {
    let read = |name: &str| segad_files::read_to_string(&folder.join(name)).map_err(Failure::input);
    let [json, metrics] = INPUTS.map(read);
    let named = |e: ReportError| Failure::Input(format!("{}: {e}", folder.display()));
    let results = segad_report::read_table(&json?, &metrics?).map_err(named)?;
    let mut differing = Vec::new();
    for (name, write) in WRITERS {
        let now = write(&results).map_err(named)?;
        let path = folder.join(name);
        let before = if path.is_file() {
            read(name)?
        } else {
            String::new()
        };
        if before == now {
            continue;
        }
        if !check {
            segad_files::write_atomic(&path, now.as_bytes()).map_err(Failure::input)?;
            continue;
        }
        differing.push(format!("{name} is not what metrics.csv gives"));
        if name == "table.csv" {
            let drifts = segad_report::drift(&before, &now).map_err(named)?;
            differing.extend(drifts.into_iter().map(|drift| drift.to_string()));
        }
    }
    if differing.is_empty() {
        Ok(())
    } else {
        Err(Failure::Differs(differing.join("\n")))
    }
}
