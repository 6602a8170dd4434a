//! Runs the cells of a plan that the store does not have, each under a lease, and keeps going past
//! failures.

mod attempt;
mod heartbeat;
mod outcome;

pub use outcome::{Failed, Outcome};

use crate::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use attempt::{Attempt, Worker};
use outcome::Frontier;
use rayon::prelude::*;
use segad_core::{Cancel, CellKind, Key};
use segad_grid::{CellIndex, Plan};
use segad_store::{FailedCell, Store};
use std::time::Duration;

/// How long to wait when every ready cell is being computed by somebody else.
const WAIT: Duration = Duration::from_millis(500);

/// Computes one cell and publishes its result.
pub trait Execute: Sync {
    /// Runs cell `id`; everything it needs is in the store. `cancel` asks it to stop at its next
    /// safe place.
    ///
    /// # Errors
    /// What went wrong, with file or value.
    fn execute(&self, plan: &Plan, id: CellIndex, cancel: &Cancel) -> Result<(), Failure>;
}

/// What to do about cells that fail.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// How often a cell that fails is tried again at once.
    pub retries: u32,
    /// How long one cell may take. A training that is stopped keeps its checkpoint and goes on from
    /// there when tried again.
    pub time_limit: Option<Duration>,
    /// Try cells again that failed in an earlier run of the same program; otherwise their failure
    /// stands.
    pub rerun_failed: bool,
    /// Which program this is.
    pub program: String,
}

impl Policy {
    /// The failure of an earlier run that still stands.
    pub fn standing(&self, store: &Store, kind: CellKind, key: &Key) -> Option<FailedCell> {
        if self.rerun_failed {
            return None;
        }
        let failure = store.failure(kind, key);
        failure.filter(|f| f.program == self.program)
    }
}

/// The reason of a cell that failed in an earlier run, with what to do about it.
pub fn standing_reason(failure: &FailedCell) -> String {
    let times = match failure.tries {
        1 => "once".to_owned(),
        tries => format!("{tries} times"),
    };
    format!(
        "{} (failed before, tried {times}; --rerun-failed tries again)",
        failure.reason
    )
}

/// Runs what is missing. Networks use all threads, so their cells run one at a time; statistics and
/// forests use one thread each and run side by side in the current rayon pool.
pub fn run(
    plan: &Plan,
    store: &Store,
    bars: &Bars,
    interrupt: &Interrupt,
    policy: &Policy,
    execute: &dyn Execute,
) -> Outcome {
    let worker = Worker {
        plan,
        store,
        bars,
        interrupt,
        policy,
        execute,
    };
    let mut frontier = Frontier::new(plan, store, policy);
    let total = bars.total("all", frontier.waiting() as u64);
    while !interrupt.no_more.is_cancelled() {
        total.inc(frontier.drop_blocked(bars));
        let batch = frontier.batch();
        if batch.is_empty() {
            break;
        }
        let attempt = |&id: &CellIndex| {
            let attempt = worker.attempt(id);
            if matches!(attempt, Attempt::Done(_)) {
                total.inc(1);
            }
            (id, attempt)
        };
        // A network must not run inside rayon's pool, whose threads it would compete with.
        let attempts: Vec<_> = match batch.as_slice() {
            [only] => vec![attempt(only)],
            several => several.par_iter().map(attempt).collect(),
        };
        let mut progressed = false;
        for (id, attempt) in attempts {
            if let Attempt::Done(result) = attempt {
                progressed = true;
                frontier.settle(id, result, bars);
            }
        }
        if !progressed && !interrupt.no_more.is_cancelled() {
            std::thread::sleep(WAIT);
        }
    }
    total.finish_and_clear();
    frontier.finish()
}
