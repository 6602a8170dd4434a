//! The ways to a score, measured on images that they had not seen; [`Head`] says which is kept.

use crate::card::{Candidate, Scorer, TrainingG};
use crate::crossfit::Observed;
use crate::error::{ProductError, Result};
use crate::head::Head;
use crate::heads::Problem;
use crate::token_parts::{Said, TokenPart};
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

/// Measures all.
pub(crate) fn measure(
    entrants: &[Entrant],
    labels: &[Label],
    units: &[usize],
    level: f64,
) -> Result<Vec<Candidate>> {
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
    Ok(candidates)
}

/// Which one is kept. [`Head::Simplest`]: of those whose AUROC is behind the best by no more than
/// one standard error of the difference, the simplest; of equally simple ones, the best.
/// [`Head::Segad`]: the same among forests. A stack comes last.
pub(crate) fn pick(head: &Head, entrants: &[Entrant], candidates: &[Candidate]) -> Result<usize> {
    let all = 0..candidates.len();
    match head {
        Head::Stack => Ok(candidates.len() - 1),
        Head::Simplest => Ok(simplest(candidates, all)),
        Head::Segad => Ok(simplest(
            candidates,
            all.filter(|&i| entrants[i].scorer.has_forest()),
        )),
        Head::Named(name) => {
            let names: Vec<&str> = entrants.iter().map(|e| e.name.as_str()).collect();
            let found = names.iter().position(|n| n == name);
            found.ok_or_else(|| ProductError::Setting {
                name: "head",
                value: name.clone(),
                expected: format!("stack, simplest, segad, or one of: {}", names.join("; ")),
            })
        }
    }
}

fn simplest(candidates: &[Candidate], among: impl Iterator<Item = usize>) -> usize {
    let among: Vec<usize> = among.collect();
    let better = |a: usize, b: usize| candidates[b].auroc.total_cmp(&candidates[a].auroc);
    let near = |i: &usize| candidates[*i].behind <= candidates[*i].std_error;
    let simpler = |&a: &usize, &b: &usize| {
        let ranks = candidates[a].rank.cmp(&candidates[b].rank);
        ranks.then(better(a, b))
    };
    // With one group of a label no standard error is known, and nothing is near.
    let kept = among.iter().copied().filter(near).min_by(simpler);
    let best = || among.iter().copied().min_by(|&a, &b| better(a, b));
    kept.or_else(best).unwrap_or(0)
}

/// All ways to a score that this head may need, with their scores on images that they had not seen.
/// `said` holds what each token part said of each image.
pub(crate) fn entrants(
    head: &Head,
    problem: &Problem<'_>,
    names: &[String],
    observed: &[Observed],
    said: &[(TokenPart, &[Said])],
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
    for &(part, said) in said {
        entrants.push(Entrant {
            name: part.name().to_owned(),
            rank: usize::from(part != TokenPart::Nearest),
            scorer: Scorer::Tokens { part },
            scores: crate::choose::scores(said),
        });
    }
    for (name, rank, scorer) in fitted_scorers(problem, &names.join(" + ")) {
        if *head == Head::Stack && !is_stacked(&scorer) {
            continue;
        }
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

/// Whether a scorer that is fitted on labels may be part of a stack: the first classifier, and the
/// forest that is hardest to mislead by few images.
fn is_stacked(scorer: &Scorer) -> bool {
    let forest = Scorer::Forest {
        monotone: true,
        g: None,
    };
    *scorer == forest || *scorer == Scorer::Classifier { classifier: 0 }
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
        let candidates = measure(&all, &labels, &units, 0.95).unwrap();
        let chosen = pick(&Head::Simplest, &all, &candidates).unwrap();
        assert_eq!(all[chosen].name, "near");
        assert!((candidates[1].behind - 1.0 / 400.0).abs() < 1e-12);
        assert_eq!((candidates[2].behind, candidates[2].auroc), (0.0, 1.0));
        assert!(candidates[0].behind > candidates[0].std_error);
        assert_eq!(
            pick(&Head::Simplest, &all[..1], &candidates[..1]).unwrap(),
            0
        );
        let named = |name: &str| pick(&Head::Named(name.to_owned()), &all, &candidates);
        assert_eq!(named("poor").unwrap(), 0);
        let e = named("best").unwrap_err().to_string();
        assert!(
            e.contains("head = best") && e.contains("poor; near; clear"),
            "{e}"
        );
    }
}
