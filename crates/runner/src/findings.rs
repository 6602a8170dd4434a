//! What the numbers say, in words, seed by seed against the detector alone.

use segad_grid::{Experiment, Head};
use segad_report::{Cell, Note, Results};

/// One paragraph per column group: each row against the first row that is a detector alone, paired by seed.
pub(crate) fn notes(experiment: &Experiment, results: &Results) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    if !experiment.notes.is_empty() {
        notes.push(Note { title: "About this experiment".into(), paragraphs: experiment.notes.clone() });
    }
    let Some(base) = experiment.rows.iter().find(|r| r.head != Head::Forest) else { return notes };
    let metric = results.experiment.metrics.first().map(ToString::to_string).unwrap_or_default();
    let of = |row: &str, class: &str| {
        results.cells.iter().find(|c| c.row == row && c.class == class && c.metric == metric)
    };
    let mut paragraphs = Vec::new();
    for class in &results.experiment.classes {
        let Some(alone) = of(&base.name, class) else { continue };
        for row in experiment.rows.iter().filter(|r| r.head == Head::Forest) {
            if let Some(sentence) = of(&row.name, class).and_then(|c| sentence(c, alone)) {
                paragraphs.push(sentence);
            }
        }
    }
    if !paragraphs.is_empty() {
        notes.push(Note {
            title: format!("Against {} alone ({metric}, paired by seed)", base.name),
            paragraphs,
        });
    }
    notes
}

/// "X, class: +1.2 points on average, better in 4 of 5 seeds (from −0.3 to +2.9)."
fn sentence(cell: &Cell, alone: &Cell) -> Option<String> {
    let deltas: Vec<f64> = cell
        .seeds
        .iter()
        .filter_map(|(seed, value)| {
            let (_, other) = alone.seeds.iter().find(|(s, _)| s == seed)?;
            Some(value - other)
        })
        .collect();
    let mean = deltas.iter().sum::<f64>() / deltas.len() as f64;
    let better = deltas.iter().filter(|d| **d > 0.0).count();
    let low = deltas.iter().copied().fold(f64::INFINITY, f64::min);
    let high = deltas.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!deltas.is_empty()).then(|| {
        format!(
            "{}, {}: {} points on average, better in {better} of {} seeds (from {} to {}).",
            cell.row,
            cell.class,
            signed(mean),
            deltas.len(),
            signed(low),
            signed(high)
        )
    })
}

fn signed(value: f64) -> String {
    segad_report::signed(value, 1)
}
