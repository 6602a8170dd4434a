//! Running one cell: its lease, its retries, and what is remembered of its failure.

use super::heartbeat::{Heartbeat, LEASE, keep_alive};
use super::{Execute, Failed, Policy};
use crate::Failure;
use crate::clock::{self, Stopwatch};
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use segad_grid::{CellIndex, Plan};
use segad_store::{FailedCell, Store, TryLease};

/// What every cell is run with.
pub(super) struct Worker<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub bars: &'a Bars,
    pub interrupt: &'a Interrupt,
    pub policy: &'a Policy,
    pub execute: &'a dyn Execute,
}

/// What came of trying to run a cell.
pub(super) enum Attempt {
    /// It was run, or is in the store: seconds that it took, 0 if somebody else computed it.
    Done(Result<f64, Failed>),
    /// Not now: somebody else computes it, or no more cells are to be started.
    NotNow,
}

impl Worker<'_> {
    /// Runs one cell while holding its lease.
    pub(super) fn attempt(&self, id: CellIndex) -> Attempt {
        if self.interrupt.no_more.is_cancelled() {
            return Attempt::NotNow;
        }
        let cell = &self.plan.cells[id.0];
        if self.store.contains(cell.kind, &cell.key) {
            return Attempt::Done(Ok(0.0));
        }
        let now = clock::now();
        let lease = match self.store.try_lease(cell.kind, &cell.key, now, LEASE) {
            Ok(TryLease::Taken(lease)) => lease,
            Ok(TryLease::Held(_)) => return Attempt::NotNow,
            Err(e) => return Attempt::Done(Err(Failed::Own(e.into()))),
        };
        // Somebody may have published between the look and the lease.
        if self.store.contains(cell.kind, &cell.key) {
            return Attempt::Done(Ok(0.0));
        }
        let watch = Stopwatch::start();
        let result = keep_alive(lease, |beat| self.run(id, beat));
        Attempt::Done(result.map(|()| watch.seconds()))
    }

    /// Runs one cell as often as the policy says. A failure that remains is remembered, unless the
    /// cell was stopped.
    fn run(&self, id: CellIndex, beat: &Heartbeat) -> Result<(), Failed> {
        let cell = &self.plan.cells[id.0];
        // Tries of another program do not count: its failure says nothing about this one.
        let before = self.store.failure(cell.kind, &cell.key);
        let mut tries = before
            .filter(|f| f.program == self.policy.program)
            .map_or(0, |f| f.tries);
        let mut left = self.policy.retries;
        loop {
            let Err(failure) = self.run_once(id, beat) else {
                if let Err(e) = self.store.forget_failure(cell.kind, &cell.key) {
                    tracing::warn!("the failure of a cell that is computed now remains: {e}");
                }
                return Ok(());
            };
            // Not a failure of the cell, so nothing to remember.
            if self.interrupt.stop.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            tries += 1;
            if left == 0 {
                self.remember(id, &failure, tries);
                return Err(Failed::Own(failure));
            }
            left -= 1;
            self.bars.line(&format!("trying again: {cell}: {failure}"));
        }
    }

    /// Runs one cell once, within the time limit.
    fn run_once(&self, id: CellIndex, beat: &Heartbeat) -> Result<(), Failure> {
        // A child, so that the time limit stops this cell and no other.
        let cancel = self.interrupt.stop.child();
        let limit = self.policy.time_limit;
        beat.watch(limit.map(|limit| (limit, cancel.clone())));
        let result = self.execute.execute(self.plan, id, &cancel);
        // The next attempt has the whole limit again.
        beat.watch(None);
        match (result, limit) {
            (Err(failure), Some(limit)) if cancel.is_cancelled() => Err(Failure::Cells(format!(
                "stopped at the time limit of {} s: {failure}",
                limit.as_secs_f64()
            ))),
            (result, _) => result,
        }
    }

    fn remember(&self, id: CellIndex, failure: &Failure, tries: u32) {
        // A damaged input is computed again, and then this cell may succeed.
        if !self.store.damaged().is_empty() {
            return;
        }
        let cell = &self.plan.cells[id.0];
        let failed = FailedCell {
            reason: failure.to_string(),
            exit_code: failure.exit_code(),
            tries,
            program: self.policy.program.clone(),
        };
        if let Err(e) = self.store.keep_failure(cell.kind, &cell.key, &failed) {
            tracing::warn!("a failure could not be kept, so the next run tries again: {e}");
        }
    }
}
