//! Folds that keep units whole, and scores by models that had not seen the unit.
//!
//! Units are what must not be torn apart: images of one piece, or pictures that are equal. Two
//! rules say how units become folds, because results of both are kept: experiments place them as
//! scikit-learn does, products by squares. The random order of the units is a parameter.

use crate::MethodError;
use segad_core::Label;
use std::cmp::Reverse;
use std::collections::HashMap;

/// How units are placed into folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As scikit-learn's `StratifiedGroupKFold`: units of the most uneven composition first, each
    /// into the fold where the shares of both labels then differ least between folds. (That class's
    /// own shuffling, as of 1.5, mixes the groups up; the order that it would have with
    /// `shuffle=False` on the reordered units is what this gives.)
    Stratified,
    /// Units with most bad images first, each into the fold where the squares of the shares of its
    /// labels add up to least.
    Squares,
}

/// Numbers of units in the order in which their names appear, and how many there are.
pub fn number(names: &[String]) -> (Vec<usize>, usize) {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut units = Vec::with_capacity(names.len());
    for name in names {
        let next = numbers.len();
        units.push(*numbers.entry(name).or_insert(next));
    }
    (units, numbers.len())
}

/// The fold, 0 to `folds` − 1, of each image, where something can be trained outside of each.
///
/// ```
/// use segad_core::Label::{Bad, Good};
/// use segad_methods::folds::{Rule, assign};
/// let labels = [Good, Good, Bad, Good, Good, Bad, Good, Bad];
/// let units = [0, 0, 0, 1, 1, 1, 2, 2];
/// let folds = assign(&labels, &units, vec![2, 0, 1], 3, Rule::Stratified)?;
/// assert!(folds[0] == folds[2] && folds[3] == folds[5] && folds[6] == folds[7]);
/// assert!(folds[0] != folds[3] && folds[0] != folds[6] && folds[3] != folds[6]);
/// # Ok::<(), segad_methods::MethodError>(())
/// ```
///
/// # Errors
/// [`MethodError::Folds`] for less than two folds or fewer units than folds, and where the images
/// of the other folds would be of one label only: nothing can learn to tell good from bad there.
pub fn assign(
    labels: &[Label],
    units: &[usize],
    order: Vec<usize>,
    folds: usize,
    rule: Rule,
) -> Result<Vec<usize>, MethodError> {
    let count = order.len();
    let reason = if labels.len() != units.len() {
        Some(format!("{} labels for {} units", labels.len(), units.len()))
    } else if folds < 2 || folds > count {
        Some(format!(
            "expected 2 to {count}, the number of units that stay whole"
        ))
    } else {
        None
    };
    if let Some(reason) = reason {
        return Err(MethodError::Folds { folds, reason });
    }
    let fold_of = place(labels, units, order, folds, rule);
    for fold in 0..folds {
        // A model needs both labels to train on, whichever fold is left out.
        for label in [Label::Good, Label::Bad] {
            let mut images = labels.iter().zip(&fold_of);
            if images.any(|(l, f)| *l == label && *f != fold) {
                continue;
            }
            let all = labels.iter().filter(|l| **l == label).count();
            let reason = format!(
                "all {all} {label} images are of units of fold {}, so none is left to train on; \
                 take scores in sample, or more {label} images of other units",
                fold + 1
            );
            return Err(MethodError::Folds { folds, reason });
        }
    }
    Ok(fold_of)
}

/// The fold, 0 to `folds` − 1, of each image; `order` holds each of the numbers in `units` once.
pub fn place(
    labels: &[Label],
    units: &[usize],
    mut order: Vec<usize>,
    folds: usize,
    rule: Rule,
) -> Vec<usize> {
    // Per unit: good and bad images.
    let mut sizes = vec![[0usize; 2]; order.len()];
    for (label, &unit) in labels.iter().zip(units) {
        sizes[unit][usize::from(label.is_bad())] += 1;
    }
    // Both sorts are stable, so that ties keep the random order.
    let fold_of = match rule {
        Rule::Stratified => {
            // The standard deviation of two numbers is half their difference.
            order.sort_by_key(|&unit| Reverse(sizes[unit][0].abs_diff(sizes[unit][1])));
            place_stratified(&order, &sizes, folds)
        }
        Rule::Squares => {
            // Those with most bad images are the hardest to deal evenly.
            order.sort_by_key(|&unit| Reverse((sizes[unit][1], sizes[unit][0])));
            place_by_squares(&order, &sizes, folds)
        }
    };
    units.iter().map(|&unit| fold_of[unit]).collect()
}

fn place_stratified(order: &[usize], sizes: &[[usize; 2]], folds: usize) -> Vec<usize> {
    let totals = totals(sizes);
    let labels: Vec<usize> = (0..2).filter(|&label| totals[label] > 0).collect();
    let mut held = vec![[0usize; 2]; folds];
    let mut fold_of = vec![0; sizes.len()];
    for &unit in order {
        let mut best = 0;
        let mut least = f64::INFINITY;
        let mut fewest = usize::MAX;
        for fold in 0..folds {
            let mut spread = 0.0;
            for &label in &labels {
                let shares = (0..folds).map(|f| {
                    let more = if f == fold { sizes[unit][label] } else { 0 };
                    (held[f][label] + more) as f64 / totals[label] as f64
                });
                spread += deviation(&shares.collect::<Vec<_>>());
            }
            let spread = spread / labels.len() as f64;
            let images = held[fold][0] + held[fold][1];
            // numpy.isclose with its defaults: of folds that do equally well, the emptiest.
            let close = (spread - least).abs() <= 1e-8 + 1e-5 * least.abs();
            if spread < least || (close && images < fewest) {
                best = fold;
                least = spread;
                fewest = images;
            }
        }
        (0..2).for_each(|label| held[best][label] += sizes[unit][label]);
        fold_of[unit] = best;
    }
    fold_of
}

fn place_by_squares(order: &[usize], sizes: &[[usize; 2]], folds: usize) -> Vec<usize> {
    let totals = totals(sizes).map(|n| n.max(1) as f64);
    let mut held = vec![[0usize; 2]; folds];
    let mut fold_of = vec![0; sizes.len()];
    for &unit in order {
        let size = sizes[unit];
        let mut best = 0;
        let mut least = f64::INFINITY;
        for (fold, held) in held.iter().enumerate() {
            // Squares: two half-full folds are better than a full and an empty one.
            let load: f64 = (0..2)
                .filter(|&label| size[label] > 0)
                .map(|label| ((held[label] + size[label]) as f64 / totals[label]).powi(2))
                .sum();
            if load < least {
                best = fold;
                least = load;
            }
        }
        (0..2).for_each(|label| held[best][label] += size[label]);
        fold_of[unit] = best;
    }
    fold_of
}

/// All good and all bad images.
fn totals(sizes: &[[usize; 2]]) -> [usize; 2] {
    [0, 1].map(|label| sizes.iter().map(|size| size[label]).sum())
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Positions inside of a fold, and outside.
pub fn split(fold_of: &[usize], fold: usize) -> (Vec<usize>, Vec<usize>) {
    (0..fold_of.len()).partition(|&i| fold_of[i] == fold)
}

/// A score for each position by what did not see its fold. `score` is given the fold and the
/// positions inside of it and outside, and scores those inside.
///
/// # Errors
/// Those of `score`.
pub fn out_of_fold<E>(
    fold_of: &[usize],
    folds: usize,
    mut score: impl FnMut(usize, &[usize], &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vec<f32>, E> {
    let mut all = vec![0.0; fold_of.len()];
    for fold in 0..folds {
        let (inside, outside) = split(fold_of, fold);
        // Fewer units than folds: nothing to score, so nothing is fitted.
        if inside.is_empty() {
            continue;
        }
        let scores = score(fold, &inside, &outside)?;
        inside.iter().zip(scores).for_each(|(&i, s)| all[i] = s);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        folds: usize,
        labels: Vec<u8>,
        units: Vec<usize>,
        fold_of: Vec<usize>,
    }

    fn label(bad: bool) -> Label {
        if bad { Bad } else { Good }
    }

    #[test]
    fn units_are_placed_as_by_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/folds.json")).unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let count = case.units.iter().max().unwrap() + 1;
            let labels: Vec<Label> = case.labels.iter().map(|&l| label(l == 1)).collect();
            let order = (0..count).collect();
            let placed = place(&labels, &case.units, order, case.folds, Rule::Stratified);
            assert_eq!(placed, case.fold_of);
        }
    }

    #[test]
    fn every_image_is_left_out_once_with_its_unit() {
        let labels: Vec<Label> = (0..60).map(|i| label(i % 5 == 0)).collect();
        let units: Vec<usize> = (0..60).map(|i| i / 6).collect();
        for rule in [Rule::Stratified, Rule::Squares] {
            let folds = assign(&labels, &units, (0..10).collect(), 5, rule).unwrap();
            for fold in 0..5 {
                let (inside, outside) = split(&folds, fold);
                assert_eq!((inside.len(), outside.len()), (12, 48));
                let bad = inside.iter().filter(|&&i| labels[i].is_bad()).count();
                assert!((1..=4).contains(&bad), "{bad}");
            }
            assert!((0..60).all(|i| folds[i] == folds[i / 6 * 6]));
            let other = assign(&labels, &units, (0..10).rev().collect(), 5, rule).unwrap();
            assert_ne!(folds, other);
        }
    }

    #[test]
    fn each_score_is_by_what_did_not_see_its_fold() {
        let fold_of = [0, 1, 0, 3];
        let scores = out_of_fold(&fold_of, 4, |fold, inside, outside| {
            assert!(outside.iter().all(|&i| fold_of[i] != fold));
            assert!(!inside.is_empty());
            Ok::<_, ()>(inside.iter().map(|&i| (10 * fold + i) as f32).collect())
        });
        assert_eq!(scores.unwrap(), [0.0, 11.0, 2.0, 33.0]);
        assert_eq!(out_of_fold(&[0], 1, |_, _, _| Err("no")), Err("no"));
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        let own: Vec<usize> = (0..6).collect();
        let says = |labels: &[Label], units: &[usize], folds, text: &str| {
            let order = (0..=*units.iter().max().unwrap()).collect();
            let e = assign(labels, units, order, folds, Rule::Stratified)
                .unwrap_err()
                .to_string();
            assert!(e.contains(text), "{e}");
        };
        let labels = [Good, Good, Good, Good, Bad, Bad];
        says(&labels, &own, 7, "expected 2 to 6");
        says(&labels, &own, 1, "expected 2 to 6");
        says(
            &[Good, Good, Good, Good, Good, Bad],
            &own,
            2,
            "all 1 bad images",
        );
        says(&[Good; 6], &own, 2, "all 0 bad images");
        says(
            &labels,
            &[0, 1, 2, 3, 4, 4],
            2,
            "all 2 bad images are of units of fold",
        );
    }
}
