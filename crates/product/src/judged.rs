//! Images judged by models that had not seen them.

use crate::error::Result;
use segad_core::Label;
use segad_metrics::Scores;
use std::collections::{BTreeMap, BTreeSet};

/// One score, label, unit and fold an image.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub scores: &'a [f32],
    pub labels: &'a [Label],
    pub units: &'a [usize],
    pub folds: &'a [usize],
}

/// Scores of some of the images, apart by label, each with its unit.
pub(crate) struct Part {
    pub good: Vec<(usize, f32)>,
    pub bad: Vec<(usize, f32)>,
}

impl Judged<'_> {
    /// The images that `keep` keeps.
    pub(crate) fn part(&self, keep: impl Fn(usize) -> bool) -> Part {
        let mut part = Part {
            good: Vec::new(),
            bad: Vec::new(),
        };
        for i in (0..self.scores.len()).filter(|&i| keep(i)) {
            let side = match self.labels[i] {
                Label::Good => &mut part.good,
                Label::Bad => &mut part.bad,
            };
            side.push((self.units[i], self.scores[i]));
        }
        part
    }

    /// The lowest and the highest AUROC with one unit left out; `None` if that leaves no image of a
    /// label.
    pub(crate) fn spread(&self) -> Result<Option<[f64; 2]>> {
        let units: BTreeSet<usize> = self.units.iter().copied().collect();
        let mut bounds: Option<[f64; 2]> = None;
        for unit in units {
            let part = self.part(|i| self.units[i] != unit);
            if part.good.is_empty() || part.bad.is_empty() {
                return Ok(None);
            }
            let auroc = part.scores()?.auroc();
            let [low, high] = bounds.unwrap_or([auroc; 2]);
            bounds = Some([low.min(auroc), high.max(auroc)]);
        }
        Ok(bounds)
    }
}

impl Part {
    pub(crate) fn scores(&self) -> Result<Scores> {
        Ok(Scores::split(&plain(&self.good), &plain(&self.bad))?)
    }

    /// As [`Part::scores`], where each unit counts as one good image: its highest.
    pub(crate) fn by_highest_good(&self) -> Result<Scores> {
        let highest = extremes(&self.good, f32::max);
        Ok(Scores::split(&highest, &plain(&self.bad))?)
    }

    /// As [`Part::scores`], where each unit counts as one bad image: its lowest.
    pub(crate) fn by_lowest_bad(&self) -> Result<Scores> {
        let lowest = extremes(&self.bad, f32::min);
        Ok(Scores::split(&plain(&self.good), &lowest)?)
    }
}

fn plain(scores: &[(usize, f32)]) -> Vec<f32> {
    scores.iter().map(|(_, s)| *s).collect()
}

/// One score a unit.
fn extremes(scores: &[(usize, f32)], pick: fn(f32, f32) -> f32) -> Vec<f32> {
    let mut kept: BTreeMap<usize, f32> = BTreeMap::new();
    for &(unit, score) in scores {
        let own = kept.entry(unit).or_insert(score);
        *own = pick(*own, score);
    }
    kept.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    #[test]
    fn one_group_may_carry_the_figure() {
        let judged = Judged {
            scores: &[0.0, 1.0, 2.0, 3.0, 0.5],
            labels: &[Good, Good, Good, Bad, Bad],
            units: &[0, 1, 2, 3, 4],
            folds: &[0, 1, 0, 1, 0],
        };
        // All: 4 of 6 pairs. Without the low bad one: 3 of 3; without the high one: 1 of 3.
        assert_eq!(judged.spread().unwrap(), Some([1.0 / 3.0, 1.0]));
        let one = Judged {
            units: &[0, 1, 2, 3, 3],
            ..judged
        };
        assert_eq!(one.spread().unwrap(), None);
    }

    #[test]
    fn units_count_once_with_their_worst_image() {
        let judged = Judged {
            scores: &[0.0, 5.0, 2.0, 3.0, 1.0],
            labels: &[Good, Good, Good, Bad, Bad],
            units: &[0, 0, 1, 2, 2],
            folds: &[0; 5],
        };
        let part = judged.part(|_| true);
        assert_eq!(part.by_highest_good().unwrap().good(), [2.0, 5.0]);
        assert_eq!(part.by_lowest_bad().unwrap().bad(), [1.0]);
        assert_eq!(part.scores().unwrap().good().len(), 3);
    }
}
