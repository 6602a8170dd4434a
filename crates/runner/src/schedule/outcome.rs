//! What became of the cells so far, and which are next.

use super::{Policy, standing_reason};
use crate::Failure;
use crate::progress::Bars;
use segad_core::CellKind;
use segad_grid::{CellIndex, Plan};
use segad_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Why a cell has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It went wrong, or an input of its own is missing.
    Own(Failure),
    /// This cell, which it needs, failed; the first of the chain, since those between are no news.
    Needs(CellIndex),
    /// It was asked to stop.
    Cancelled,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Cells that were computed now.
    pub computed: usize,
    /// Cells that were in the store.
    pub stored: usize,
    /// Cells that have no result, with the reason.
    pub failed: BTreeMap<CellIndex, Failed>,
    /// Seconds spent per kind of cell.
    pub seconds: BTreeMap<CellKind, f64>,
    /// True if Ctrl-C ended it early.
    pub interrupted: bool,
}

impl Outcome {
    /// What went wrong, without the cells that only needed one that failed.
    pub fn causes(&self) -> impl Iterator<Item = &Failure> {
        self.failed.values().filter_map(|failed| match failed {
            Failed::Own(failure) => Some(failure),
            Failed::Needs(_) | Failed::Cancelled => None,
        })
    }

    /// True if every failure goes back to an input that the plan already knew to be missing.
    pub fn lacks_only_inputs(&self, plan: &Plan) -> bool {
        self.failed.iter().all(|(id, failed)| match failed {
            Failed::Own(_) => plan.cells[id.0].missing.is_some(),
            Failed::Needs(_) => true,
            Failed::Cancelled => false,
        })
    }

    /// Why a cell has no result, for people; `None` if it did not fail.
    pub fn reason(&self, plan: &Plan, id: CellIndex) -> Option<String> {
        Some(match self.failed.get(&id)? {
            Failed::Own(failure) => failure.to_string(),
            Failed::Cancelled => "interrupted".to_owned(),
            Failed::Needs(need) => {
                let cause = self.reason(plan, *need)?;
                format!("needs {}, which failed: {cause}", plan.cells[need.0])
            }
        })
    }
}

/// The cells that are still to be computed.
pub(super) struct Frontier<'a> {
    plan: &'a Plan,
    waiting: BTreeSet<CellIndex>,
    outcome: Outcome,
}

impl<'a> Frontier<'a> {
    /// All cells that the store lacks, but for failures of earlier runs that stand.
    pub(super) fn new(plan: &'a Plan, store: &Store, policy: &Policy) -> Self {
        let needed = plan.needed(|kind, key| store.contains(kind, key));
        let mut outcome = Outcome {
            // Also counts cells that nobody needs because what they lead to is stored.
            stored: plan.cells.len() - needed.len(),
            ..Outcome::default()
        };
        let mut waiting = BTreeSet::new();
        for id in needed {
            let cell = &plan.cells[id.0];
            match policy.standing(store, cell.kind, &cell.key) {
                Some(failure) => {
                    let cause = Failure::with_code(failure.exit_code, standing_reason(&failure));
                    outcome.failed.insert(id, Failed::Own(cause));
                }
                None => {
                    waiting.insert(id);
                }
            }
        }
        Self {
            plan,
            waiting,
            outcome,
        }
    }

    /// How many cells wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes out the cells that can never run; gives their number.
    pub(super) fn drop_blocked(&mut self, bars: &Bars) -> u64 {
        let before = self.waiting.len();
        let Self {
            plan,
            waiting,
            outcome,
        } = self;
        // In the order of the plan, a cell comes after what it needs, so one pass finds all.
        waiting.retain(|&id| match blocked(plan, id, &outcome.failed) {
            Some(failed) => {
                if let Failed::Own(failure) = &failed {
                    bars.line(&format!("cannot run {}: {failure}", plan.cells[id.0]));
                }
                outcome.failed.insert(id, failed);
                false
            }
            None => true,
        });
        (before - waiting.len()) as u64
    }

    /// The cells that may run now, in the order of the plan.
    fn ready(&self) -> impl Iterator<Item = CellIndex> {
        let ready = |id: &CellIndex| {
            let needs = &self.plan.cells[id.0].needs;
            needs.iter().all(|need| !self.waiting.contains(need))
        };
        self.waiting.iter().copied().filter(ready)
    }

    /// The next cells to run side by side: the first network cell that is ready, or else every
    /// ready cell of the earliest light kind. Empty if nothing waits.
    pub(super) fn batch(&self) -> Vec<CellIndex> {
        let kind = |id: CellIndex| self.plan.cells[id.0].kind;
        // libtorch uses all threads, so two networks at a time would only slow each other.
        if let Some(id) = self.ready().find(|&id| uses_network(kind(id))) {
            return vec![id];
        }
        // Kinds are in the order of computation: finishing one kind first frees what needs it.
        let earliest = self.ready().map(kind).min();
        self.ready()
            .filter(|&id| Some(kind(id)) == earliest)
            .collect()
    }

    /// Takes note of what became of a cell: how many seconds it took, or why it failed.
    pub(super) fn settle(&mut self, id: CellIndex, result: Result<f64, Failed>, bars: &Bars) {
        self.waiting.remove(&id);
        let cell = &self.plan.cells[id.0];
        match result {
            Ok(seconds) => {
                self.outcome.computed += 1;
                *self.outcome.seconds.entry(cell.kind).or_default() += seconds;
            }
            Err(failed) => {
                self.outcome.interrupted |= failed == Failed::Cancelled;
                self.outcome.failed.insert(id, failed);
                if let Some(reason) = self.outcome.reason(self.plan, id) {
                    bars.line(&format!("failed: {cell}: {reason}"));
                }
            }
        }
    }

    /// The end of a run; whatever waits still was left because of Ctrl-C.
    pub(super) fn finish(mut self) -> Outcome {
        self.outcome.interrupted |= !self.waiting.is_empty();
        self.outcome
    }
}

fn uses_network(kind: CellKind) -> bool {
    matches!(
        kind,
        CellKind::Embed | CellKind::Fit | CellKind::Maps | CellKind::Classify
    )
}

/// Why a cell can never run, if so.
fn blocked(plan: &Plan, id: CellIndex, failed: &BTreeMap<CellIndex, Failed>) -> Option<Failed> {
    let cell = &plan.cells[id.0];
    if let Some(missing) = &cell.missing {
        return Some(Failed::Own(Failure::Input(missing.clone())));
    }
    let need = cell.needs.iter().find(|need| failed.contains_key(need))?;
    Some(match &failed[need] {
        Failed::Needs(first) => Failed::Needs(*first),
        Failed::Cancelled => Failed::Cancelled,
        Failed::Own(_) => Failed::Needs(*need),
    })
}
