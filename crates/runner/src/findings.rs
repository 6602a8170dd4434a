//! What the numbers say, in words, seed by seed against the detector alone.

use segad_core::Label;
use segad_grid::{Experiment, Head, Split};
use segad_report::{Cell, FeatureDrift, Note, Results};

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

/// Whether the forest was asked about images like those it learned from: the mean Kolmogorov–Smirnov distance of the good
/// images' statistics, beside what chance gives for as many images of one kind.
pub(crate) fn drift(
    drifts: &[FeatureDrift],
    split: &Split,
    row: &str,
    class: &str,
    seed: u64,
) -> Option<Note> {
    let good: Vec<f64> = drifts.iter().filter(|d| d.label == Label::Good).map(|d| d.ks).collect();
    let (n, m) = (split.forest.count(Label::Good), split.test.count(Label::Good));
    if good.is_empty() || n == 0 || m == 0 {
        return None;
    }
    let mean = good.iter().sum::<f64>() / good.len() as f64;
    // The mean of Kolmogorov's distribution is √(π/2)·ln 2 ≈ 0.869.
    let chance = 0.869 * ((n + m) as f64 / (n as f64 * m as f64)).sqrt();
    let bad = split.forest.count(Label::Bad);
    let mut text = format!(
        "{row}, {class}, seed {seed}: {n} good and {bad} bad images trained the forest. Between these good images and the \
         {m} good ones of the test, the statistics are {} apart on average (Kolmogorov–Smirnov distance); chance would \
         give {}.",
        segad_report::fixed(mean, 2),
        segad_report::fixed(chance, 2)
    );
    if mean > 2.0 * chance {
        text.push_str(
            " So good images of the test look unlike those that the forest learned as good, and part of what it learned to \
             tell good from bad tells one batch of products from another. A detector alone has no such thing to unlearn.",
        );
    }
    Some(Note { title: "Training images against test images".into(), paragraphs: vec![text] })
}

fn signed(value: f64) -> String {
    segad_report::signed(value, 1)
}
