//! Runs the cells of a plan that the store does not have, each under a lease, and keeps going past
//! failures.

mod attempt;
mod frontier;
mod heartbeat;
mod outcome;
#[cfg(test)]
mod tests;

pub use outcome::{Failed, Outcome};

use crate::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use crate::workbench::lock;
use attempt::{Attempt, Worker};
use frontier::{Frontier, Ready};
use indicatif::ProgressBar;
use segad_core::{Cancel, CellKind, Device, Key};
use segad_grid::{CellIndex, Plan};
use segad_store::{FailedCell, Store, StoreError};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Computes one cell and publishes its result.
pub trait Execute: Sync {
    /// Runs cell `id`; everything it needs is in the store. `cancel` asks it to stop at its next
    /// safe place.
    ///
    /// # Errors
    /// What went wrong, with file or value.
    fn execute(
        &self,
        plan: &Plan,
        id: CellIndex,
        grant: Grant,
        cancel: &Cancel,
    ) -> Result<(), Failure>;

    /// Bytes without which cell `id` cannot run; 0 where memory only saves time.
    fn least_memory(&self, plan: &Plan, id: CellIndex) -> u64;
}

/// Whether cells of a kind run networks.
pub fn is_network(kind: CellKind) -> bool {
    matches!(
        kind,
        CellKind::Embed | CellKind::Fit | CellKind::Maps | CellKind::Classify
    )
}

/// What cells that run side by side may use together.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Cells at a time, each on one thread.
    pub threads: usize,
    /// Bytes that caches and temporary arrays of networks may take.
    pub memory: u64,
    /// Where networks run, one at a time on each entry.
    pub networks: Vec<Device>,
}

/// What one cell may use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Bytes for caches and temporary arrays.
    pub memory: u64,
    /// Where its network runs, if it has one.
    pub device: Device,
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

/// Everything that a run of a plan works with.
pub struct Schedule<'a> {
    /// The cells.
    pub plan: &'a Plan,
    /// Those that are to be there in the end.
    pub wanted: &'a [CellIndex],
    /// Where results are, and the leases that workers share.
    pub store: &'a Store,
    /// Progress.
    pub bars: &'a Bars,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// What to do about cells that fail.
    pub policy: &'a Policy,
    /// What cells may use.
    pub resources: Resources,
    /// Computes a cell.
    pub execute: &'a dyn Execute,
}

impl Schedule<'_> {
    /// Runs what is missing, cells side by side on threads of their own: a cell computes on one
    /// thread, so that its bytes do not depend on how many there are. Where a cell has rows or
    /// images to spread, it does so in rayon's global pool, never the cell itself: a thread of that
    /// pool that waits would start another cell in the midst of this one.
    ///
    /// A cell that another process computes is set aside, and the next one is tried.
    ///
    /// # Errors
    /// The store's, if it cannot be asked for what it has.
    pub fn run(&self) -> Result<Outcome, StoreError> {
        let frontier = Frontier::new(self)?;
        let total = self.bars.total("all", frontier.waiting() as u64);
        let shared = Shared {
            frontier: Mutex::new(frontier),
            changed: Condvar::new(),
            schedule: self,
            total,
        };
        thread::scope(|scope| {
            for _ in 0..self.resources.threads.max(1) {
                scope.spawn(|| shared.work());
            }
        });
        shared.total.finish_and_clear();
        let frontier = shared.frontier.into_inner();
        Ok(frontier.unwrap_or_else(|e| e.into_inner()).finish())
    }
}

impl Schedule<'_> {
    /// The cells that are to be computed, each after those it needs: not those whose failure stands
    /// or whose inputs are missing, nor what needs such a cell.
    ///
    /// # Errors
    /// As [`Schedule::run`].
    pub fn open(&self) -> Result<Vec<CellIndex>, StoreError> {
        Ok(Frontier::new(self)?.open())
    }

    /// What became of a plan that others were to compute, by the store alone. `lost` says why a
    /// cell has neither result nor failure there.
    ///
    /// # Errors
    /// As [`Schedule::run`].
    pub fn survey(&self, lost: &dyn Fn(CellIndex) -> Failure) -> Result<Outcome, StoreError> {
        let mut frontier = Frontier::new(self)?;
        frontier.give_up(lost);
        Ok(frontier.finish())
    }
}

/// What the threads of a run share.
struct Shared<'a> {
    frontier: Mutex<Frontier<'a>>,
    /// A cell was settled or set aside.
    changed: Condvar,
    schedule: &'a Schedule<'a>,
    total: ProgressBar,
}

impl Shared<'_> {
    /// Runs cells until none is left, or no more are to be started.
    fn work(&self) {
        let worker = Worker(self.schedule);
        while let Some(ready) = self.next() {
            let taken = Taken {
                shared: self,
                ready,
                attempt: None,
            };
            taken.settle(worker.attempt(ready.id, ready.grant));
        }
    }

    /// Waits for a cell that may run.
    fn next(&self) -> Option<Ready> {
        let mut frontier = lock(&self.frontier);
        loop {
            if self.schedule.interrupt.no_more.is_cancelled() || frontier.is_exhausted() {
                return None;
            }
            if let Some(ready) = frontier.take() {
                return Some(ready);
            }
            // Also wakes to look again at the cells that others compute.
            let waited = self
                .changed
                .wait_timeout(frontier, self.schedule.store.patience());
            frontier = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
    }
}

/// A cell that was taken from the frontier. However its attempt ends, also by a panic, the other
/// threads learn that it no longer runs.
struct Taken<'a, 'b> {
    shared: &'a Shared<'b>,
    ready: Ready,
    attempt: Option<Attempt>,
}

impl Taken<'_, '_> {
    fn settle(mut self, attempt: Attempt) {
        self.attempt = Some(attempt);
    }
}

impl Drop for Taken<'_, '_> {
    fn drop(&mut self) {
        let mut frontier = lock(&self.shared.frontier);
        let before = frontier.waiting();
        frontier.give_back(self.ready, self.attempt.take());
        let settled = before - frontier.waiting();
        drop(frontier);
        self.shared.total.inc(settled as u64);
        self.shared.changed.notify_all();
    }
}
