//! What the numbers say, in words, seed by seed against the detector on its own.

use segad_core::Label;
use segad_grid::{Experiment, Head, Row, Split};
use segad_report::{Difference, FeatureDrift, Note, ReportError, Results};

/// One sentence per column and row: each row with a forest against the base row, seed by seed.
pub(super) fn notes(
    experiment: &Experiment,
    results: &Results,
    differences: &[Difference],
) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    if !experiment.notes.is_empty() {
        notes.push(Note {
            title: "About this experiment".into(),
            paragraphs: experiment.notes.clone(),
        });
    }
    let (Some(base), Some(metric)) = (base(experiment), results.experiment.metrics.first()) else {
        return notes;
    };
    let metric = metric.to_string();
    let mut paragraphs = Vec::new();
    for class in &results.experiment.classes {
        for row in experiment.rows.iter().filter(|r| r.head == Head::Forest) {
            let of_cell =
                |d: &&Difference| d.row == row.name && d.class == *class && d.metric == metric;
            paragraphs.extend(differences.iter().find(of_cell).map(sentence));
        }
    }
    if !paragraphs.is_empty() {
        let alone = if base.head == Head::Forest {
            ""
        } else {
            " alone"
        };
        notes.push(Note {
            title: format!("Against {}{alone} ({metric}, paired by seed)", base.name),
            paragraphs,
        });
    }
    notes
}

/// Every other row against the base row.
pub(super) fn differences(
    experiment: &Experiment,
    results: &Results,
) -> Result<Vec<Difference>, ReportError> {
    match base(experiment) {
        Some(base) => segad_report::differences(results, &base.name),
        None => Ok(Vec::new()),
    }
}

/// What other rows are compared with: the first detector or classifier on its own, or else the
/// first row.
fn base(experiment: &Experiment) -> Option<&Row> {
    experiment
        .rows
        .iter()
        .find(|r| r.head != Head::Forest)
        .or(experiment.rows.first())
}

/// "X, class: +1.2 points on average, better in 4 of 5 seeds (from −0.3 to +2.9)."
fn sentence(d: &Difference) -> String {
    // Student's interval of paired differences: rows of a seed share images and splits.
    let interval = match d.interval {
        Some(i) => format!(
            "; 95 % interval of the mean {} to {}",
            signed(i.low),
            signed(i.high)
        ),
        None => String::new(),
    };
    let [least, most] = d.range.map(signed);
    format!(
        "{}, {}: {} points on average, better in {} of {} seeds (from {least} to {most}{interval}).",
        d.row,
        d.class,
        signed(d.mean),
        d.larger,
        d.n
    )
}

/// Whether the forest was asked about images like those it learned from: the mean
/// Kolmogorov–Smirnov distance of the good images' statistics, beside what chance gives for as many
/// images of one kind.
pub(super) fn drift(
    drifts: &[FeatureDrift],
    split: &Split,
    row: &str,
    class: &str,
    seed: u64,
) -> Option<Note> {
    let good: Vec<f64> = drifts
        .iter()
        .filter(|d| d.label == Label::Good)
        .map(|d| d.ks)
        .collect();
    let (n, m) = (
        split.forest.count(Label::Good),
        split.test.count(Label::Good),
    );
    if good.is_empty() || n == 0 || m == 0 {
        return None;
    }
    let mean = good.iter().sum::<f64>() / good.len() as f64;
    // The mean of Kolmogorov's distribution is √(π/2)·ln 2 ≈ 0.869.
    let chance = 0.869 * ((n + m) as f64 / (n as f64 * m as f64)).sqrt();
    let bad = split.forest.count(Label::Bad);
    let mut text = format!(
        "{row}, {class}, seed {seed}: the forest was trained on {n} good and {bad} bad images. The \
         statistics of these good images and of the {m} good test images differ by {} on average \
         (Kolmogorov–Smirnov distance); {} is expected by chance.",
        segad_report::fixed(mean, 2),
        segad_report::fixed(chance, 2)
    );
    if mean > 2.0 * chance {
        text.push_str(
            " The good test images therefore look different from those that the forest was trained \
             on, and part of what it uses to separate good from bad separates one batch of \
             products from another. A detector on its own is not affected.",
        );
    }
    Some(Note {
        title: "Training images against test images".into(),
        paragraphs: vec![text],
    })
}

fn signed(value: f64) -> String {
    segad_report::signed(value, 1)
}
