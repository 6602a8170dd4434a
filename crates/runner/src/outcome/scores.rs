//! The scores of all results.

use super::columns::Columns;
use crate::Failure;
use crate::schedule::Outcome;
use crate::workbench::Workbench;
use segad_core::BoxError;
use segad_grid::{Experiment, Plan};
use segad_report::{ScoreRow, ScoreTable};
use std::path::Path;

/// Scores of every result, and which have none and why.
pub(super) fn collect(
    experiment: &Experiment,
    plan: &Plan,
    outcome: &Outcome,
    bench: &Workbench,
) -> Result<(Vec<ScoreRow>, Vec<segad_report::Failure>), Failure> {
    let columns = Columns::of(experiment, plan);
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for result in &plan.results {
        let row = &experiment.rows[result.row].name;
        let class = columns.heading(result);
        let found = match &result.cell {
            Ok(id) => outcome.reason(plan, *id).map_or(Ok(*id), Err),
            Err(fault) => Err(fault.to_string()),
        };
        let id = match found {
            Ok(id) => id,
            Err(reason) => {
                missing.push(segad_report::Failure {
                    row: row.clone(),
                    class,
                    seed: result.seed,
                    reason,
                });
                continue;
            }
        };
        let cell = &plan.cells[id.0];
        let entry = bench.stored(cell)?;
        let table = segad_store::read_features(&entry.path("scores.parquet")?)?;
        for (sample, &score) in cell.split.test.samples().iter().zip(table.values()) {
            rows.push(ScoreRow {
                row: row.clone(),
                class: class.clone(),
                seed: result.seed,
                filepath: sample.id.clone(),
                label: sample.label,
                group: sample.group.clone(),
                score,
            });
        }
    }
    Ok((rows, missing))
}

/// How a run ends that lacks results, or `all` of them.
pub(super) fn failure(
    missing: &[segad_report::Failure],
    all: bool,
    plan: &Plan,
    outcome: &Outcome,
) -> Option<Failure> {
    let first = missing.first()?;
    let rest = match all {
        true => "there are no others, so nothing is written",
        false => "the others are written",
    };
    let message = format!(
        "{} results are missing, {rest}; first: {}, {}, seed {}: {}",
        missing.len(),
        first.row,
        first.class,
        first.seed,
        first.reason
    );
    // Codes 5 and 7 promise that mending one thing is enough, so all losses must agree.
    let planned = plan.results.iter().all(|r| r.cell.is_ok());
    Some(match planned {
        true => outcome.failure(plan, message),
        false => Failure::Cells(message),
    })
}

/// The scores again, for programs: the same columns as `scores.csv`.
pub(super) fn write(path: &Path, scores: &ScoreTable) -> Result<(), BoxError> {
    Ok(segad_store::write_scores(path, scores.rows())?)
}
