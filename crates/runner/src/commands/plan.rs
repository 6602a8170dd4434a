//! `plan` and `config`: say, do nothing.

use super::setup::{self, Prepared};
use crate::Failure;
use crate::cli::Run;
use crate::progress::Bars;
use crate::schedule;
use segad_grid::{Cell, CellKind, Plan};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a run would compute. Hit: in the store. Miss: would be computed. Missing: an input is not there. Unused: not in the
/// store, but nothing that is missing needs it.
pub(super) fn plan(file: &Path, args: &Run, json: bool, bars: &Bars) -> Result<(), Failure> {
    let Prepared { experiment, bench, .. } = setup::prepare(file, args, bars)?;
    let plan = Plan::new(&experiment, &bench)
        .map_err(|m| Failure::Configuration(format!("{}: {m}", file.display())))?;
    let has = |kind, key: &segad_core::Key| bench.store.contains(schedule::kind(kind), key);
    let needed: BTreeSet<_> = plan.needed(has).into_iter().collect();
    let past = past_seconds(&bench)?;
    let mut lines = String::new();
    let mut objects = Vec::new();
    let mut totals: BTreeMap<CellKind, (usize, usize, f64)> = BTreeMap::new();
    for (i, cell) in plan.cells.iter().enumerate() {
        let (state, why) = state(cell, has(cell.kind, &cell.key), needed.contains(&segad_grid::CellId(i)));
        let estimate = if state == "miss" { past.get(&cell.kind.to_string()).copied() } else { None };
        let total = totals.entry(cell.kind).or_default();
        total.0 += 1;
        total.1 += usize::from(state == "miss" || state == "missing");
        total.2 += estimate.unwrap_or(0.0);
        lines.push_str(&format!("{state:<8} {} {}{}\n", cell.key.short(), cell.name, why));
        objects.push(json!({
            "kind": cell.kind, "key": cell.key, "name": cell.name, "state": state,
            "missing": cell.missing, "estimated_seconds": estimate,
            "needs": cell.needs.iter().map(|n| plan.cells[n.0].key).collect::<Vec<_>>(),
        }));
    }
    let faults: Vec<&String> = plan.results.iter().filter_map(|r| r.cell.as_ref().err()).collect();
    if json {
        let all = json!({ "schema": 1, "experiment": experiment.name, "cells": objects, "faults": faults });
        return super::print(&(all.to_string() + "\n"));
    }
    for (kind, (cells, missing, seconds)) in totals {
        let seconds = if seconds > 0.0 { format!(", about {seconds:.0} s") } else { String::new() };
        lines.push_str(&format!("{kind}: {cells} cells, {missing} to compute{seconds}\n"));
    }
    for fault in faults.iter().collect::<BTreeSet<_>>() {
        lines.push_str(&format!("cannot be planned: {fault}\n"));
    }
    super::print(&lines)
}

fn state(cell: &Cell, stored: bool, needed: bool) -> (&'static str, String) {
    match (&cell.missing, stored, needed) {
        (_, true, _) => ("hit", String::new()),
        (Some(missing), ..) => ("missing", format!(": {missing}")),
        (None, false, true) => ("miss", String::new()),
        (None, false, false) => ("unused", ": all that needs it is stored".to_owned()),
    }
}

/// Mean seconds of the stored cells of each kind.
fn past_seconds(bench: &crate::Workbench) -> Result<BTreeMap<String, f64>, Failure> {
    let mut sums: BTreeMap<String, (f64, u32)> = BTreeMap::new();
    for listed in bench.store.ls().map_err(Failure::input)? {
        let meta = listed.meta.ok();
        if let Some(seconds) = meta.and_then(|m| m.provenance.get("seconds")?.as_f64()) {
            let sum = sums.entry(listed.id.kind.to_string()).or_default();
            *sum = (sum.0 + seconds, sum.1 + 1);
        }
    }
    Ok(sums.into_iter().map(|(k, (s, n))| (k, s / f64::from(n))).collect())
}

/// The merged settings, with the layer that set each.
pub(super) fn config(file: &Path, args: &Run, origin: bool) -> Result<(), Failure> {
    let layers = setup::layers(file, args)?;
    layers.experiment().map_err(Failure::configuration)?;
    let mut text = String::new();
    for o in layers.origins() {
        let from = if origin { format!("  # {}", o.origin) } else { String::new() };
        text.push_str(&format!("{} = {}{from}\n", o.key, o.value));
    }
    super::print(&text)
}
