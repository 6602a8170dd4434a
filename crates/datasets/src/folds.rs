//! Folds for out-of-fold scores: stratified by label, with units kept whole.

use crate::DatasetError;
use crate::numpy::RandomState;
use segad_core::{Label, Seed};
use std::collections::HashMap;

/// The fold, 0 to `folds` − 1, of each image. Images of one unit share a fold, and folds get nearly
/// equal shares of the good and of the bad images.
///
/// Units are put into a random order and placed as scikit-learn's `StratifiedGroupKFold` places
/// them: the most unevenly composed first, each into the fold that then leaves the shares of both
/// labels most equal between folds. (That class's own shuffling, as of 1.5, mixes the groups
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
/// [`DatasetError::Folds`] for less than two folds or fewer units than folds, and where all images of
/// a label are in one fold: without it, nothing could learn to tell good from bad.
/// [`DatasetError::Seed`].
pub fn assign(
    labels: &[Label],
    units: &[String],
    folds: usize,
    seed: Seed,
) -> Result<Vec<usize>, DatasetError> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut unit_of = Vec::with_capacity(units.len());
    for unit in units {
        let next = numbers.len();
        unit_of.push(*numbers.entry(unit).or_insert(next));
    }
    let count = numbers.len();
    if labels.len() != units.len() {
        let reason = format!("{} labels for {} units", labels.len(), units.len());
        return Err(DatasetError::Folds { folds, reason });
    }
    if folds < 2 || folds > count {
        let reason = format!("expected 2 to {count}, the number of units that stay whole");
        return Err(DatasetError::Folds { folds, reason });
    }
    let mut order = RandomState::from_seed(seed)?.permutation(count);
    let mut counts = vec![[0.0f64; 2]; count];
    for (label, &unit) in labels.iter().zip(&unit_of) {
        counts[unit][usize::from(label.is_bad())] += 1.0;
    }
    // A stable sort, so that equally uneven units stay in random order.
    order.sort_by(|&a, &b| unevenness(counts[b]).total_cmp(&unevenness(counts[a])));
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
                let reason = format!(
                    "all {all} {label} images are in units of fold {}, so none is left to train on; \
                     use scores in sample, or add {label} images of other units",
                    fold + 1
                );
                return Err(DatasetError::Folds { folds, reason });
            }
        }
    }
    Ok(assigned)
}

/// The fold of each unit, placed in this order.
fn place(order: &[usize], counts: &[[f64; 2]], folds: usize) -> Vec<usize> {
    let totals = [0, 1].map(|label| counts.iter().map(|c| c[label]).sum());
    let mut held = vec![[0.0f64; 2]; folds];
    let mut fold_of = vec![0; counts.len()];
    for &unit in order {
        let mut best = 0;
        let mut least = f64::INFINITY;
        let mut size = f64::INFINITY;
        for fold in 0..folds {
            let mut tried = held.clone();
            add(&mut tried[fold], counts[unit]);
            let value = imbalance(&tried, totals);
            let images = held[fold][0] + held[fold][1];
            // numpy.isclose with its defaults: of equally good folds, the emptiest.
            let close = (value - least).abs() <= 1e-8 + 1e-5 * least.abs();
            if value < least || (close && images < size) {
                best = fold;
                least = value;
                size = images;
            }
        }
        add(&mut held[best], counts[unit]);
        fold_of[unit] = best;
    }
    fold_of
}

fn add(sum: &mut [f64; 2], counts: [f64; 2]) {
    sum[0] += counts[0];
    sum[1] += counts[1];
}

/// Twice the standard deviation of a unit's two counts.
fn unevenness(counts: [f64; 2]) -> f64 {
    (counts[0] - counts[1]).abs()
}

/// The standard deviation between folds of each label's shares, averaged over the labels present.
fn imbalance(held: &[[f64; 2]], totals: [f64; 2]) -> f64 {
    let mut sum = 0.0;
    let mut labels = 0.0;
    for (label, total) in totals.into_iter().enumerate() {
        if total > 0.0 {
            let shares: Vec<f64> = held.iter().map(|h| h[label] / total).collect();
            sum += deviation(&shares);
            labels += 1.0;
        }
    }
    sum / labels
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
            order.sort_by(|&a, &b| unevenness(counts[b]).total_cmp(&unevenness(counts[a])));
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
        says(&labels, &units, 2, "all 2 bad images are in units of fold");
    }
}
