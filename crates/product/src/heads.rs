//! Every part and every head, measured on images it had not seen; the simplest that is not clearly worse is kept.

use crate::card::Candidate;
use crate::error::Result;
use rayon::prelude::*;
use segad_core::{FeatureTable, Label, Seed};
use segad_features::{FeatureName, Measure};
use segad_forest::{Forest, ForestParams};
use segad_metrics::{Scores, delong_test};
use std::num::NonZeroUsize;

/// What forests are fitted on.
pub(crate) struct Problem<'a> {
    pub table: &'a FeatureTable,
    pub labels: &'a [Label],
    /// Fold of each row, 0…`k`−1.
    pub folds: &'a [usize],
    pub k: usize,
    pub params: &'a ForestParams,
    pub seed: Seed,
}

impl Problem<'_> {
    /// A forest on these rows.
    pub fn fit(&self, rows: &[usize], monotone: bool) -> Result<Forest> {
        let labels: Vec<Label> = rows.iter().map(|&i| self.labels[i]).collect();
        let constraints = if monotone { rising(self.table.names()) } else { Vec::new() };
        let table = self.table.select_rows(rows);
        // XGBoost takes seeds below 2⁶³.
        let seed = Seed(self.seed.0 >> 1);
        Ok(Forest::fit(self.params, &table, &labels, &constraints, seed, NonZeroUsize::MIN)?)
    }

    /// One score a row, by a forest that saw no row of its fold and none that `left_out` names.
    pub fn out_of_fold(&self, monotone: bool, left_out: impl Fn(usize) -> bool + Sync) -> Result<Vec<f32>> {
        let rows =
            |keep: &dyn Fn(usize) -> bool| (0..self.labels.len()).filter(|&i| keep(i)).collect::<Vec<_>>();
        let parts = (0..self.k)
            .into_par_iter()
            .map(|fold| {
                let forest = self.fit(&rows(&|i| self.folds[i] != fold && !left_out(i)), monotone)?;
                let own = rows(&|i| self.folds[i] == fold);
                let margins = forest.margins(&self.table.select_rows(&own))?;
                Ok((own, margins))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut scores = vec![0.0; self.labels.len()];
        for (own, margins) in parts {
            own.into_iter().zip(margins).for_each(|(i, m)| scores[i] = m);
        }
        Ok(scores)
    }
}

/// 1 for every column where more means more evidence of a defect, 0 for the shape of the distribution.
fn rising(columns: &[String]) -> Vec<i8> {
    let rises = |column: &String| match column.parse() {
        Ok(FeatureName::Segment { measure, .. }) => !matches!(measure, Measure::Skewness | Measure::Kurtosis),
        Ok(FeatureName::GlobalMax { .. } | FeatureName::Classifier { .. }) | Err(_) => true,
    };
    columns.iter().map(|c| i8::from(rises(c))).collect()
}

/// A part or head with its scores.
pub(crate) struct Entrant {
    pub name: String,
    /// How simple: 0 is the simplest.
    pub rank: usize,
    pub scores: Vec<f32>,
}

/// Measures all, and says which one is kept: of those whose AUROC is behind the best by no more than one standard error
/// of the difference, the simplest; of equally simple ones, the best.
pub(crate) fn select(entrants: &[Entrant], labels: &[Label], level: f64) -> Result<(Vec<Candidate>, usize)> {
    let estimates = entrants
        .iter()
        .map(|e| Ok(Scores::new(&e.scores, labels)?.auroc_delong()))
        .collect::<Result<Vec<_>>>()?;
    let better = |a: usize, b: usize| estimates[b].auroc > estimates[a].auroc;
    let best = (1..entrants.len()).fold(0, |best, i| if better(best, i) { i } else { best });
    let mut candidates = Vec::with_capacity(entrants.len());
    for (entrant, estimate) in entrants.iter().zip(&estimates) {
        let apart = delong_test(&entrants[best].scores, &entrant.scores, labels)?;
        let interval = estimate.interval(level)?;
        candidates.push(Candidate {
            name: entrant.name.clone(),
            rank: entrant.rank,
            auroc: estimate.auroc,
            low: interval.low,
            high: interval.high,
            behind: apart.difference,
            std_error: apart.std_error,
            chosen: false,
        });
    }
    let near = |c: &Candidate| c.behind <= c.std_error;
    let chosen = (0..candidates.len())
        .filter(|&i| near(&candidates[i]))
        .min_by(|&a, &b| {
            let (a, b) = (&candidates[a], &candidates[b]);
            a.rank.cmp(&b.rank).then(b.auroc.total_cmp(&a.auroc))
        })
        .unwrap_or(best);
    candidates[chosen].chosen = true;
    Ok((candidates, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    fn entrant(name: &str, rank: usize, scores: &[f32]) -> Entrant {
        Entrant { name: name.to_owned(), rank, scores: scores.to_vec() }
    }

    #[test]
    fn the_simplest_that_is_not_clearly_worse_is_kept() {
        let labels: Vec<Label> = (0..40).map(|i| if i < 20 { Good } else { Bad }).collect();
        let clear: Vec<f32> = (0..40).map(|i| i as f32).collect();
        let mut near = clear.clone();
        near.swap(19, 20); // one pair of 400 in the wrong order
        let poor: Vec<f32> = (0..40).map(|i| ((i * 17) % 40) as f32).collect();
        let all = [entrant("poor", 0, &poor), entrant("near", 1, &near), entrant("clear", 2, &clear)];
        let (candidates, chosen) = select(&all, &labels, 0.95).unwrap();
        assert_eq!(all[chosen].name, "near");
        assert!(candidates[1].chosen && (candidates[1].behind - 1.0 / 400.0).abs() < 1e-12);
        assert_eq!((candidates[2].behind, candidates[2].auroc), (0.0, 1.0));
        assert!(candidates[0].behind > candidates[0].std_error);
        let (_, chosen) = select(&all[..1], &labels, 0.95).unwrap();
        assert_eq!(chosen, 0);
    }

    #[test]
    fn evidence_may_only_raise() {
        let columns = ["a/p/q99.5", "a/p/skewness", "a/p/kurtosis", "a/p/mean", "p/max"].map(String::from);
        assert_eq!(rising(&columns), [1, 0, 0, 1, 1]);
    }
}
