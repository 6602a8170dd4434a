//! `plan` and `config`: show, compute nothing.

use super::setup::{self, Purpose};
use crate::session::Session;
use segad_args::{PlanArgs, SettingsArgs};
use segad_core::{CellKind, Device};
use segad_grid::{Cell, CellIndex, Plan};
use segad_runner::estimate::{Estimate, Past};
use segad_runner::schedule::{self, Policy};
use segad_runner::{Failure, Workbench};
use segad_store::{Committed, FailedCell, Store};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Shows what a run would compute. Hit: in the store. Miss: would be computed. Missing: an input is
/// absent. Failed: an earlier run failed, and the next would not retry. Unused: not in the store, but
/// everything that needs it is.
///
/// # Errors
/// After the plan is shown: that a setting is wrong, or that nothing can be planned.
pub(super) fn plan(
    file: &Path,
    args: &PlanArgs,
    json: bool,
    session: &Session,
) -> Result<(), Failure> {
    let prepared = setup::prepare(file, args, session, Purpose::Look)?;
    let (experiment, bench) = (&prepared.experiment, &prepared.bench);
    let plan = Plan::new(experiment, bench)
        .map_err(|fault| Failure::of_fault(&fault.at(file.display())))?;
    let states = States::new(&plan, bench, args.rerun_failed)?;
    let past = Past::read(&bench.store, &states.kinds(&plan))?;
    let mut lines = String::new();
    let mut objects = Vec::new();
    let mut totals: BTreeMap<CellKind, Total> = BTreeMap::new();
    for (id, cell) in states.reachable(&plan) {
        let State { name, why, failed } = states.of(id, cell);
        let estimate = match name {
            MISS => past.estimate(cell),
            _ => None,
        };
        let device = match schedule::is_network(cell.kind) {
            true => bench.settings.devices[0],
            false => Device::Cpu,
        };
        totals.entry(cell.kind).or_default().add(name, estimate);
        lines.push_str(&format!("{name:<8} {} {cell}{why}\n", cell.key.short()));
        objects.push(json!({
            "kind": cell.kind, "key": cell.key, "name": cell.to_string(), "state": name,
            "what": cell.label.what, "class": cell.label.class, "protocol": cell.label.protocol,
            "each": cell.label.each, "seed": cell.label.seed,
            "missing": cell.missing, "failed": failed.map(|f| f.reason),
            "estimated_seconds": estimate.map(|e| e.seconds),
            "estimated_memory_mib": estimate.map(|e| e.memory_mib),
            "device": device.to_string(), "threads": 1,
            "needs": cell.needs.iter().map(|n| plan.cells[n.0].key).collect::<Vec<_>>(),
        }));
    }
    let faults: BTreeSet<String> = plan.faults().map(ToString::to_string).collect();
    if json {
        let all = json!({
            "schema": 1, "experiment": experiment.name, "missing_data": bench.source.missing(),
            "cells": objects, "faults": faults,
        });
        super::print(&(all.to_string() + "\n"))?;
    } else {
        for (kind, total) in totals {
            lines.push_str(&format!("{kind}: {total}\n"));
        }
        for fault in &faults {
            lines.push_str(&format!("cannot be planned: {fault}\n"));
        }
        if let Some(missing) = bench.source.missing() {
            lines.push_str(&format!(
                "{missing}; until then nothing stored can be found, so all is shown as if it had \
                 to be computed\n"
            ));
        }
        super::print(&lines)?;
    }
    verdict(&plan, file)
}

/// A failure if a setting is wrong, or if no result at all can be planned.
fn verdict(plan: &Plan, file: &Path) -> Result<(), Failure> {
    super::refuse_wrong_settings(plan, file)?;
    if plan.results.iter().any(|result| result.cell.is_ok()) {
        return Ok(());
    }
    match plan.faults().next() {
        Some(fault) => Err(Failure::of_fault(&fault.clone().at(file.display()))),
        None => Err(Failure::NothingSelected(format!(
            "{}: no class, protocol or seed to run",
            file.display()
        ))),
    }
}

const MISS: &str = "miss";
const MISSING: &str = "missing";

/// Where a cell stands, why, and its failure that still stands.
struct State {
    name: &'static str,
    why: String,
    failed: Option<FailedCell>,
}

/// What is known of all cells.
struct States<'a> {
    store: &'a Store,
    stored: Committed,
    policy: Policy,
    needed: BTreeSet<CellIndex>,
    reachable: BTreeSet<CellIndex>,
}

impl<'a> States<'a> {
    fn new(plan: &Plan, bench: &'a Workbench, rerun_failed: bool) -> Result<Self, Failure> {
        let store = &bench.store;
        let stored = store.committed()?;
        let needed = plan.needed(|kind, key| stored.contains(kind, key));
        // Cells of a row that cannot be planned to its end lead nowhere.
        let reachable = plan.needed(|_, _| false);
        Ok(Self {
            store,
            stored,
            policy: Policy {
                rerun_failed,
                program: segad_runner::versions::build(),
                ..Policy::default()
            },
            needed: needed.into_iter().collect(),
            reachable: reachable.into_iter().collect(),
        })
    }

    fn reachable<'p>(&self, plan: &'p Plan) -> impl Iterator<Item = (CellIndex, &'p Cell)> {
        let all = plan.cells.iter().enumerate();
        let all = all.map(|(i, cell)| (CellIndex(i), cell));
        all.filter(|(id, _)| self.reachable.contains(id))
    }

    /// Kinds of the cells that would be computed.
    fn kinds(&self, plan: &Plan) -> Vec<CellKind> {
        let kinds = self.needed.iter().map(|id| plan.cells[id.0].kind);
        let kinds: BTreeSet<CellKind> = kinds.collect();
        kinds.into_iter().collect()
    }

    fn of(&self, id: CellIndex, cell: &Cell) -> State {
        let needed = self.needed.contains(&id);
        let failed = match needed {
            true => self.policy.standing(self.store, cell.kind, &cell.key),
            false => None,
        };
        let stored = self.stored.contains(cell.kind, &cell.key);
        let (name, why) = match (&cell.missing, &failed) {
            // What is stored counts, even if its inputs have gone since.
            _ if stored => ("hit", String::new()),
            (Some(missing), _) => (MISSING, format!(": {missing}")),
            (None, Some(failed)) => ("failed", format!(": {}", schedule::standing_reason(failed))),
            (None, None) if needed => (MISS, String::new()),
            (None, None) => ("unused", ": everything that needs it is stored".to_owned()),
        };
        State { name, why, failed }
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
        self.to_compute += usize::from(state == MISS || state == MISSING);
        match estimate {
            Some(e) => {
                self.seconds += e.seconds;
                self.memory_mib = self.memory_mib.max(e.memory_mib);
            }
            None => self.without_estimate += usize::from(state == MISS),
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
pub(super) fn config(file: &Path, args: &SettingsArgs, origin: bool) -> Result<(), Failure> {
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
