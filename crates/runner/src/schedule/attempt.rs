//! Running one cell: its lease, its retries, and what is remembered of its failure.

use super::heartbeat::{Heartbeat, LEASE, keep_alive};
use super::outcome::Settled;
use super::{Failed, Grant, Schedule, standing_reason};
use crate::Failure;
use crate::clock::{self, Stopwatch};
use segad_grid::CellIndex;
use segad_store::{FailedCell, TryLease};

/// Runs cells of a schedule.
pub(super) struct Worker<'a>(pub &'a Schedule<'a>);

/// What came of trying to run a cell.
pub(super) enum Attempt {
    /// It is in the store, or went wrong.
    Done(Result<Settled, Failed>),
    /// Not now: somebody else computes it.
    NotNow,
}

impl Worker<'_> {
    /// Runs one cell, with what it is granted, while holding its lease.
    pub(super) fn attempt(&self, id: CellIndex, grant: Grant) -> Attempt {
        let Schedule {
            plan,
            store,
            policy,
            ..
        } = self.0;
        let cell = &plan.cells[id.0];
        match store.contains(cell.kind, &cell.key) {
            Ok(false) => {}
            Ok(true) => return Attempt::Done(Ok(Settled::Elsewhere)),
            Err(e) => return Attempt::Done(Err(Failed::Own(e.into()))),
        }
        let now = clock::now();
        let lease = match store.try_lease(cell.kind, &cell.key, now, LEASE) {
            Ok(TryLease::Taken(lease)) => lease,
            Ok(TryLease::Held(_)) => return Attempt::NotNow,
            Err(e) => return Attempt::Done(Err(Failed::Own(e.into()))),
        };
        // Somebody may have published between the look and the lease.
        match store.contains(cell.kind, &cell.key) {
            Ok(false) => {}
            Ok(true) => return Attempt::Done(Ok(Settled::Elsewhere)),
            Err(e) => return Attempt::Done(Err(Failed::Own(e.into()))),
        }
        // What failed before this run was not even tried, so this one failed elsewhere meanwhile.
        if let Some(failure) = policy.standing(store, cell.kind, &cell.key) {
            let cause = Failure::with_code(failure.exit_code, standing_reason(&failure));
            return Attempt::Done(Err(Failed::Own(cause)));
        }
        let watch = Stopwatch::start();
        let result = keep_alive(lease, |beat| self.run(id, grant, beat));
        Attempt::Done(result.map(|()| Settled::Here(watch.seconds())))
    }

    /// Runs one cell as often as the policy says. A failure that remains is remembered, unless the
    /// cell was stopped.
    fn run(&self, id: CellIndex, grant: Grant, beat: &Heartbeat) -> Result<(), Failed> {
        let Schedule {
            plan,
            store,
            policy,
            ..
        } = self.0;
        let cell = &plan.cells[id.0];
        // Tries of another program do not count: its failure says nothing about this one.
        let before = store.failure(cell.kind, &cell.key);
        let mut tries = before
            .filter(|f| f.program == policy.program)
            .map_or(0, |f| f.tries);
        let mut left = policy.retries;
        loop {
            let Err(failure) = self.run_once(id, grant, beat) else {
                if let Err(e) = store.forget_failure(cell.kind, &cell.key) {
                    tracing::warn!("the failure of a cell that is computed now remains: {e}");
                }
                return Ok(());
            };
            // Not a failure of the cell, so nothing to remember.
            if self.0.interrupt.stop.is_cancelled() {
                return Err(Failed::Cancelled);
            }
            tries += 1;
            if left == 0 {
                self.remember(id, &failure, tries);
                return Err(Failed::Own(failure));
            }
            left -= 1;
            self.0
                .bars
                .line(&format!("trying again: {cell}: {failure}"));
        }
    }

    /// Runs one cell once, within the time limit.
    fn run_once(&self, id: CellIndex, grant: Grant, beat: &Heartbeat) -> Result<(), Failure> {
        let Schedule {
            plan,
            policy,
            execute,
            ..
        } = self.0;
        // A child, so that the time limit stops this cell and no other.
        let cancel = self.0.interrupt.stop.child();
        let limit = policy.time_limit;
        beat.watch(limit.map(|limit| (limit, cancel.clone())));
        let result = execute.execute(plan, id, grant, &cancel);
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
        let Schedule {
            plan,
            store,
            policy,
            ..
        } = self.0;
        // A damaged input is computed again, and then this cell may succeed.
        if !store.damaged().is_empty() {
            return;
        }
        let cell = &plan.cells[id.0];
        let failed = FailedCell {
            reason: failure.to_string(),
            exit_code: failure.exit_code(),
            tries,
            program: policy.program.clone(),
        };
        if let Err(e) = store.keep_failure(cell.kind, &cell.key, &failed) {
            tracing::warn!("a failure could not be kept, so the next run tries again: {e}");
        }
    }
}
