//! The guard rail of generated defects: what the forest learned from, held against real images of
//! the test.

use super::columns::{Columns, parts};
use crate::generated::GROUP;
use crate::workbench::Workbench;
use segad_core::{BoxError, FeatureTable, ImageId, Label};
use segad_defects::Guard;
use segad_grid::{Cell, CellIndex, Experiment, Plan, Task};
use segad_report::Note;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
/// is fitted here: what comes out is only said.
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
        if forest
            .split
            .forest
            .samples()
            .iter()
            .all(|s| s.group != GROUP)
        {
            continue;
        }
        let Some(entry) = bench.store.entry(features.kind, &features.key)? else {
            continue;
        };
        let table = segad_store::read_features(&entry.path("features.parquet")?)?;
        let generated: Vec<&ImageId> = forest
            .split
            .forest
            .samples()
            .iter()
            .filter(|s| s.group == GROUP)
            .map(|s| &s.id)
            .collect();
        let real = |label: Label| -> Vec<&ImageId> {
            let own = forest
                .split
                .test
                .samples()
                .iter()
                .filter(|s| s.label == label && forest.split.is_headline(s));
            own.map(|s| &s.id).collect()
        };
        let generated = rows(&table, &generated);
        let bad = Guard::new(table.names(), &generated, &rows(&table, &real(Label::Bad)))?;
        let good = Guard::new(table.names(), &generated, &rows(&table, &real(Label::Good)))?;
        let seen = seen
            .entry((result.row, columns.heading(result)))
            .or_default();
        seen.bad.extend(bad.mean(|_| true));
        seen.good.extend(good.mean(|_| true));
        let detectors: BTreeSet<String> = table.names().iter().map(|n| parts(n).1).collect();
        for detector in detectors {
            let mean = bad.mean(|n| parts(n).1 == detector);
            seen.detectors.entry(detector).or_default().extend(mean);
        }
        seen.warnings.extend(bad.warning());
    }
    let mut findings = Findings::default();
    let mut paragraphs = Vec::new();
    for ((row, class), seen) in seen {
        let (row, n) = (&experiment.rows[row].name, seen.bad.len());
        let apart: Vec<String> = seen
            .detectors
            .iter()
            .map(|(d, v)| format!("{d} {}", segad_report::fixed(mean(v), 2)))
            .collect();
        let text = format!(
            "{row}, {class}: over {n} seeds the statistics of generated images are {} from those of real bad images of the test \
             on average (Kolmogorov–Smirnov distance; {}), and {} from those of good ones.",
            segad_report::fixed(mean(&seen.bad), 2),
            apart.join(", "),
            segad_report::fixed(mean(&seen.good), 2)
        );
        if let Some(first) = seen.warnings.first() {
            findings.warnings.push(format!(
                "{row}, {class}, {} of {n} seeds: {first}",
                seen.warnings.len()
            ));
        }
        paragraphs.push(text);
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

fn rows(table: &FeatureTable, ids: &[&ImageId]) -> Vec<f32> {
    let at: HashMap<&ImageId, usize> = table
        .ids()
        .iter()
        .enumerate()
        .map(|(i, id)| (id, i))
        .collect();
    ids.iter()
        .filter_map(|id| at.get(id))
        .flat_map(|&i| table.row(i).iter().copied())
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
