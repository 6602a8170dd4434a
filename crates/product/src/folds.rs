//! Groups and folds: what belongs together stays together.

use crate::error::{ProductError, Result};
use crate::fit::Item;
use rand::Rng;
use segad_core::{Key, Label, Seed};
use std::collections::{BTreeMap, HashMap};

/// Which unit each image is of: images of one named group, and pictures that are equal pixel for
/// pixel, form one.
///
/// # Errors
/// [`ProductError::Contradiction`] for one picture under both labels, [`ProductError::Identical`]
/// if all good ones are one.
pub(crate) fn units(items: &[Item], pixels: &[Key]) -> Result<Vec<usize>> {
    let mut parent: Vec<usize> = (0..items.len()).collect();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut by_pixels: HashMap<&Key, usize> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        if let Some(name) = &item.unit {
            let first = *by_name.entry(name).or_insert(i);
            join(&mut parent, first, i);
        }
        let first = *by_pixels.entry(&pixels[i]).or_insert(i);
        let other = &items[first];
        if other.sample.label != item.sample.label {
            let (good, bad) = if item.sample.label.is_bad() {
                (other, item)
            } else {
                (item, other)
            };
            let name = |i: &Item| i.sample.id.to_string();
            return Err(ProductError::Contradiction {
                good: name(good),
                bad: name(bad),
            });
        }
        join(&mut parent, first, i);
    }
    let good: Vec<&Key> = items
        .iter()
        .zip(pixels)
        .filter(|(i, _)| !i.sample.label.is_bad())
        .map(|(_, k)| k)
        .collect();
    if good.len() > 1 && good.iter().all(|k| *k == good[0]) {
        return Err(ProductError::Identical { count: good.len() });
    }
    let roots: Vec<usize> = (0..items.len()).map(|i| root(&mut parent, i)).collect();
    let mut numbers = HashMap::new();
    let mut number = |root: usize| {
        let next = numbers.len();
        *numbers.entry(root).or_insert(next)
    };
    Ok(roots.into_iter().map(&mut number).collect())
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// How many units have an image of each label: good, bad.
pub(crate) fn unit_counts(items: &[Item], units: &[usize]) -> (usize, usize) {
    let count = |label: Label| {
        let mut of: Vec<usize> = items
            .iter()
            .zip(units)
            .filter(|(i, _)| i.sample.label == label)
            .map(|(_, &u)| u)
            .collect();
        of.sort_unstable();
        of.dedup();
        of.len()
    };
    (count(Label::Good), count(Label::Bad))
}

/// The fold of each image, 0…K−1: whole units, dealt so that every fold has about its share of good
/// and of bad images. K is `wanted` or, if there are fewer units with a good or with a bad image,
/// their number.
pub(crate) fn folds(
    items: &[Item],
    units: &[usize],
    wanted: usize,
    seed: Seed,
) -> (Vec<usize>, usize) {
    let (good, bad) = unit_counts(items, units);
    let k = wanted.min(good).min(bad).max(2);
    // Per unit: good and bad images.
    let mut sizes: BTreeMap<usize, [usize; 2]> = BTreeMap::new();
    for (item, &unit) in items.iter().zip(units) {
        sizes.entry(unit).or_default()[usize::from(item.sample.label.as_u8())] += 1;
    }
    let mut order: Vec<(usize, [usize; 2])> = sizes.into_iter().collect();
    let mut rng = seed.derive("folds").rng();
    for i in (1..order.len()).rev() {
        let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
    // Those with most bad images first: they are the hardest to deal evenly.
    order.sort_by_key(|(_, [good, bad])| std::cmp::Reverse((*bad, *good)));
    let total = |label: usize| order.iter().map(|(_, n)| n[label]).sum::<usize>().max(1) as f64;
    let totals = [total(0), total(1)];
    let mut filled = vec![[0usize; 2]; k];
    let mut fold_of = HashMap::new();
    for (unit, size) in &order {
        let load = |fold: &[usize; 2]| -> f64 {
            let share = |label: usize| (fold[label] + size[label]) as f64 / totals[label];
            // Squares: two half-full folds are better than a full and an empty one.
            [0, 1]
                .into_iter()
                .filter(|&l| size[l] > 0)
                .map(|l| share(l).powi(2))
                .sum()
        };
        let best = (0..k).fold(0, |best, f| {
            let (a, b) = (load(&filled[f]), load(&filled[best]));
            if a < b { f } else { best }
        });
        filled[best][0] += size[0];
        filled[best][1] += size[1];
        fold_of.insert(*unit, best);
    }
    (units.iter().map(|u| fold_of[u]).collect(), k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::{ImageId, Sample};

    fn item(name: &str, label: Label, unit: Option<&str>) -> Item {
        Item {
            sample: Sample::new(ImageId::new(name), label),
            unit: unit.map(str::to_owned),
        }
    }

    fn key(i: usize) -> Key {
        Key::of_bytes(&i.to_le_bytes())
    }

    #[test]
    fn groups_and_equal_pictures_are_one_unit() {
        let items = [
            item("a", Label::Good, Some("x")),
            item("b", Label::Good, None),
            item("c", Label::Good, Some("x")),
            item("d", Label::Good, None),
            item("e", Label::Bad, Some("y")),
        ];
        let pixels = [key(0), key(1), key(2), key(2), key(4)];
        assert_eq!(units(&items, &pixels).unwrap(), [0, 1, 0, 0, 2]);
        let e = units(&items, &[key(0), key(1), key(2), key(3), key(1)]).unwrap_err();
        assert!(
            matches!(&e, ProductError::Contradiction { good, bad } if good == "b" && bad == "e"),
            "{e}"
        );
        let same = [key(0), key(0), key(0), key(0), key(9)];
        assert!(matches!(
            units(&items, &same),
            Err(ProductError::Identical { count: 4 })
        ));
    }

    #[test]
    fn folds_keep_units_whole_and_share_labels() {
        let items: Vec<Item> = (0..130)
            .map(|i| {
                let label = if i < 100 { Label::Good } else { Label::Bad };
                item(
                    &i.to_string(),
                    label,
                    (i % 13 < 5).then(|| (i % 13).to_string()).as_deref(),
                )
            })
            .collect();
        let pixels: Vec<Key> = (0..130).map(key).collect();
        let units = units(&items, &pixels).unwrap();
        let (folds, k) = folds(&items, &units, 5, Seed(3));
        assert_eq!(k, 5);
        for (i, u) in units.iter().enumerate() {
            assert!((0..130).all(|j| units[j] != *u || folds[j] == folds[i]));
        }
        for f in 0..5 {
            let of = |label: Label| {
                (0..130)
                    .filter(|&i| folds[i] == f && items[i].sample.label == label)
                    .count()
            };
            assert!((14..=26).contains(&of(Label::Good)) && (3..=9).contains(&of(Label::Bad)));
        }
        assert_eq!(super::folds(&items, &units, 5, Seed(3)).0, folds);
        assert_ne!(super::folds(&items, &units, 5, Seed(4)).0, folds);
    }

    #[test]
    fn few_bad_images_make_few_folds() {
        let items: Vec<Item> = (0..12)
            .map(|i| {
                item(
                    &i.to_string(),
                    if i < 9 { Label::Good } else { Label::Bad },
                    None,
                )
            })
            .collect();
        let units: Vec<usize> = (0..12).collect();
        let (folds, k) = folds(&items, &units, 5, Seed(0));
        assert_eq!(k, 3);
        assert!((0..3).all(|f| (9..12).filter(|&i| folds[i] == f).count() == 1));
    }
}
