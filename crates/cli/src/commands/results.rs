//! `results`: queries over the metrics of stored results.

use super::{parse, print, print_table, tables};
use segad_args::Results as Arguments;
use segad_report::{Answer, Column, Query, ReportError, Results, read_metrics, read_table};
use segad_runner::Failure;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &Arguments) -> Result<(), Failure> {
    let mut query = Query::default();
    for filter in &args.filters {
        query.filters.push(parse("--where", filter)?);
    }
    for column in &args.by {
        let column = parse::<Column>("--by", column)?;
        if query.by.contains(&column) {
            let by = args.by.join(",");
            let message = format!("--by = {by}: expected each column once");
            return Err(Failure::Configuration(message));
        }
        query.by.push(column);
    }
    let answer = answer(args, &query)?.map_err(|error| match error {
        ReportError::NoValue { .. } => Failure::NothingSelected(error.to_string()),
        ReportError::Column { .. } => Failure::Configuration(error.to_string()),
        _ => Failure::input(error),
    })?;
    if answer.is_empty() {
        let message = "no value is left to show; ask for less with --where".to_owned();
        return Err(Failure::NothingSelected(message));
    }
    if args.csv {
        print(&answer.csv()?)
    } else if args.json {
        print(&answer.json()?)
    } else {
        print_table(&answer.markdown())
    }
}

fn answer(args: &Arguments, query: &Query) -> Result<Result<Answer, ReportError>, Failure> {
    let experiments = experiments(&args.folders)?;
    let file = |folder: &Path, name| segad_files::read_to_string(&folder.join(name));
    if args.paper {
        let mut results = Vec::new();
        for (name, folder) in experiments {
            let json = file(&folder, "table.json")?;
            let table = read_table(&json, &file(&folder, "metrics.csv")?);
            results.push((name, table.map_err(|e| damaged(&folder, &e))?));
        }
        let has_paper = |(_, results): &(String, Results)| results.experiment.paper.is_some();
        if !results.iter().any(has_paper) {
            return Err(Failure::NothingSelected(
                "--paper: none of these experiments is of a table of the paper".to_owned(),
            ));
        }
        return Ok(query.against_paper(&results));
    }
    let mut observations = Vec::new();
    for (name, folder) in experiments {
        let metrics = read_metrics(&name, &file(&folder, "metrics.csv")?);
        observations.extend(metrics.map_err(|e| damaged(&folder, &e))?);
    }
    Ok(match &args.against {
        Some(base) => query.difference(base, &observations),
        None => query.summary(&observations),
    })
}

/// The folders with metrics, and their names: the path below the folder that was searched, or the
/// name of that folder itself; the whole path where two would be called the same.
fn experiments(roots: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut experiments = Vec::new();
    for root in roots {
        let mut folders = Vec::new();
        tables::find(root, &["metrics.csv"], &mut folders)?;
        if folders.is_empty() {
            let message = format!("{}: no metrics.csv in it or below it", root.display());
            return Err(Failure::NothingSelected(message));
        }
        for folder in folders {
            experiments.push((name_of(&folder, root)?, folder));
        }
    }
    // Below two roots the same experiment may be found twice.
    let names: Vec<String> = experiments.iter().map(|(name, _)| name.clone()).collect();
    for (name, folder) in &mut experiments {
        if names.iter().filter(|other| *other == name).count() > 1 {
            *name = folder.display().to_string();
        }
    }
    Ok(experiments)
}

fn name_of(folder: &Path, root: &Path) -> Result<String, Failure> {
    let below = folder.strip_prefix(root).unwrap_or(folder);
    if !below.as_os_str().is_empty() {
        return Ok(below.display().to_string());
    }
    // `.` and `..` have no name of their own.
    Ok(segad_files::name_of(&segad_files::real_path(folder)?))
}

fn damaged(folder: &Path, error: &ReportError) -> Failure {
    Failure::Input(format!("{}: {error}", folder.display()))
}
