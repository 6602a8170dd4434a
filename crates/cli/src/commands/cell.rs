//! `cell`: computes given cells, for programs that distribute work.

use super::run::{self, Planned};
use super::setup::{self, Prepared, Purpose};
use crate::session::Session;
use segad_args::RunArgs;
use segad_grid::{CellIndex, Experiment, Plan};
use segad_runner::{Failure, Workbench};
use std::path::Path;

pub(super) fn run(
    file: &Path,
    keys: &[String],
    args: &RunArgs,
    session: &Session,
) -> Result<(), Failure> {
    let Prepared { experiment, bench } = setup::prepare(file, &args.plan, session, Purpose::Run)?;
    run::repairing(&bench, || compute(file, keys, args, &experiment, &bench))
}

fn compute(
    file: &Path,
    keys: &[String],
    args: &RunArgs,
    experiment: &Experiment,
    bench: &Workbench,
) -> Result<(), Failure> {
    let Planned { plan, .. } = run::plan(file, experiment, bench)?;
    let mut wanted = Vec::with_capacity(keys.len());
    for key in keys {
        wanted.push(find(&plan, key, file)?);
    }
    let outcome = run::compute(bench, &plan, &wanted, args)?;
    bench.bars.line(&run::describe(&outcome));
    let mut reasons = Vec::new();
    for id in wanted {
        let reason = outcome.reason(&plan, id);
        reasons.extend(reason.map(|reason| format!("{}: {reason}", plan.cells[id.0])));
    }
    let Some(first) = reasons.first() else {
        return Ok(());
    };
    let message = format!("{} cells are missing; first: {first}", reasons.len());
    Err(outcome.failure(&plan, message))
}

/// The cell whose key begins so.
fn find(plan: &Plan, key: &str, file: &Path) -> Result<CellIndex, Failure> {
    let begins = |cell: &segad_grid::Cell| !key.is_empty() && cell.key.to_string().starts_with(key);
    let mut found = (0..plan.cells.len()).filter(|&i| begins(&plan.cells[i]));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(CellIndex(only)),
        (Some(one), Some(other)) => Err(Failure::Configuration(format!(
            "key {key:?}: expected enough of it to tell {} from {}",
            plan.cells[one], plan.cells[other]
        ))),
        (None, _) => Err(Failure::NothingSelected(format!(
            "key {key:?}: {} has no such cell; `segad plan` with the same options lists them",
            file.display()
        ))),
    }
}
