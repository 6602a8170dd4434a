//! The experiment as the report sees it.

use super::columns::Columns;
use crate::Failure;
use crate::workbench::{IMPORTED, Workbench};
use segad_datasets::Group;
use segad_grid::{Experiment, Plan};
use segad_report::{GroupKind, GroupSpec, Metric, Paper, RowSpec, TableShape, Tolerance};
use std::collections::BTreeSet;

/// The metrics of an experiment.
///
/// # Errors
/// [`Failure::Configuration`] for a name that is not a metric's.
pub fn metrics(experiment: &Experiment) -> Result<Vec<Metric>, Failure> {
    let mut metrics = Vec::with_capacity(experiment.metrics.len());
    for name in &experiment.metrics {
        let metric: Result<Metric, _> = name.parse();
        metrics.push(metric.map_err(Failure::configuration)?);
    }
    Ok(metrics)
}

/// Title, rows, columns and groups for the report.
pub(super) fn describe(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
) -> Result<segad_report::Experiment, Failure> {
    let columns = Columns::of(experiment, plan).all(plan);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<&str> = experiment.rows.iter().map(|r| r.name.as_str()).collect();
    let metrics = metrics(experiment)?;
    let manifest = bench.source.manifest();
    let mut title = experiment.title.clone();
    if manifest.made_up {
        title.push_str(", on synthetic images; the numbers mean nothing");
    }
    let mut described =
        segad_report::Experiment::new(&experiment.name, &title, &metrics, &rows, &columns);
    described.paper = experiment.paper.clone();
    described.rows = row_specs(experiment)?;
    let seeds: BTreeSet<u64> = plan.results.iter().map(|r| r.seed).collect();
    described.seeds = seeds.into_iter().collect();
    if experiment.protocols.len() > 1 {
        described.shape = TableShape::Metrics;
    }
    // With the authors' own maps only the forest is random, hence narrower limits.
    if experiment.detectors.values().any(|d| d.kind == IMPORTED) {
        described.tolerance = Tolerance::VISA_REGRESSION;
    }
    described.groups = manifest
        .groups
        .iter()
        .map(|g| GroupSpec::new(&g.name, &g.name.replace('_', " "), group_kind(g)))
        .collect();
    Ok(described)
}

/// The rows, under the headings that the paper's table has for them.
fn row_specs(experiment: &Experiment) -> Result<Vec<RowSpec>, Failure> {
    let paper = Paper::load().map_err(Failure::configuration)?;
    let table = experiment
        .paper
        .as_deref()
        .map(|id| paper.table(id))
        .transpose()
        .map_err(Failure::configuration)?;
    let mut specs = Vec::with_capacity(experiment.rows.len());
    for row in &experiment.rows {
        let printed = table.and_then(|table| paper.row(table, &row.name));
        specs.push(RowSpec {
            section: printed.map_or_else(String::new, |row| row.section.clone()),
            ..RowSpec::new(&row.name)
        });
    }
    Ok(specs)
}

fn group_kind(group: &Group) -> GroupKind {
    match (group.set_aside, group.label.is_bad(), group.unseen) {
        (true, ..) => GroupKind::Aside,
        (_, false, _) => GroupKind::Good,
        (_, true, true) => GroupKind::Unseen,
        (_, true, false) => GroupKind::Seen,
    }
}
