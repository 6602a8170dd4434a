//! The ways to a score that compete; the simplest that is not clearly worse than the best is kept.

use crate::card::{Candidate, Scorer, TrainingG};
use crate::crossfit::Observed;
use crate::error::Result;
use crate::heads::Problem;
use segad_core::Label;
use segad_metrics::{clustered_auroc, clustered_difference};

/// A way to a score, and the scores on images that it had not seen.
pub(crate) struct Entrant {
    pub name: String,
    /// How simple: 0 is the simplest.
    pub rank: usize,
    pub scorer: Scorer,
    pub scores: Vec<f32>,
}

/// Measures all, and says which one is kept: of those whose AUROC is behind the best by no more
/// than one standard error of the difference, the simplest; of equally simple ones, the best.
pub(crate) fn select(
    entrants: &[Entrant],
    labels: &[Label],
    units: &[usize],
    level: f64,
) -> Result<(Vec<Candidate>, usize)> {
    let estimates = entrants
        .iter()
        .map(|e| Ok(clustered_auroc(&e.scores, labels, units)?))
        .collect::<Result<Vec<_>>>()?;
    let mut best = 0;
    for (i, estimate) in estimates.iter().enumerate() {
        if estimate.auroc > estimates[best].auroc {
            best = i;
        }
    }
    let mut candidates = Vec::with_capacity(entrants.len());
    for (entrant, estimate) in entrants.iter().zip(&estimates) {
        let (behind, std_error) =
            clustered_difference(&entrants[best].scores, &entrant.scores, labels, units)?;
        let told = estimate.interval(level)?;
        let bounds = told.map_or([0.0, 1.0], |t| [t.interval.low, t.interval.high]);
        candidates.push(Candidate {
            name: entrant.name.clone(),
            rank: entrant.rank,
            auroc: estimate.auroc,
            low: bounds[0],
            high: bounds[1],
            floored: told.is_none_or(|t| t.floored),
            behind,
            std_error,
            chosen: false,
        });
    }
    let near = |&i: &usize| candidates[i].behind <= candidates[i].std_error;
    let chosen = (0..candidates.len())
        .filter(near)
        .min_by(|&a, &b| {
            let (a, b) = (&candidates[a], &candidates[b]);
            a.rank.cmp(&b.rank).then(b.auroc.total_cmp(&a.auroc))
        })
        .unwrap_or(best);
    candidates[chosen].chosen = true;
    Ok((candidates, chosen))
}

/// All ways to a score, with their scores on images that they had not seen.
pub(crate) fn entrants(
    problem: &Problem<'_>,
    names: &[String],
    observed: &[Observed],
) -> Result<Vec<Entrant>> {
    let mut entrants = Vec::new();
    for (detector, name) in names.iter().enumerate() {
        entrants.push(Entrant {
            name: name.clone(),
            rank: 0,
            scorer: Scorer::Detector { detector },
            scores: observed.iter().map(|o| o.own[detector]).collect(),
        });
    }
    for (name, rank, scorer) in fitted_scorers(problem, &names.join(" + ")) {
        // There may be too few bad images for a fit within a fit.
        if problem.possible(&scorer, |_| false) {
            let scores = problem.out_of_fold(&scorer, |_| false)?;
            entrants.push(Entrant {
                name,
                rank,
                scorer,
                scores,
            });
        }
    }
    Ok(entrants)
}

/// Name, rank and scorer of all that is fitted on labelled images.
fn fitted_scorers(problem: &Problem<'_>, detectors: &str) -> Vec<(String, usize, Scorer)> {
    let classifiers = problem.embedded.map_or(&[][..], |(_, c)| c);
    let mut all = Vec::new();
    for (classifier, (name, _)) in classifiers.iter().enumerate() {
        all.push((name.clone(), 1, Scorer::Classifier { classifier }));
    }
    let mut forest = |name: String, rank, monotone, g| {
        all.push((name, rank, Scorer::Forest { monotone, g }));
    };
    forest(format!("SegAD ({detectors})"), 2, false, None);
    forest(format!("SegAD ({detectors}), monotone"), 3, true, None);
    if let Some((g, _)) = classifiers.first() {
        let in_sample = Some(TrainingG::InSample);
        let out_of_fold = Some(TrainingG::OutOfFold);
        let name = format!("SegAD ({detectors} + {g})");
        forest(name, 3, false, in_sample);
        let name = format!("SegAD ({detectors} + {g} out of fold)");
        forest(name.clone(), 4, false, out_of_fold);
        forest(format!("{name}, monotone"), 5, true, out_of_fold);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    fn entrant(name: &str, rank: usize, scores: &[f32]) -> Entrant {
        Entrant {
            name: name.to_owned(),
            rank,
            scorer: Scorer::Detector { detector: rank },
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
        let units: Vec<usize> = (0..40).collect();
        let (candidates, chosen) = select(&all, &labels, &units, 0.95).unwrap();
        assert_eq!(all[chosen].name, "near");
        assert!(candidates[1].chosen && (candidates[1].behind - 1.0 / 400.0).abs() < 1e-12);
        assert_eq!((candidates[2].behind, candidates[2].auroc), (0.0, 1.0));
        assert!(candidates[0].behind > candidates[0].std_error);
        let (_, chosen) = select(&all[..1], &labels, &units, 0.95).unwrap();
        assert_eq!(chosen, 0);
    }
}
