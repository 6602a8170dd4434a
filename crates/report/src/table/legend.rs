//! What is said below the tables.

use super::{Entry, Tables};
use crate::round::{TABLE, fixed, short};
use crate::{Cell, Experiment, Results, compare};

/// How to read the tables, in sentences.
pub(super) fn legend(results: &Results) -> Vec<String> {
    let e = &results.experiment;
    let mut legend = vec![
        "All values in percent: mean ± standard deviation (over n) over the seeds. Bold: best of the column; \
         underlined: second best; ties share a place; rows that lack seeds do not compete."
            .to_owned(),
    ];
    if e.has_class_mean() {
        legend.push("Mean: the mean of the classes' means.".to_owned());
    }
    if results.cells.iter().any(|c| c.paper.is_some()) {
        legend.push(tolerances(e));
    }
    if results
        .cells
        .iter()
        .any(|c| c.mean.is_some() && c.n < c.planned)
    {
        legend.push("(n/m): only n of m seeds have a result.".to_owned());
    }
    legend
}

/// When a number counts as the paper's.
fn tolerances(experiment: &Experiment) -> String {
    let t = experiment.tolerance;
    let limit = |least: f64| {
        if t.sigmas > 0.0 {
            format!("max({}·std, {})", short(t.sigmas, 1), short(least, 1))
        } else {
            short(least, 1)
        }
    };
    let mean = if t.mean_auroc == t.auroc || !experiment.has_class_mean() {
        String::new()
    } else {
        format!(" ({} for means over classes)", limit(t.mean_auroc))
    };
    let std = if t.sigmas > 0.0 {
        " std is the paper's where it prints one, otherwise ours."
    } else {
        ""
    };
    format!(
        "Δ: ours − paper. ✓ reproduced: |Δ| ≤ {}{mean} for AUROC, ≤ {} for FPR; ✗ differs; ≈ the paper \
         contradicts its own number; – no result.{std}",
        limit(t.auroc),
        limit(t.fpr)
    )
}

/// Failures with the same row, class and reason share a line.
pub(super) fn failures(results: &Results) -> Vec<String> {
    let mut merged: Vec<(&str, &str, &str, Vec<String>)> = Vec::new();
    for f in &results.failures {
        let seed = f.seed.to_string();
        match merged
            .iter_mut()
            .find(|m| (m.0, m.1, m.2) == (&f.row, &f.class, &f.reason))
        {
            Some(m) => m.3.push(seed),
            None => merged.push((&f.row, &f.class, &f.reason, vec![seed])),
        }
    }
    merged
        .into_iter()
        .map(|(row, class, reason, seeds)| {
            let s = if seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{row}, {class}, {s} {}: {reason}", seeds.join(", "))
        })
        .collect()
}

impl Tables {
    /// How many cells the paper prints, and how many of them have which verdict, as a sentence;
    /// `None` without any.
    pub fn verdicts(results: &Results) -> Option<String> {
        let comparison = compare(results);
        let [reproduced, differ, inconsistent, failed] = [
            comparison.reproduced.len(),
            comparison.differs.len(),
            comparison.inconsistent.len(),
            comparison.failed.len(),
        ];
        let all = reproduced + differ + inconsistent + failed;
        (all > 0).then(|| {
            format!(
                "{reproduced} of {all} printed numbers reproduced, {differ} differ, {inconsistent} known to be \
                 inconsistent, {failed} without a result."
            )
        })
    }
}

/// A cell's own number, as an entry.
pub(super) fn measured(cell: Option<&Cell>) -> Entry {
    let Some(cell) = cell else {
        return Entry::Empty;
    };
    let Some(mean) = cell.mean else {
        return Entry::Failed;
    };
    Entry::Value {
        mean: fixed(mean, TABLE),
        std: cell
            .std
            .filter(|_| cell.planned > 1)
            .map(|s| fixed(s, TABLE)),
        partial: (cell.n < cell.planned).then_some((cell.n, cell.planned)),
        rank: cell.rank,
    }
}
