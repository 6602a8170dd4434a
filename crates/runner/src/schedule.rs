//! Runs the cells of a plan that the store does not have, each under a lease, and keeps going past
//! failures.

use crate::clock::{self, Stopwatch};
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use rayon::prelude::*;
use segad_core::{Cancel, CellKind, Key};
use segad_grid::{CellIndex, Plan};
use segad_store::{FailedCell, Lease, Store, TryLease};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// A lease that is not refreshed for this long may be taken over.
const LEASE: Duration = Duration::from_secs(120);

/// How the reason begins of a cell that failed only because another did.
const NEEDS: &str = "needs ";

/// Computes one cell and publishes its result. Returns why not, for people.
pub trait Execute: Sync {
    /// Runs cell `id`; everything it needs is in the store. `cancel` asks it to stop at its next
    /// safe place.
    ///
    /// # Errors
    /// What went wrong, with file or value.
    fn execute(&self, plan: &Plan, id: CellIndex, cancel: &Cancel) -> Result<(), String>;
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
        let failure = if self.rerun_failed {
            None
        } else {
            store.failure(kind, key)
        };
        failure.filter(|f| f.program == self.program)
    }
}

/// How the reason is told of a cell that failed in an earlier run.
pub fn told(failure: &FailedCell) -> String {
    let times = if failure.tries == 1 {
        "once".to_owned()
    } else {
        format!("{} times", failure.tries)
    };
    format!(
        "{} (failed before, tried {times}; --rerun-failed tries again)",
        failure.reason
    )
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Cells that were computed now.
    pub computed: usize,
    /// Cells that were in the store.
    pub stored: usize,
    /// Cells that failed, or that need one that did, with the reason.
    pub failed: BTreeMap<CellIndex, String>,
    /// Seconds spent per kind of cell.
    pub seconds: BTreeMap<CellKind, f64>,
    /// True if Ctrl-C ended it early.
    pub interrupted: bool,
}

impl Outcome {
    /// True if every failure goes back to an input that the plan already knew to be missing.
    pub fn missing_inputs_only(&self, plan: &Plan) -> bool {
        let mut own = self
            .failed
            .iter()
            .filter(|(_, reason)| !reason.starts_with(NEEDS));
        own.all(|(id, _)| plan.cells[id.0].missing.is_some())
    }
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
    let has = |kind: CellKind, key: &Key| store.contains(kind, key);
    let mut waiting: BTreeSet<CellIndex> = plan.needed(has).into_iter().collect();
    let mut outcome = Outcome {
        stored: plan.cells.len() - waiting.len(),
        ..Outcome::default()
    };
    waiting.retain(|&id| {
        let cell = &plan.cells[id.0];
        let failure = policy.standing(store, cell.kind, &cell.key);
        failure
            .map(|f| outcome.failed.insert(id, told(&f)))
            .is_none()
    });
    let work = Work {
        plan,
        store,
        bars,
        interrupt,
        policy,
        execute,
    };
    let total = bars.total("all", waiting.len() as u64);
    while !waiting.is_empty() {
        if interrupt.no_more.is_cancelled() {
            outcome.interrupted = true;
            break;
        }
        waiting.retain(|&id| match blocked(plan, id, &outcome.failed) {
            Some(reason) => {
                if plan.cells[id.0].missing.is_some() {
                    bars.line(&format!("cannot run {}: {reason}", plan.cells[id.0]));
                }
                outcome.failed.insert(id, reason);
                total.inc(1);
                false
            }
            None => true,
        });
        let batch = ready(plan, &waiting);
        let held = Mutex::new(0usize);
        let results: Vec<(CellIndex, Option<Result<f64, String>>)> = {
            let one = |&id: &CellIndex| {
                if interrupt.no_more.is_cancelled() {
                    return (id, None);
                }
                let result = work.leased(id);
                match &result {
                    Some(_) => total.inc(1),
                    None => *held.lock().unwrap_or_else(|e| e.into_inner()) += 1,
                }
                (id, result)
            };
            if batch.len() > 1 {
                batch.par_iter().map(one).collect()
            } else {
                batch.iter().map(one).collect()
            }
        };
        let mut progressed = false;
        for (id, result) in results {
            let Some(result) = result else { continue };
            progressed = true;
            waiting.remove(&id);
            match result {
                Ok(seconds) => {
                    outcome.computed += 1;
                    *outcome.seconds.entry(plan.cells[id.0].kind).or_default() += seconds;
                }
                Err(reason) => {
                    bars.line(&format!("failed: {}: {reason}", plan.cells[id.0]));
                    outcome.failed.insert(id, reason);
                }
            }
        }
        if !progressed && !batch.is_empty() && !interrupt.no_more.is_cancelled() {
            // Every ready cell is being computed by somebody else.
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    total.finish_and_clear();
    outcome
}

/// Why a cell can never run, if so.
fn blocked(plan: &Plan, id: CellIndex, failed: &BTreeMap<CellIndex, String>) -> Option<String> {
    let cell = &plan.cells[id.0];
    if let Some(missing) = &cell.missing {
        return Some(missing.clone());
    }
    let need = cell.needs.iter().find(|n| failed.contains_key(n))?;
    let reason = &failed[need];
    // The first link of the chain is what helps; the cells between are no news.
    Some(match reason.starts_with(NEEDS) {
        true => reason.clone(),
        false => format!("{NEEDS}{}, which failed: {reason}", plan.cells[need.0]),
    })
}

/// The next batch: the first network cell that is ready, or else every ready cell of the earliest
/// light kind.
fn ready(plan: &Plan, waiting: &BTreeSet<CellIndex>) -> Vec<CellIndex> {
    let ready = waiting
        .iter()
        .copied()
        .filter(|id| plan.cells[id.0].needs.iter().all(|n| !waiting.contains(n)));
    let ready: Vec<CellIndex> = ready.collect();
    let heavy = |kind: CellKind| {
        matches!(
            kind,
            CellKind::Embed | CellKind::Fit | CellKind::Maps | CellKind::Classify
        )
    };
    if let Some(&id) = ready.iter().find(|id| heavy(plan.cells[id.0].kind)) {
        return vec![id];
    }
    let earliest = ready.iter().map(|id| plan.cells[id.0].kind).min();
    ready
        .into_iter()
        .filter(|id| Some(plan.cells[id.0].kind) == earliest)
        .collect()
}

/// What every cell is run with.
struct Work<'a> {
    plan: &'a Plan,
    store: &'a Store,
    bars: &'a Bars,
    interrupt: &'a Interrupt,
    policy: &'a Policy,
    execute: &'a dyn Execute,
}

impl Work<'_> {
    /// Runs one cell while holding its lease; `None` if somebody else holds it. Seconds on success,
    /// 0 if it was there.
    fn leased(&self, id: CellIndex) -> Option<Result<f64, String>> {
        let cell = &self.plan.cells[id.0];
        let kind = cell.kind;
        if self.store.contains(kind, &cell.key) {
            return Some(Ok(0.0));
        }
        let lease = match self.store.try_lease(kind, &cell.key, clock::now(), LEASE) {
            Ok(TryLease::Taken(lease)) => lease,
            Ok(TryLease::Held(_)) => return None,
            Err(e) => return Some(Err(e.to_string())),
        };
        // Somebody may have published between the look and the lease.
        if self.store.contains(kind, &cell.key) {
            return Some(Ok(0.0));
        }
        let watch = Stopwatch::start();
        let result = keeping_alive(lease, |beat| self.tried(id, beat));
        Some(result.map(|()| watch.seconds()))
    }

    /// Runs one cell as often as the policy says. What failed in the end is remembered, unless it
    /// was stopped.
    fn tried(&self, id: CellIndex, beat: &Beat) -> Result<(), String> {
        let cell = &self.plan.cells[id.0];
        let kind = cell.kind;
        let before = self
            .store
            .failure(kind, &cell.key)
            .filter(|f| f.program == self.policy.program);
        let earlier = before.map_or(0, |f| f.tries);
        for attempt in 0..=self.policy.retries {
            let cancel = self.interrupt.stop.child();
            beat.watch(self.policy.time_limit.map(|limit| (limit, cancel.clone())));
            let result = self.execute.execute(self.plan, id, &cancel);
            beat.watch(None);
            let Err(reason) = result else {
                if let Err(e) = self.store.forget_failure(kind, &cell.key) {
                    tracing::warn!("the failure of a cell that is computed now remains: {e}");
                }
                return Ok(());
            };
            if self.interrupt.stop.is_cancelled() {
                return Err(reason);
            }
            let tries = earlier + attempt + 1;
            let reason = match self.policy.time_limit.filter(|_| cancel.is_cancelled()) {
                Some(limit) => format!(
                    "stopped at the time limit of {} s: {reason}",
                    limit.as_secs_f64()
                ),
                None => reason,
            };
            if attempt < self.policy.retries {
                self.bars.line(&format!("trying again: {cell}: {reason}"));
                continue;
            }
            let failure = FailedCell {
                reason: reason.clone(),
                tries,
                program: self.policy.program.clone(),
            };
            if let Err(e) = self.store.keep_failure(kind, &cell.key, &failure) {
                tracing::warn!("a failure could not be kept, so the next run tries again: {e}");
            }
            return Err(reason);
        }
        Ok(())
    }
}

/// Talks to the thread beside a running cell.
struct Beat(mpsc::Sender<Option<Limit>>);

/// How long from now, and what to cancel then.
type Limit = (Duration, Cancel);

impl Beat {
    /// From now on, cancels after this time; `None`: never.
    fn watch(&self, limit: Option<Limit>) {
        // Fails only if the thread is gone, and then the lease is not refreshed either.
        let _ = self.0.send(limit);
    }
}

/// Refreshes the lease, and watches the time limit, from a thread of its own while `work` runs.
fn keeping_alive<T>(mut lease: Lease, work: impl FnOnce(&Beat) -> T) -> T {
    let (send, receive) = mpsc::channel::<Option<Limit>>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut limit: Option<(Stopwatch, Duration, Cancel)> = None;
            let mut refreshed = Stopwatch::start();
            loop {
                let mut wait = (LEASE / 4).saturating_sub(refreshed.elapsed());
                if let Some((since, limit, _)) = &limit {
                    wait = wait.min(limit.saturating_sub(since.elapsed()));
                }
                match receive.recv_timeout(wait) {
                    Ok(new) => limit = new.map(|(time, cancel)| (Stopwatch::start(), time, cancel)),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if let Some((_, _, cancel)) =
                    limit.take_if(|(since, limit, _)| since.elapsed() >= *limit)
                {
                    cancel.cancel();
                }
                if refreshed.elapsed() >= LEASE / 4 {
                    refreshed = Stopwatch::start();
                    if let Err(e) = lease.refresh(clock::now(), LEASE) {
                        tracing::warn!("a lease could not be refreshed: {e}");
                    }
                }
            }
        });
        let beat = Beat(send);
        let result = work(&beat);
        drop(beat);
        result
    })
}
