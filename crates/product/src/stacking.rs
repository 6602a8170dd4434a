//! All parts of a score put together. Nothing is told of a stack by images that had a say in it:
//! which parts are left out, and how the others are weighed, is decided anew without each fold.

use crate::error::Result;
use crate::units::unit_counts;
use segad_core::Label;
use segad_heads::Stack;
use segad_metrics::{Scores, clustered_difference};

/// With fewer units that hold a bad image nothing says how good a fit on bad images is: the stack is
/// made of the parts that need none, which weigh the same.
pub(crate) const FEWEST_UNITS: usize = 3;
/// With fewer units that hold a bad image, weights would follow what happens to be wrong with a few
/// pieces: all parts weigh the same. From as many on, the interval of an AUROC holds, too.
pub(crate) const ENOUGH_UNITS: usize = 9;
/// A part whose weight is below this share of an equal one may be left out.
const LIGHT: f64 = 0.5;

/// A part's scores by models that had not seen the image's fold.
#[derive(Clone, Debug)]
pub(crate) struct PartScores {
    /// Whether it is fitted on good images alone, so that no kind of defect is new to it.
    pub is_one_class: bool,
    pub scores: Vec<f32>,
    /// For each kind of defect, the scores by models that had not seen the kind either.
    pub without: Vec<Vec<f32>>,
}

/// A part that was left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dropped {
    pub part: usize,
    /// AUROC of the stack with it minus without it, and the standard error of that.
    pub difference: f64,
    pub std_error: f64,
}

/// Parts that are kept, and how they are weighed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub parts: Vec<usize>,
    pub stack: Stack,
    pub dropped: Vec<Dropped>,
}

pub(crate) struct Stacker<'a> {
    pub parts: &'a [PartScores],
    pub labels: &'a [Label],
    pub units: &'a [usize],
    pub folds: &'a [usize],
    /// For each kind of defect, its images.
    pub kinds: &'a [Vec<usize>],
}

impl Stacker<'_> {
    /// Every image, or those outside a fold.
    fn rows(&self, without: Option<usize>) -> Vec<usize> {
        let all = 0..self.labels.len();
        all.filter(|&i| Some(self.folds[i]) != without).collect()
    }

    fn column(&self, part: usize, kind: Option<usize>) -> &[f32] {
        let part = &self.parts[part];
        kind.map_or(&part.scores, |kind| &part.without[kind])
    }

    /// Parts weighed by these rows.
    fn fit(&self, parts: &[usize], rows: &[usize], kind: Option<usize>) -> Result<Stack> {
        let left_out = |i: &usize| kind.is_some_and(|kind| self.kinds[kind].contains(i));
        let rows: Vec<usize> = rows.iter().copied().filter(|i| !left_out(i)).collect();
        let labels: Vec<Label> = rows.iter().map(|&i| self.labels[i]).collect();
        let columns: Vec<Vec<f64>> = parts
            .iter()
            .map(|&p| {
                rows.iter()
                    .map(|&i| f64::from(self.column(p, kind)[i]))
                    .collect()
            })
            .collect();
        Ok(if self.bad_units(&rows) < self.enough_units() {
            Stack::equal(&columns, &labels)?
        } else {
            Stack::fit(&columns, &labels)?
        })
    }

    /// How many units hold a bad image of these rows.
    fn bad_units(&self, rows: &[usize]) -> usize {
        let labels: Vec<Label> = rows.iter().map(|&i| self.labels[i]).collect();
        let units: Vec<usize> = rows.iter().map(|&i| self.units[i]).collect();
        let [_, bad] = unit_counts(&labels, &units);
        bad
    }

    /// How many units with a bad image it takes to weigh parts: all folds answer as the images
    /// together do, so that what is told of a stack is told of one like it.
    fn enough_units(&self) -> usize {
        if self.bad_units(&self.rows(None)) < ENOUGH_UNITS {
            usize::MAX
        } else {
            FEWEST_UNITS
        }
    }

    fn score(&self, stack: &Stack, parts: &[usize], kind: Option<usize>, image: usize) -> f32 {
        let raw = parts
            .iter()
            .map(|&p| f64::from(self.column(p, kind)[image]));
        stack.score(&raw.collect::<Vec<_>>()) as f32
    }

    /// Scores of these rows, weighed by the others' folds; NaN elsewhere.
    fn out_of_fold(
        &self,
        parts: &[usize],
        rows: &[usize],
        kind: Option<usize>,
    ) -> Result<Vec<f32>> {
        let mut scores = vec![f32::NAN; self.labels.len()];
        let mut folds: Vec<usize> = rows.iter().map(|&i| self.folds[i]).collect();
        folds.sort_unstable();
        folds.dedup();
        for fold in folds {
            let (own, others): (Vec<usize>, Vec<usize>) =
                rows.iter().copied().partition(|&i| self.folds[i] == fold);
            // The last fold that is left has no other to be weighed by.
            let others = if others.is_empty() { &own } else { &others };
            let stack = self.fit(parts, others, kind)?;
            for i in own.iter().copied() {
                scores[i] = self.score(&stack, parts, kind, i);
            }
        }
        Ok(scores)
    }

    /// AUROC with `more` parts minus with `fewer`, and its standard error.
    fn gain(&self, more: &[usize], fewer: &[usize], rows: &[usize]) -> Result<(f64, f64)> {
        let pick = |scores: Vec<f32>| rows.iter().map(|&i| scores[i]).collect::<Vec<_>>();
        let with = pick(self.out_of_fold(more, rows, None)?);
        let without = pick(self.out_of_fold(fewer, rows, None)?);
        let labels: Vec<Label> = rows.iter().map(|&i| self.labels[i]).collect();
        let units: Vec<usize> = rows.iter().map(|&i| self.units[i]).collect();
        Ok(clustered_difference(&with, &without, &labels, &units)?)
    }

    /// Mean over kinds of the AUROC on the kind by a stack that had not seen it; 0 without kinds.
    fn unseen_auroc(&self, parts: &[usize], rows: &[usize]) -> Result<f64> {
        let mut sum = 0.0;
        let mut count = 0;
        for kind in 0..self.kinds.len() {
            let scores = self.out_of_fold(parts, rows, Some(kind))?;
            if let Some(auroc) = self.auroc_of_kind(kind, &scores, rows)? {
                sum += auroc;
                count += 1;
            }
        }
        Ok(if count > 0 {
            sum / f64::from(count)
        } else {
            0.0
        })
    }

    fn auroc_of_kind(&self, kind: usize, scores: &[f32], rows: &[usize]) -> Result<Option<f64>> {
        let mut good = Vec::new();
        let mut own = Vec::new();
        for &i in rows {
            if !self.labels[i].is_bad() {
                good.push(scores[i]);
            } else if self.kinds[kind].contains(&i) {
                own.push(scores[i]);
            }
        }
        if good.is_empty() || own.is_empty() {
            return Ok(None);
        }
        Ok(Some(Scores::split(&good, &own)?.auroc()))
    }

    /// Decides by these rows which parts are kept, and weighs them. A part is left out if its weight
    /// is small and the rest does no worse without it, neither on the whole nor on kinds of defect
    /// that were left out. Of the parts that no kind of defect is new to, one always stays.
    pub(crate) fn choose(&self, rows: &[usize]) -> Result<Chosen> {
        let mut parts: Vec<usize> = (0..self.parts.len()).collect();
        let mut dropped = Vec::new();
        if self.bad_units(rows) < FEWEST_UNITS {
            parts.retain(|&p| self.parts[p].is_one_class);
            return Ok(Chosen {
                stack: self.fit(&parts, rows, None)?,
                parts,
                dropped,
            });
        }
        loop {
            let stack = self.fit(&parts, rows, None)?;
            let Some(lighter) = self.lighter(&parts, &stack, rows)? else {
                return Ok(Chosen {
                    parts,
                    stack,
                    dropped,
                });
            };
            parts.retain(|p| *p != lighter.part);
            dropped.push(lighter);
        }
    }

    /// The lightest part that may go.
    fn lighter(&self, parts: &[usize], stack: &Stack, rows: &[usize]) -> Result<Option<Dropped>> {
        let weights = stack.weights();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.retain(|&n| weights[n] < LIGHT / parts.len() as f64);
        order.sort_by(|&a, &b| weights[a].total_cmp(&weights[b]));
        let one_class = parts
            .iter()
            .filter(|&&p| self.parts[p].is_one_class)
            .count();
        for n in order {
            let part = parts[n];
            if self.parts[part].is_one_class && one_class == 1 {
                continue;
            }
            let fewer: Vec<usize> = parts.iter().copied().filter(|p| *p != part).collect();
            let (difference, std_error) = self.gain(parts, &fewer, rows)?;
            if difference > 0.0 {
                continue;
            }
            if self.unseen_auroc(parts, rows)? <= self.unseen_auroc(&fewer, rows)? {
                return Ok(Some(Dropped {
                    part,
                    difference,
                    std_error,
                }));
            }
        }
        Ok(None)
    }

    /// One score an image, by a stack that was chosen and weighed without its fold.
    pub(crate) fn nested(&self) -> Result<Vec<f32>> {
        let folds = self.folds.iter().max().map_or(0, |last| last + 1);
        let mut scores = vec![0.0; self.labels.len()];
        for fold in 0..folds {
            let chosen = self.choose(&self.rows(Some(fold)))?;
            for i in (0..scores.len()).filter(|&i| self.folds[i] == fold) {
                scores[i] = self.score(&chosen.stack, &chosen.parts, None, i);
            }
        }
        Ok(scores)
    }

    /// The stack that is kept, by all images.
    pub(crate) fn kept(&self) -> Result<Chosen> {
        self.choose(&self.rows(None))
    }

    /// One score an image by these parts, weighed without its fold and without a kind of defect.
    pub(crate) fn without_kind(&self, parts: &[usize], kind: usize) -> Result<Vec<f32>> {
        self.out_of_fold(parts, &self.rows(None), Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};
    use rand::Rng;
    use segad_core::Seed;

    const GOOD: usize = 60;
    const BAD: usize = 20;

    fn noise(seed: u64) -> Vec<f32> {
        let mut rng = Seed(seed).rng();
        // Near enough to normal.
        let mut one = || (rng.next_u32() >> 8) as f32 / 16_777_216.0;
        (0..GOOD + BAD)
            .map(|_| (0..6).map(|_| one()).sum::<f32>() - 3.0)
            .collect()
    }

    fn part(name: &str, seed: u64, shift: [f32; 2]) -> PartScores {
        let mut scores = noise(seed);
        for i in 0..BAD {
            scores[GOOD + i] += shift[i % 2];
        }
        PartScores {
            is_one_class: name == "nearest",
            scores,
            without: Vec::new(),
        }
    }

    struct Case {
        labels: Vec<Label>,
        units: Vec<usize>,
        folds: Vec<usize>,
    }

    impl Case {
        fn new() -> Self {
            Self {
                labels: (0..GOOD + BAD)
                    .map(|i| if i < GOOD { Good } else { Bad })
                    .collect(),
                units: (0..GOOD + BAD).collect(),
                folds: (0..GOOD + BAD).map(|i| i / 2 % 5).collect(),
            }
        }

        fn stacker<'a>(&'a self, parts: &'a [PartScores], kinds: &'a [Vec<usize>]) -> Stacker<'a> {
            Stacker {
                parts,
                labels: &self.labels,
                units: &self.units,
                folds: &self.folds,
                kinds,
            }
        }

        fn auroc(&self, scores: &[f32]) -> f64 {
            Scores::new(scores, &self.labels).unwrap().auroc()
        }
    }

    #[test]
    fn parts_that_see_different_defects_are_better_together() {
        let case = Case::new();
        let parts = [
            part("nearest", 1, [2.5, 0.0]),
            part("filter", 2, [0.0, 2.5]),
            part("spread", 3, [-1.0, -1.0]),
        ];
        let stacker = case.stacker(&parts, &[]);
        let nested = case.auroc(&stacker.nested().unwrap());
        for part in &parts {
            assert!(nested > case.auroc(&part.scores) + 0.05, "{nested}");
        }
        let kept = stacker.kept().unwrap();
        assert_eq!(kept.parts, [0, 1], "what points the wrong way is left out");
        assert!(kept.dropped[0].part == 2 && kept.dropped[0].difference <= 0.0);
    }

    #[test]
    fn no_fold_has_a_say_in_its_own_scores() {
        let case = Case::new();
        let mut parts = vec![
            part("nearest", 1, [1.0, 1.0]),
            part("filter", 2, [1.0, 0.0]),
        ];
        let before = case.stacker(&parts, &[]).nested().unwrap();
        // Another label's worth of change within fold 0 changes nothing elsewhere but through the
        // weights of the other folds, and nothing at all in the scores of fold 0's other images.
        let image = (0..GOOD).find(|&i| case.folds[i] == 0).unwrap();
        parts[1].scores[image] += 5.0;
        let after = case.stacker(&parts, &[]).nested().unwrap();
        for i in (0..GOOD + BAD).filter(|&i| case.folds[i] == 0 && i != image) {
            assert_eq!(before[i], after[i]);
        }
        assert!(before[image] < after[image]);
    }

    #[test]
    fn kinds_that_were_left_out_have_a_say() {
        let case = Case::new();
        let kinds = [0, 1].map(|k| (0..BAD).filter(|i| i % 2 == k).map(|i| GOOD + i).collect());
        // The filter knows every kind that it has seen, and none that it has not.
        let mut filter = part("filter", 2, [6.0, 6.0]);
        filter.without = vec![noise(7), noise(8)];
        let mut nearest = part("nearest", 1, [1.2, 1.2]);
        nearest.without = vec![nearest.scores.clone(); 2];
        let parts = [nearest, filter];
        let kept = case.stacker(&parts, &kinds).kept().unwrap();
        assert_eq!(kept.parts, [0, 1], "{kept:?}");
        let unseen = case
            .stacker(&parts, &kinds)
            .without_kind(&[0, 1], 0)
            .unwrap();
        assert!(case.auroc(&unseen) > 0.6);
    }

    #[test]
    fn with_few_groups_of_bad_images_all_parts_weigh_the_same() {
        let mut case = Case::new();
        let parts = [
            part("nearest", 1, [2.5, 2.5]),
            part("filter", 2, [0.0, 0.0]),
        ];
        for (groups, same) in [(ENOUGH_UNITS, false), (ENOUGH_UNITS - 1, true)] {
            for i in 0..BAD {
                case.units[GOOD + i] = GOOD + i % groups;
            }
            let kept = case.stacker(&parts, &[]).kept().unwrap();
            assert_eq!(kept.stack.weights() == [0.5, 0.5], same, "{groups} groups");
        }
    }

    #[test]
    fn with_too_few_groups_of_bad_images_only_parts_that_need_none_are_kept() {
        let mut case = Case::new();
        case.units[GOOD..]
            .iter_mut()
            .for_each(|u| *u = GOOD + *u % 2);
        let parts = [
            part("nearest", 1, [3.0, 3.0]),
            part("filter", 2, [0.0, 0.0]),
        ];
        let kept = case.stacker(&parts, &[]).kept().unwrap();
        assert_eq!(
            (&kept.parts[..], kept.stack.weights()),
            (&[0][..], &[1.0][..])
        );
        assert!(kept.dropped.is_empty());
    }
}
