//! Every way to a score, fitted on some images and measured on others.

use crate::card::{Scorer, TrainingG};
use crate::error::Result;
use rayon::prelude::*;
use segad_core::{FeatureTable, Label, Seed};
use segad_features::columns;
use segad_forest::{Forest, ForestParams};
use segad_methods::frozen::{FittedHead, FrozenParams};
use segad_methods::{folds, frozen};
use std::num::NonZeroUsize;

/// Scorers that take a classifier are only tried where there is one.
const HAS_CLASSIFIER: &str = "a scorer that takes a classifier is only tried where there is one";

/// What scorers are fitted on.
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

/// A scorer fitted on some rows.
pub(crate) struct Fitted {
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
            columns::rising(table.names())
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

    /// Features of the classifiers, and the classifiers.
    fn embedded(&self) -> (&FeatureTable, &[(String, FrozenParams)]) {
        self.embedded.expect(HAS_CLASSIFIER)
    }

    /// A classifier on these rows.
    fn classifier(&self, index: usize, rows: &[usize]) -> Result<FittedHead> {
        let (table, classifiers) = self.embedded();
        let (_, params) = &classifiers[index];
        let labels = self.labels_of(rows);
        Ok(frozen::fit(
            params,
            &table.select_rows(rows),
            &labels,
            self.seed,
        )?)
    }

    fn classified(&self, classifier: &FittedHead, rows: &[usize]) -> Result<Vec<f32>> {
        let (table, _) = self.embedded();
        Ok(classifier.scores(&table.select_rows(rows))?)
    }

    /// The statistics of these rows with g as a further column.
    fn with_g(&self, rows: &[usize], g: &[f32]) -> Result<FeatureTable> {
        let (_, classifiers) = self.embedded();
        let column = columns::of_classifier(&classifiers[0].0);
        Ok(self.table.select_rows(rows).with_column(&column, g)?)
    }

    /// g of training rows: of the classifier fitted on them, or of classifiers fitted on the other
    /// folds of them.
    fn training_g(&self, kind: TrainingG, fitted: &FittedHead, rows: &[usize]) -> Result<Vec<f32>> {
        if kind == TrainingG::InSample {
            return self.classified(fitted, rows);
        }
        let fold_of: Vec<usize> = rows.iter().map(|&i| self.folds[i]).collect();
        folds::out_of_fold(&fold_of, self.k, |_, inside, outside| {
            let others: Vec<usize> = outside.iter().map(|&i| rows[i]).collect();
            let own: Vec<usize> = inside.iter().map(|&i| rows[i]).collect();
            self.classified(&self.classifier(0, &others)?, &own)
        })
    }

    /// A scorer fitted on these rows.
    fn fit(&self, scorer: &Scorer, rows: &[usize]) -> Result<Fitted> {
        let mut fitted = Fitted {
            forest: None,
            classifier: None,
            table: self.table.select_rows(rows),
        };
        for scorer in scorer.single() {
            self.add(&mut fitted, scorer, rows)?;
        }
        Ok(fitted)
    }

    fn add(&self, fitted: &mut Fitted, scorer: &Scorer, rows: &[usize]) -> Result<()> {
        match scorer {
            // Detectors and tokens are not fitted on statistics; a stack consists of single ones.
            Scorer::Detector { .. } | Scorer::Tokens { .. } | Scorer::Stack { .. } => {}
            Scorer::Classifier { classifier } => {
                fitted.classifier = Some(self.classifier(*classifier, rows)?);
            }
            Scorer::Forest { monotone, g } => {
                if let Some(kind) = g {
                    let classifier = self.classifier(0, rows)?;
                    let g = self.training_g(*kind, &classifier, rows)?;
                    fitted.table = self.with_g(rows, &g)?;
                    fitted.classifier = Some(classifier);
                }
                fitted.forest = Some(self.forest(&fitted.table, rows, *monotone)?);
            }
        }
        Ok(())
    }

    /// A scorer fitted on all rows.
    pub(crate) fn fit_all(&self, scorer: &Scorer) -> Result<Fitted> {
        self.fit(scorer, &self.rows(|_| true))
    }

    /// The statistics alone, for what the segments are worth.
    pub(crate) fn plain_forest(&self) -> Result<Forest> {
        self.forest(self.table, &self.rows(|_| true), false)
    }

    /// Whether every fit that measuring this scorer takes has images of both labels.
    pub(crate) fn possible(&self, scorer: &Scorer, left_out: impl Fn(usize) -> bool) -> bool {
        // Out of fold, g is fitted without two folds: the row's own and the forest's.
        let is_nested = matches!(
            scorer,
            Scorer::Forest {
                g: Some(TrainingG::OutOfFold),
                ..
            }
        );
        (0..self.k).all(|fold| {
            let mut others = if is_nested { 0..self.k } else { fold..fold + 1 };
            others.all(|other| self.has_both(&[fold, other], &left_out))
        })
    }

    /// Whether something can be fitted without each fold and what `left_out` names.
    pub(crate) fn can_leave_out(&self, left_out: impl Fn(usize) -> bool) -> bool {
        (0..self.k).all(|fold| self.has_both(&[fold], &left_out))
    }

    /// Whether images of both labels are left outside of these folds.
    fn has_both(&self, skipped: &[usize], left_out: &impl Fn(usize) -> bool) -> bool {
        [Label::Good, Label::Bad].into_iter().all(|label| {
            (0..self.labels.len()).any(|i| {
                self.labels[i] == label && !skipped.contains(&self.folds[i]) && !left_out(i)
            })
        })
    }

    /// One score a row, by a scorer that saw no row of its fold and none that `left_out` names.
    pub(crate) fn out_of_fold(
        &self,
        scorer: &Scorer,
        left_out: impl Fn(usize) -> bool + Sync,
    ) -> Result<Vec<f32>> {
        let fits = (0..self.k).into_par_iter().map(|fold| {
            let (own, others) = folds::split(self.folds, fold);
            let rows: Vec<usize> = others.into_iter().filter(|&i| !left_out(i)).collect();
            let scores = self.scores(&self.fit(scorer, &rows)?, &own)?;
            Ok((own, scores))
        });
        let mut scores = vec![0.0; self.labels.len()];
        for (own, part) in fits.collect::<Result<Vec<_>>>()? {
            own.into_iter().zip(part).for_each(|(i, s)| scores[i] = s);
        }
        Ok(scores)
    }

    /// Scores of these rows. A detector's come from its maps, not from here.
    fn scores(&self, fitted: &Fitted, rows: &[usize]) -> Result<Vec<f32>> {
        let classifier = fitted.classifier.as_ref();
        let g = classifier.map(|c| self.classified(c, rows)).transpose()?;
        Ok(match (&fitted.forest, g) {
            (Some(forest), Some(g)) => forest.margins(&self.with_g(rows, &g)?)?,
            (Some(forest), None) => forest.margins(&self.table.select_rows(rows))?,
            (None, Some(g)) => g,
            (None, None) => Vec::new(),
        })
    }
}
