//! What the numbers say, in words, seed by seed against the detector alone.

use segad_core::Label;
use segad_grid::{Experiment, Head, Row, Split};
use segad_metrics::Interval;
use segad_report::{Cell, FeatureDrift, Note, Results};

/// One paragraph per column group: each row against the first row that is a detector alone, paired
/// by seed.
pub(super) fn notes(experiment: &Experiment, results: &Results) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    if !experiment.notes.is_empty() {
        notes.push(Note {
            title: "About this experiment".into(),
            paragraphs: experiment.notes.clone(),
        });
    }
    let Some(base) = base(experiment) else {
        return notes;
    };
    let metric = results
        .experiment
        .metrics
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let of = |row: &str, class: &str| {
        results
            .cells
            .iter()
            .find(|c| c.row == row && c.class == class && c.metric == metric)
    };
    let mut paragraphs = Vec::new();
    for class in &results.experiment.classes {
        let Some(alone) = of(&base.name, class) else {
            continue;
        };
        for row in experiment
            .rows
            .iter()
            .filter(|r| r.name != base.name && r.head == Head::Forest)
        {
            if let Some(sentence) = of(&row.name, class).and_then(|c| sentence(c, alone)) {
                paragraphs.push(sentence);
            }
        }
    }
    if !paragraphs.is_empty() {
        notes.push(Note {
            title: match base.head {
                Head::Forest => format!("Against {} ({metric}, paired by seed)", base.name),
                _ => format!("Against {} alone ({metric}, paired by seed)", base.name),
            },
            paragraphs,
        });
    }
    notes
}

/// What other rows are held against: the first detector or classifier alone, or else the first row.
fn base(experiment: &Experiment) -> Option<&Row> {
    experiment
        .rows
        .iter()
        .find(|r| r.head != Head::Forest)
        .or(experiment.rows.first())
}

/// `differences.csv`: every row against the base row, metric by metric, paired by seed, with
/// Student's interval of the mean.
pub(super) fn differences(experiment: &Experiment, results: &Results) -> String {
    let mut text = "row,base,class,metric,mean,low95,high95,larger,n\n".to_owned();
    let Some(base) = base(experiment) else {
        return text;
    };
    for cell in results.cells.iter().filter(|c| c.row != base.name) {
        let same =
            |c: &&Cell| c.row == base.name && c.class == cell.class && c.metric == cell.metric;
        let Some(other) = results.cells.iter().find(same) else {
            continue;
        };
        let deltas = deltas(cell, other);
        let Ok(interval) = Interval::of_mean(&deltas, 0.95) else {
            continue;
        };
        let mean = deltas.iter().sum::<f64>() / deltas.len() as f64;
        let larger = deltas.iter().filter(|d| **d > 0.0).count();
        let fields = [&cell.row, &base.name, &cell.class, &cell.metric].map(|f| quoted(f));
        let numbers = [mean, interval.low, interval.high].map(|v| segad_report::fixed(v, 3));
        text.push_str(&format!(
            "{},{},{larger},{}\n",
            fields.join(","),
            numbers.join(","),
            deltas.len()
        ));
    }
    text
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Differences by seed, of the seeds that both have.
fn deltas(cell: &Cell, other: &Cell) -> Vec<f64> {
    let pairs = cell.seeds.iter().filter_map(|(seed, value)| {
        let (_, base) = other.seeds.iter().find(|(s, _)| s == seed)?;
        Some(value - base)
    });
    pairs.collect()
}

/// "X, class: +1.2 points on average, better in 4 of 5 seeds (from −0.3 to +2.9)."
fn sentence(cell: &Cell, alone: &Cell) -> Option<String> {
    let deltas = deltas(cell, alone);
    let mean = deltas.iter().sum::<f64>() / deltas.len() as f64;
    let better = deltas.iter().filter(|d| **d > 0.0).count();
    let low = deltas.iter().copied().fold(f64::INFINITY, f64::min);
    let high = deltas.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let interval = match Interval::of_mean(&deltas, 0.95) {
        Ok(i) => format!(
            "; 95 % interval of the mean {} to {}",
            signed(i.low),
            signed(i.high)
        ),
        Err(_) => String::new(),
    };
    (!deltas.is_empty()).then(|| {
        format!(
            "{}, {}: {} points on average, better in {better} of {} seeds (from {} to {}{interval}).",
            cell.row,
            cell.class,
            signed(mean),
            deltas.len(),
            signed(low),
            signed(high)
        )
    })
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
    Some(Note {
        title: "Training images against test images".into(),
        paragraphs: vec![text],
    })
}

fn signed(value: f64) -> String {
    segad_report::signed(value, 1)
}
