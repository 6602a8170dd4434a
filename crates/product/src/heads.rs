//! Every part and every head, measured on images it had not seen; the simplest that is not clearly
//! worse is kept.

use crate::card::{Candidate, Head, TrainingG};
use crate::error::{ProductError, Result};
use rayon::prelude::*;
use segad_classifier_frozen::{FittedHead, FrozenParams};
use segad_core::{FeatureTable, Label, Seed};
use segad_features::{FeatureName, Measure};
use segad_forest::{Forest, ForestParams};
use segad_metrics::{Scores, delong_test};
use std::num::NonZeroUsize;

/// What heads are fitted on.
pub(crate) struct Problem<'a> {
    /// Statistics of the maps.
    pub table: &'a FeatureTable,
    /// Features of the classifiers, one row an image, and the classifiers; the first is the paper's
    /// g.
    pub embedded: Option<(&'a FeatureTable, &'a [(String, FrozenParams)])>,
    pub labels: &'a [Label],
    /// Fold of each row, 0…`k`−1.
    pub folds: &'a [usize],
    pub k: usize,
    pub params: &'a ForestParams,
    pub seed: Seed,
}

/// A head fitted on all rows.
pub(crate) struct Final {
    pub forest: Option<Forest>,
    pub classifier: Option<FittedHead>,
    /// What the forest was fitted on.
    pub table: FeatureTable,
}

impl Problem<'_> {
    fn rows(&self, keep: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.labels.len()).filter(|&i| keep(i)).collect()
    }

    fn labels_of(&self, rows: &[usize]) -> Vec<Label> {
        rows.iter().map(|&i| self.labels[i]).collect()
    }

    fn forest(&self, table: &FeatureTable, rows: &[usize], monotone: bool) -> Result<Forest> {
        let constraints = if monotone {
            rising(table.names())
        } else {
            Vec::new()
        };
        let labels = self.labels_of(rows);
        Ok(Forest::fit(
            self.params,
            table,
            &labels,
            &constraints,
            self.seed,
            NonZeroUsize::MIN,
        )?)
    }

    /// A classifier on these rows.
    fn classifier(&self, index: usize, rows: &[usize]) -> Result<FittedHead> {
        let (table, classifiers) = self.embedded.ok_or_else(|| no_classifier(index))?;
        let (_, params) = classifiers.get(index).ok_or_else(|| no_classifier(index))?;
        let labels = self.labels_of(rows);
        Ok(segad_classifier_frozen::fit(
            params,
            &table.select_rows(rows),
            &labels,
            self.seed,
        )?)
    }

    fn classified(&self, classifier: &FittedHead, rows: &[usize]) -> Result<Vec<f32>> {
        let (table, _) = self.embedded.ok_or_else(|| no_classifier(0))?;
        Ok(classifier.scores(&table.select_rows(rows))?)
    }

    /// The statistics of these rows with g as a further column.
    fn with_g(&self, rows: &[usize], g: &[f32]) -> Result<FeatureTable> {
        let name = self
            .embedded
            .and_then(|(_, c)| c.first())
            .map_or("g", |(name, _)| name);
        let column = FeatureName::Classifier {
            classifier: name.to_owned(),
        }
        .to_string();
        Ok(self.table.select_rows(rows).with_column(&column, g)?)
    }

    /// g of training rows: of the classifier fitted on them, or of classifiers fitted on the other
    /// folds of them.
    fn training_g(&self, kind: TrainingG, fitted: &FittedHead, rows: &[usize]) -> Result<Vec<f32>> {
        if kind == TrainingG::InSample {
            return self.classified(fitted, rows);
        }
        let mut g = vec![0.0; self.labels.len()];
        for fold in 0..self.k {
            let (own, others): (Vec<usize>, Vec<usize>) =
                rows.iter().partition(|&&i| self.folds[i] == fold);
            if !own.is_empty() {
                let scores = self.classified(&self.classifier(0, &others)?, &own)?;
                own.iter().zip(scores).for_each(|(&i, s)| g[i] = s);
            }
        }
        Ok(rows.iter().map(|&i| g[i]).collect())
    }

    /// A head fitted on these rows.
    fn fit(&self, head: &Head, rows: &[usize]) -> Result<Final> {
        let plain = || self.table.select_rows(rows);
        Ok(match head {
            Head::Detector { .. } => Final {
                forest: None,
                classifier: None,
                table: plain(),
            },
            Head::Classifier { classifier } => {
                let fitted = self.classifier(*classifier, rows)?;
                Final {
                    forest: None,
                    classifier: Some(fitted),
                    table: plain(),
                }
            }
            Head::Forest { monotone, g: None } => {
                let table = plain();
                Final {
                    forest: Some(self.forest(&table, rows, *monotone)?),
                    classifier: None,
                    table,
                }
            }
            Head::Forest {
                monotone,
                g: Some(kind),
            } => {
                let fitted = self.classifier(0, rows)?;
                let table = self.with_g(rows, &self.training_g(*kind, &fitted, rows)?)?;
                let forest = self.forest(&table, rows, *monotone)?;
                Final {
                    forest: Some(forest),
                    classifier: Some(fitted),
                    table,
                }
            }
        })
    }

    /// A head fitted on all rows.
    pub fn fit_all(&self, head: &Head) -> Result<Final> {
        self.fit(head, &self.rows(|_| true))
    }

    /// The statistics alone, for what the segments are worth.
    pub fn plain_forest(&self) -> Result<Forest> {
        self.forest(self.table, &self.rows(|_| true), false)
    }

    /// Whether every fit that measuring this head takes has images of both labels.
    pub fn possible(&self, head: &Head, left_out: impl Fn(usize) -> bool) -> bool {
        let both = |skipped: &[usize]| {
            let has = |label: Label| {
                (0..self.labels.len()).any(|i| {
                    self.labels[i] == label && !skipped.contains(&self.folds[i]) && !left_out(i)
                })
            };
            has(Label::Good) && has(Label::Bad)
        };
        match head {
            Head::Forest {
                g: Some(TrainingG::OutOfFold),
                ..
            } => (0..self.k).all(|f| (0..self.k).all(|j| both(&[f, j]))),
            _ => (0..self.k).all(|f| both(&[f])),
        }
    }

    /// One score a row, by a head that saw no row of its fold and none that `left_out` names.
    pub fn out_of_fold(
        &self,
        head: &Head,
        left_out: impl Fn(usize) -> bool + Sync,
    ) -> Result<Vec<f32>> {
        let parts = (0..self.k)
            .into_par_iter()
            .map(|fold| {
                let fitted =
                    self.fit(head, &self.rows(|i| self.folds[i] != fold && !left_out(i)))?;
                let own = self.rows(|i| self.folds[i] == fold);
                let g = fitted
                    .classifier
                    .as_ref()
                    .map(|c| self.classified(c, &own))
                    .transpose()?;
                let scores = match (fitted.forest, g) {
                    (Some(forest), Some(g)) => forest.margins(&self.with_g(&own, &g)?)?,
                    (Some(forest), None) => forest.margins(&self.table.select_rows(&own))?,
                    (None, g) => g.unwrap_or_default(),
                };
                Ok((own, scores))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut scores = vec![0.0; self.labels.len()];
        for (own, margins) in parts {
            own.into_iter()
                .zip(margins)
                .for_each(|(i, m)| scores[i] = m);
        }
        Ok(scores)
    }
}

fn no_classifier(index: usize) -> ProductError {
    ProductError::Damaged(format!("classifier {index} is absent"))
}

/// 1 for every column where more means more evidence of a defect, 0 for the shape of the
/// distribution.
fn rising(columns: &[String]) -> Vec<i8> {
    let rises = |column: &String| match column.parse() {
        Ok(FeatureName::Segment { measure, .. }) => {
            !matches!(measure, Measure::Skewness | Measure::Kurtosis)
        }
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

/// Measures all, and says which one is kept: of those whose AUROC is behind the best by no more
/// than one standard error of the difference, the simplest; of equally simple ones, the best.
pub(crate) fn select(
    entrants: &[Entrant],
    labels: &[Label],
    level: f64,
) -> Result<(Vec<Candidate>, usize)> {
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
        Entrant {
            name: name.to_owned(),
            rank,
            scores: scores.to_vec(),
        }
    }

    #[test]
    fn the_simplest_that_is_not_clearly_worse_is_kept() {
        let labels: Vec<Label> = (0..40).map(|i| if i < 20 { Good } else { Bad }).collect();
        let clear: Vec<f32> = (0..40).map(|i| i as f32).collect();
        let mut near = clear.clone();
        near.swap(19, 20); // one pair of 400 in the wrong order
        let poor: Vec<f32> = (0..40).map(|i| ((i * 17) % 40) as f32).collect();
        let all = [
            entrant("poor", 0, &poor),
            entrant("near", 1, &near),
            entrant("clear", 2, &clear),
        ];
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
        let columns = [
            "a/p/q99.5",
            "a/p/skewness",
            "a/p/kurtosis",
            "a/p/mean",
            "p/max",
        ]
        .map(String::from);
        assert_eq!(rising(&columns), [1, 0, 0, 1, 1]);
    }
}
