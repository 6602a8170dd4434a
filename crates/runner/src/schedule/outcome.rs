//! What became of the cells.

use crate::Failure;
use segad_core::CellKind;
use segad_grid::{CellIndex, Plan};
use std::collections::BTreeMap;

/// How a cell came into the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Settled {
    /// It was computed here, in so many seconds.
    Here(f64),
    /// Another process computed it meanwhile.
    Elsewhere,
}

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
    /// Cells that were computed here.
    pub computed: usize,
    /// Cells that other processes computed meanwhile.
    pub by_others: usize,
    /// Cells that were in the store from the start.
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

    /// How a run ends that lacks results: some cells failed, unless nothing but missing inputs, or
    /// nothing but the machine, is to blame.
    pub fn failure(&self, plan: &Plan, message: String) -> Failure {
        if self.lacks_only_inputs(plan) {
            Failure::Input(message)
        } else if self.causes().all(|c| matches!(c, Failure::System(_))) {
            Failure::System(message)
        } else {
            Failure::Cells(message)
        }
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
