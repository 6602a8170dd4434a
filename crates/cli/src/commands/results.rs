//! `results`: queries over the metrics of stored results.

use super::{parse, print, tables};
use segad_args::Results;
use segad_report::{Answer, Column, Query, ReportError, read_metrics, read_table};
use segad_runner::Failure;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &Results) -> Result<(), Failure> {
    let mut query = Query::default();
    for filter in &args.filters {
        query.filters.push(parse("--where", filter)?);
    }
    for column in &args.by {
        query.by.push(parse::<Column>("--by", column)?);
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
    print(&if args.csv {
        answer.csv()?
    } else if args.json {
        answer.json()?
    } else {
        answer.markdown()
    })
}

fn answer(args: &Results, query: &Query) -> Result<Result<Answer, ReportError>, Failure> {
    let experiments = experiments(&args.folders)?;
    let file = |folder: &Path, name| segad_files::read_to_string(&folder.join(name));
    if args.paper {
        let mut results = Vec::new();
        for (name, folder) in experiments {
            let json = file(&folder, "table.json")?;
            let table = read_table(&json, &file(&folder, "metrics.csv")?);
            results.push((name, table.map_err(|e| damaged(&folder, &e))?));
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

/// The folders with metrics, and their names: the path below the folder that was searched, with
/// that folder in front if there are several.
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
            let below = folder.strip_prefix(root).unwrap_or(&folder);
            let name = match below.as_os_str().is_empty() || roots.len() > 1 {
                true => folder.display().to_string(),
                false => below.display().to_string(),
            };
            experiments.push((name, folder));
        }
    }
    Ok(experiments)
}

fn damaged(folder: &Path, error: &ReportError) -> Failure {
    Failure::Input(format!("{}: {error}", folder.display()))
}
