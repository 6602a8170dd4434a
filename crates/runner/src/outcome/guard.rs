//! The guard rail of generated defects: what the forest learned from, held against real images of
//! the test.

use super::columns::{Columns, parts};
use crate::cells::rows_by_id;
use crate::generated::GROUP;
use crate::workbench::Workbench;
use segad_core::{BoxError, FeatureTable, ImageId, Label};
use segad_defects::Guard;
use segad_grid::{Cell, CellIndex, Experiment, Plan, Split, Task};
use segad_report::{Note, fixed};
use std::collections::{BTreeMap, BTreeSet};

/// What there is to say about generated defects.
#[derive(Default)]
pub(super) struct Findings {
    /// For the report, if any image was generated.
    pub note: Option<Note>,
    /// For the terminal and the provenance.
    pub warnings: Vec<String>,
}

/// One row and column group, over its seeds.
#[derive(Default)]
struct Seen {
    bad: Vec<f64>,
    good: Vec<f64>,
    detectors: BTreeMap<String, Vec<f64>>,
    warnings: Vec<String>,
}

/// Compares the statistics of generated images with those of real ones that the test holds. Nothing
/// is fitted here: the outcome is only reported.
pub(super) fn check(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
) -> Result<Findings, BoxError> {
    let columns = Columns::of(experiment, plan);
    let mut seen: BTreeMap<(usize, String), Seen> = BTreeMap::new();
    for result in &plan.results {
        let Ok(id) = result.cell else { continue };
        let Some((forest, features)) = behind(plan, id) else {
            continue;
        };
        let samples = forest.split.forest.samples().iter();
        let generated: Vec<&ImageId> = samples
            .filter(|s| s.group == GROUP)
            .map(|s| &s.id)
            .collect();
        if generated.is_empty() {
            continue;
        }
        // Features may have been removed since; the guard rail then skips the result.
        let Some(entry) = bench.store.entry(features.kind, &features.key)? else {
            continue;
        };
        let table = segad_store::read_features(&entry.path("features.parquet")?)?;
        let place = (result.row, columns.heading(result));
        seen.entry(place)
            .or_default()
            .add(&table, &generated, &forest.split)?;
    }
    let mut findings = Findings::default();
    let mut paragraphs = Vec::new();
    for ((row, class), seen) in seen {
        let place = format!("{}, {class}", experiment.rows[row].name);
        paragraphs.push(seen.sentence(&place));
        findings.warnings.extend(seen.warning(&place));
    }
    paragraphs.extend(findings.warnings.iter().map(|w| format!("Warning: {w}.")));
    if !paragraphs.is_empty() {
        findings.note = Some(Note {
            title: "Generated defects against real ones".into(),
            paragraphs,
        });
    }
    Ok(findings)
}

impl Seen {
    /// Adds the distances of one seed.
    fn add(
        &mut self,
        table: &FeatureTable,
        generated: &[&ImageId],
        split: &Split,
    ) -> Result<(), BoxError> {
        let generated = rows(table, generated);
        let bad = rows(table, &tested(split, Label::Bad));
        let good = rows(table, &tested(split, Label::Good));
        let bad = Guard::new(table.names(), &generated, &bad)?;
        let good = Guard::new(table.names(), &generated, &good)?;
        self.bad.extend(bad.mean(|_| true));
        self.good.extend(good.mean(|_| true));
        let detectors: BTreeSet<String> = table.names().iter().map(|n| parts(n).1).collect();
        for detector in detectors {
            let mean = bad.mean(|n| parts(n).1 == detector);
            self.detectors.entry(detector).or_default().extend(mean);
        }
        self.warnings.extend(bad.warning());
        Ok(())
    }

    fn sentence(&self, place: &str) -> String {
        let by_detector: Vec<String> = self
            .detectors
            .iter()
            .map(|(detector, values)| format!("{detector} {}", fixed(mean(values), 2)))
            .collect();
        format!(
            "{place}: over {} seeds the statistics of generated images are {} from those of real \
             bad images of the test on average (Kolmogorov–Smirnov distance; {}), and {} from \
             those of good ones.",
            self.bad.len(),
            fixed(mean(&self.bad), 2),
            by_detector.join(", "),
            fixed(mean(&self.good), 2)
        )
    }

    fn warning(&self, place: &str) -> Option<String> {
        let first = self.warnings.first()?;
        let (warned, seeds) = (self.warnings.len(), self.bad.len());
        Some(format!("{place}, {warned} of {seeds} seeds: {first}"))
    }
}

/// The real images of this label that the headline metrics count.
fn tested(split: &Split, label: Label) -> Vec<&ImageId> {
    let samples = split.test.samples().iter();
    samples
        .filter(|s| s.label == label && split.is_headline(s))
        .map(|s| &s.id)
        .collect()
}

/// The forest cell behind test scores, and its statistics.
fn behind(plan: &Plan, scores: CellIndex) -> Option<(&Cell, &Cell)> {
    let Task::TestScores { source, .. } = &plan.cells[scores.0].task else {
        return None;
    };
    let forest = &plan.cells[source.0];
    let Task::Forest {
        features: Some(features),
        ..
    } = &forest.task
    else {
        return None;
    };
    Some((forest, &plan.cells[features.0]))
}

/// Values of these images, row after row.
fn rows(table: &FeatureTable, ids: &[&ImageId]) -> Vec<f32> {
    let by_id = rows_by_id(table);
    ids.iter()
        .filter_map(|id| by_id.get(id))
        .flat_map(|&i| table.row(i).iter().copied())
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
