//! `cell`: computes given cells, for programs that distribute work.

use super::run::{self, Planned};
use super::setup::{self, Prepared, Purpose};
use crate::session::Session;
use segad_args::RunArgs;
use segad_grid::{CellIndex, Plan};
use segad_runner::clock::Stopwatch;
use segad_runner::schedule::is_network;
use segad_runner::{Failure, Workbench, machine};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How long a file may take to be seen on another machine; network file systems remember for up to
/// a minute that there was none.
const LATE: Duration = Duration::from_secs(75);

pub(super) fn run(
    file: &Path,
    keys: &[String],
    no_needs: bool,
    args: &RunArgs,
    session: &Session,
) -> Result<(), Failure> {
    let Prepared { experiment, bench } = setup::prepare(file, &args.plan, session, Purpose::Tasks)?;
    run::repairing(&bench, || {
        let Planned { plan, .. } = run::plan(file, &experiment, &bench)?;
        let wanted: Vec<CellIndex> = keys
            .iter()
            .map(|key| find(&plan, key, file))
            .collect::<Result<_, _>>()?;
        if no_needs {
            check_needs(&bench, &plan, &wanted)?;
        }
        let stored = bench.store.committed()?;
        let open = plan.needed_for(&wanted, |kind, key| stored.contains(kind, key));
        if open.iter().any(|id| is_network(plan.cells[id.0].kind)) {
            // Not the cell's failure, which would be remembered for all machines.
            segad_nn::choose_devices(&args.plan.machine.device).map_err(Failure::configuration)?;
        }
        compute(&bench, &plan, wanted, args)
    })
}

/// Waits for what the given cells need, and fails if it does not come.
fn check_needs(bench: &Workbench, plan: &Plan, wanted: &[CellIndex]) -> Result<(), Failure> {
    let store = &bench.store;
    let watch = Stopwatch::start();
    loop {
        let stored = store.committed()?;
        let is_stored =
            |id: CellIndex| stored.contains(plan.cells[id.0].kind, &plan.cells[id.0].key);
        let missing = wanted.iter().filter(|&&id| !is_stored(id));
        let mut needs = missing.flat_map(|id| &plan.cells[id.0].needs);
        let Some(absent) = needs.find(|&&need| !wanted.contains(&need) && !is_stored(need)) else {
            return Ok(());
        };
        let need = &plan.cells[absent.0];
        if let Some(missing) = &need.missing {
            return Err(Failure::Input(format!("needs {need}: {missing}")));
        }
        if let Some(failed) = store.failure(need.kind, &need.key) {
            return Err(Failure::with_code(
                failed.exit_code,
                format!("needs {need}, which failed: {}", failed.reason),
            ));
        }
        if watch.elapsed() > LATE {
            return Err(Failure::Input(format!(
                "needs {need}, which is not in the store; compute it first, or leave out --no-needs"
            )));
        }
        if bench.interrupt.no_more.is_cancelled() {
            return Err(Failure::Interrupted("interrupted".to_owned()));
        }
        thread::sleep(store.patience());
    }
}

fn compute(
    bench: &Workbench,
    plan: &Plan,
    wanted: Vec<CellIndex>,
    args: &RunArgs,
) -> Result<(), Failure> {
    let outcome = run::compute(bench, plan, &wanted, args)?;
    bench.bars.line(&run::describe(&outcome));
    let mut reasons = Vec::new();
    for id in wanted {
        let reason = outcome.reason(plan, id);
        reasons.extend(reason.map(|reason| format!("{}: {reason}", plan.cells[id.0])));
    }
    let Some(first) = reasons.first() else {
        return Ok(());
    };
    let message = format!("{} cells are missing; first: {first}", reasons.len());
    Err(outcome.failure(plan, message))
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
            "key {key:?}: {} has no such cell in segad {} on a processor of the family {}; expected a \
             key that the same version planned with the same options on such a processor, as `segad \
             plan` lists them",
            file.display(),
            env!("CARGO_PKG_VERSION"),
            machine::processor()
        ))),
    }
}
