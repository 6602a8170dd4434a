//! Folds for out-of-fold scores: stratified by label, with units kept whole.

use crate::DatasetError;
use crate::numpy::RandomState;
use segad_core::{Label, Seed};
use std::collections::HashMap;

/// The fold, 0 to `folds` − 1, of each image. Images of one unit share a fold, and folds get nearly
/// equal shares of the good and of the bad images.
///
/// Units are put into a random order and placed as scikit-learn's `StratifiedGroupKFold` places
/// them: those of the most uneven composition first, each into the fold where the shares of both
/// labels then differ least between folds. (That class's own shuffling, as of 1.5, mixes the groups
/// up; the order that it would have with `shuffle=False` on the reordered units is what this
/// gives.)
///
/// ```
/// use segad_core::{Label::{Bad, Good}, Seed};
/// let labels = [Good, Good, Bad, Good, Good, Bad, Good, Bad];
/// let units = ["a", "a", "a", "b", "b", "b", "c", "c"].map(String::from);
/// let folds = segad_datasets::folds::assign(&labels, &units, 3, Seed(1))?;
/// assert!(folds[0] == folds[2] && folds[3] == folds[5] && folds[6] == folds[7]);
/// assert!(folds[0] != folds[3] && folds[0] != folds[6] && folds[3] != folds[6]);
/// # Ok::<(), segad_datasets::DatasetError>(())
/// ```
///
/// # Errors
/// [`DatasetError::Folds`] for less than two folds or fewer units than folds, and where the images
/// of the other folds would be of one label alone: nothing can learn to tell good from bad there.
/// [`DatasetError::Seed`].
pub fn assign(
    labels: &[Label],
    units: &[String],
    folds: usize,
    seed: Seed,
) -> Result<Vec<usize>, DatasetError> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let unit_of: Vec<usize> = units
        .iter()
        .map(|unit| {
            let next = numbers.len();
            *numbers.entry(unit).or_insert(next)
        })
        .collect();
    let count = numbers.len();
    let error = |reason: String| DatasetError::Folds { folds, reason };
    if labels.len() != units.len() {
        return Err(error(format!(
            "{} labels for {} units",
            labels.len(),
            units.len()
        )));
    }
    if folds < 2 || folds > count {
        return Err(error(format!(
            "expected 2 to {count}, the number of units that stay whole"
        )));
    }
    let mut order = RandomState::from_seed(seed)?.permutation(count);
    let mut counts = vec![[0.0f64; 2]; count];
    labels
        .iter()
        .zip(&unit_of)
        .for_each(|(l, &u)| counts[u][usize::from(l.is_bad())] += 1.0);
    // The standard deviation of two numbers is half their difference.
    let uneven = |u: usize| (counts[u][0] - counts[u][1]).abs();
    order.sort_by(|&a, &b| uneven(b).total_cmp(&uneven(a)));
    let fold_of = place(&order, &counts, folds);
    let assigned: Vec<usize> = unit_of.iter().map(|&u| fold_of[u]).collect();
    for fold in 0..folds {
        for label in [Label::Good, Label::Bad] {
            if !labels
                .iter()
                .zip(&assigned)
                .any(|(l, f)| *l == label && *f != fold)
            {
                let all = labels.iter().filter(|l| **l == label).count();
                return Err(error(format!(
                    "all {all} {label} images are of units of fold {}, so none is left to train on; \
                     take scores in sample, or more {label} images of other units",
                    fold + 1
                )));
            }
        }
    }
    Ok(assigned)
}

/// The fold of each unit, placed in this order.
fn place(order: &[usize], counts: &[[f64; 2]], folds: usize) -> Vec<usize> {
    let total = |label: usize| counts.iter().map(|c| c[label]).sum::<f64>();
    let labels: Vec<(usize, f64)> = (0..2)
        .map(|l| (l, total(l)))
        .filter(|(_, n)| *n > 0.0)
        .collect();
    let mut held = vec![[0.0f64; 2]; folds];
    let mut fold_of = vec![0; counts.len()];
    for &unit in order {
        let (mut best, mut least, mut size) = (0, f64::INFINITY, f64::INFINITY);
        for fold in 0..folds {
            let spread = |&(label, total): &(usize, f64)| {
                let shares = (0..folds).map(|f| {
                    let more = if f == fold { counts[unit][label] } else { 0.0 };
                    (held[f][label] + more) / total
                });
                deviation(&shares.collect::<Vec<_>>())
            };
            let value = labels.iter().map(spread).sum::<f64>() / labels.len() as f64;
            let images = held[fold][0] + held[fold][1];
            // numpy.isclose with its defaults.
            let close = (value - least).abs() <= 1e-8 + 1e-5 * least.abs();
            if value < least || (close && images < size) {
                (best, least, size) = (fold, value, images);
            }
        }
        (0..2).for_each(|label| held[best][label] += counts[unit][label]);
        fold_of[unit] = best;
    }
    fold_of
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
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

    #[test]
    fn units_are_placed_as_by_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/folds.json")).unwrap();
        assert!(cases.len() >= 6);
        for Case {
            folds,
            labels,
            units,
            fold_of,
        } in cases
        {
            let count = units.iter().max().unwrap() + 1;
            let mut counts = vec![[0.0f64; 2]; count];
            labels
                .iter()
                .zip(&units)
                .for_each(|(&l, &u)| counts[u][usize::from(l)] += 1.0);
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|&a, &b| {
                let uneven = |u: usize| (counts[u][0] - counts[u][1]).abs();
                uneven(b).total_cmp(&uneven(a))
            });
            let placed = place(&order, &counts, folds);
            assert_eq!(
                units.iter().map(|&u| placed[u]).collect::<Vec<_>>(),
                fold_of
            );
        }
    }

    #[test]
    fn every_image_is_left_out_once_with_its_unit() {
        let labels: Vec<Label> = (0..60)
            .map(|i| if i % 5 == 0 { Bad } else { Good })
            .collect();
        let units: Vec<String> = (0..60).map(|i| format!("{}", i / 6)).collect();
        let a = assign(&labels, &units, 5, Seed(3)).unwrap();
        for fold in 0..5 {
            let of = |label| {
                (0..60)
                    .filter(|&i| a[i] == fold && labels[i] == label)
                    .count()
            };
            assert_eq!(of(Good) + of(Bad), 12);
            assert!((1..=4).contains(&of(Bad)), "{}", of(Bad));
        }
        assert!((0..60).all(|i| a[i] == a[i / 6 * 6]));
        assert_eq!(a, assign(&labels, &units, 5, Seed(3)).unwrap());
        assert_ne!(a, assign(&labels, &units, 5, Seed(4)).unwrap());
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        let own: Vec<String> = (0..6).map(|i| i.to_string()).collect();
        let says = |labels: &[Label], units: &[String], folds, text: &str| {
            let e = assign(labels, units, folds, Seed(0))
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
        let units = ["a", "b", "c", "d", "e", "e"].map(String::from);
        says(&labels, &units, 2, "all 2 bad images are of units of fold");
    }
}
