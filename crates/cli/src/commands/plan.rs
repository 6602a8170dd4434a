//! `plan` and `config`: show, compute nothing.

use super::setup::{self, Prepared};
use crate::session::Session;
use segad_args::RunArgs;
use segad_core::CellKind;
use segad_grid::{Cell, CellIndex, Plan};
use segad_runner::Failure;
use segad_runner::estimate::{Estimate, Past};
use segad_runner::schedule;
use segad_store::FailedCell;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Shows what a run would compute. Hit: in the store. Miss: would be computed. Missing: an input is
/// absent. Failed: an earlier run failed, and the next would not retry. Unused: not in the store, but
/// nothing to be computed needs it.
pub(super) fn plan(
    file: &Path,
    args: &RunArgs,
    json: bool,
    session: &Session,
) -> Result<(), Failure> {
    let Prepared {
        experiment, bench, ..
    } = setup::prepare(file, args, session)?;
    let plan = Plan::new(&experiment, &bench)
        .map_err(|fault| Failure::of_fault(&fault.at(file.display())))?;
    let has = |kind, key: &segad_core::Key| bench.store.contains(kind, key);
    let needed: BTreeSet<_> = plan.needed(has).into_iter().collect();
    let policy = super::run::policy(args);
    let mut kinds: Vec<CellKind> = needed
        .iter()
        .map(|id: &CellIndex| plan.cells[id.0].kind)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let past = Past::read(&bench.store, &kinds)?;
    let mut lines = String::new();
    let mut objects = Vec::new();
    let mut totals: BTreeMap<CellKind, Total> = BTreeMap::new();
    for (i, cell) in plan.cells.iter().enumerate() {
        let (stored, needed) = (has(cell.kind, &cell.key), needed.contains(&CellIndex(i)));
        let failed = if needed {
            policy.standing(&bench.store, cell.kind, &cell.key)
        } else {
            None
        };
        let (state, why) = state(cell, stored, needed, failed.as_ref());
        let estimate = if state == "miss" {
            past.estimate(cell)
        } else {
            None
        };
        totals.entry(cell.kind).or_default().add(state, estimate);
        lines.push_str(&format!("{state:<8} {} {cell}{why}\n", cell.key.short()));
        objects.push(json!({
            "kind": cell.kind, "key": cell.key, "name": cell.to_string(), "state": state,
            "what": cell.label.what, "class": cell.label.class, "protocol": cell.label.protocol,
            "each": cell.label.each, "seed": cell.label.seed,
            "missing": cell.missing, "failed": failed.map(|f| f.reason),
            "estimated_seconds": estimate.map(|e| e.seconds),
            "estimated_memory_mib": estimate.map(|e| e.memory_mib),
            "needs": cell.needs.iter().map(|n| plan.cells[n.0].key).collect::<Vec<_>>(),
        }));
    }
    let faults: Vec<String> = plan
        .results
        .iter()
        .filter_map(|r| Some(r.cell.as_ref().err()?.to_string()))
        .collect();
    if json {
        let all = json!({ "schema": 1, "experiment": experiment.name, "cells": objects, "faults": faults });
        return super::print(&(all.to_string() + "\n"));
    }
    for (kind, total) in totals {
        lines.push_str(&format!("{kind}: {total}\n"));
    }
    for fault in faults.iter().collect::<BTreeSet<_>>() {
        lines.push_str(&format!("cannot be planned: {fault}\n"));
    }
    super::print(&lines)
}

fn state(
    cell: &Cell,
    stored: bool,
    needed: bool,
    failed: Option<&FailedCell>,
) -> (&'static str, String) {
    match (&cell.missing, stored, needed, failed) {
        (_, true, ..) => ("hit", String::new()),
        (Some(missing), ..) => ("missing", format!(": {missing}")),
        (None, false, _, Some(failed)) => {
            ("failed", format!(": {}", schedule::standing_reason(failed)))
        }
        (None, false, true, None) => ("miss", String::new()),
        (None, false, false, None) => ("unused", ": everything that needs it is stored".to_owned()),
    }
}

/// What the cells of a kind come to.
#[derive(Default)]
struct Total {
    cells: usize,
    to_compute: usize,
    without_estimate: usize,
    seconds: f64,
    memory_mib: u64,
}

impl Total {
    fn add(&mut self, state: &str, estimate: Option<Estimate>) {
        self.cells += 1;
        self.to_compute += usize::from(state == "miss" || state == "missing");
        match estimate {
            Some(e) => {
                self.seconds += e.seconds;
                self.memory_mib = self.memory_mib.max(e.memory_mib);
            }
            None => self.without_estimate += usize::from(state == "miss"),
        }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cells, {} to compute", self.cells, self.to_compute)?;
        if self.seconds > 0.0 {
            write!(
                f,
                ", about {} at up to {} MiB",
                time(self.seconds),
                self.memory_mib
            )?;
            if self.without_estimate > 0 {
                write!(
                    f,
                    " plus {} cells with no timing history",
                    self.without_estimate
                )?;
            }
        }
        Ok(())
    }
}

/// Seconds, minutes or hours, whichever reads best.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// The merged settings, with the layer that set each.
pub(super) fn config(file: &Path, args: &RunArgs, origin: bool) -> Result<(), Failure> {
    let layers = setup::layers(file, args)?;
    layers.experiment().map_err(Failure::configuration)?;
    let mut text = String::new();
    for o in layers.origins().map_err(Failure::configuration)? {
        let from = if origin {
            format!("  # {}", o.origin)
        } else {
            String::new()
        };
        text.push_str(&format!("{} = {}{from}\n", o.key, o.value));
    }
    super::print(&text)
}
