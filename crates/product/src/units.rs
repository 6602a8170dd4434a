//! What belongs together and stays together in folds.

use crate::data::Item;
use crate::error::{ProductError, Result};
use rand::Rng;
use segad_core::{Key, Label, Seed};
use segad_methods::folds::{Rule, place};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Which unit each image is of: images of one named group, pictures that are equal pixel for pixel,
/// and pairs that look alike form one.
///
/// # Errors
/// [`ProductError::Contradiction`] for one picture under both labels, [`ProductError::Identical`]
/// if all good ones are one.
pub(crate) fn units(items: &[Item], pixels: &[Key], alike: &[[usize; 2]]) -> Result<Vec<usize>> {
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
            let (good, bad) = if item.is_bad() {
                (other, item)
            } else {
                (item, other)
            };
            return Err(ProductError::Contradiction {
                good: good.sample.id.to_string(),
                bad: bad.sample.id.to_string(),
            });
        }
        join(&mut parent, first, i);
    }
    for &[a, b] in alike {
        join(&mut parent, a, b);
    }
    let good: Vec<&Key> = items
        .iter()
        .zip(pixels)
        .filter(|(i, _)| !i.is_bad())
        .map(|(_, k)| k)
        .collect();
    if good.len() > 1 && good.iter().all(|k| *k == good[0]) {
        return Err(ProductError::Identical { count: good.len() });
    }
    Ok(number(parent))
}

/// Which group each image is of, numbered from 0: images that have something in common are of one
/// group.
pub fn group_by<T: Eq + Hash>(common: &[Vec<T>]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..common.len()).collect();
    let mut first: HashMap<&T, usize> = HashMap::new();
    for (i, own) in common.iter().enumerate() {
        for part in own {
            let other = *first.entry(part).or_insert(i);
            join(&mut parent, other, i);
        }
    }
    number(parent)
}

/// Numbers the trees of a forest in the order of their first images.
fn number(mut parent: Vec<usize>) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let mut units = Vec::with_capacity(parent.len());
    for i in 0..parent.len() {
        let next = numbers.len();
        units.push(*numbers.entry(root(&mut parent, i)).or_insert(next));
    }
    units
}

/// The first image of the unit, in a forest of images where each points towards it.
pub(crate) fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        // Halving the way makes the next search shorter.
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

pub(crate) fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// A random number from 0 to `count` − 1.
pub(crate) fn below(rng: &mut impl Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

/// How many units have an image of each label: good, bad.
pub(crate) fn unit_counts(labels: &[Label], units: &[usize]) -> [usize; 2] {
    [Label::Good, Label::Bad].map(|label| {
        let own = labels.iter().zip(units).filter(|(l, _)| **l == label);
        own.map(|(_, &unit)| unit).collect::<HashSet<_>>().len()
    })
}

/// The fold of each image, 0…K−1: whole units, dealt so that every fold has about its share of good
/// and of bad images. K is `wanted` or, if there are fewer units with a good or with a bad image,
/// their number.
pub(crate) fn folds(
    labels: &[Label],
    units: &[usize],
    wanted: usize,
    seed: Seed,
) -> (Vec<usize>, usize) {
    let [good, bad] = unit_counts(labels, units);
    let k = wanted.min(good).min(bad).max(2);
    let count = units.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = seed.derive("folds").rng();
    for i in (1..count).rev() {
        order.swap(i, below(&mut rng, i + 1));
    }
    (place(labels, units, order, k, Rule::Squares), k)
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
        assert_eq!(units(&items, &pixels, &[]).unwrap(), [0, 1, 0, 0, 2]);
        assert_eq!(units(&items, &pixels, &[[1, 3]]).unwrap(), [0, 0, 0, 0, 1]);
        let e = units(&items, &[key(0), key(1), key(2), key(3), key(1)], &[]).unwrap_err();
        assert!(
            matches!(&e, ProductError::Contradiction { good, bad } if good == "b" && bad == "e"),
            "{e}"
        );
        let same = [key(0), key(0), key(0), key(0), key(9)];
        assert!(matches!(
            units(&items, &same, &[]),
            Err(ProductError::Identical { count: 4 })
        ));
    }

    #[test]
    fn what_images_have_in_common_groups_them() {
        let common = [
            vec!["a"],
            vec!["b", "x"],
            vec![],
            vec!["a", "y"],
            vec!["y", "b"],
        ];
        assert_eq!(group_by(&common), [0, 0, 1, 0, 0]);
        assert!(group_by::<u8>(&[]).is_empty());
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
        let units = units(&items, &pixels, &[]).unwrap();
        let labels: Vec<Label> = items.iter().map(|i| i.sample.label).collect();
        let (folds, k) = folds(&labels, &units, 5, Seed(3));
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
        assert_eq!(super::folds(&labels, &units, 5, Seed(3)).0, folds);
        assert_ne!(super::folds(&labels, &units, 5, Seed(4)).0, folds);
    }

    #[test]
    fn few_bad_images_make_few_folds() {
        let labels: Vec<Label> = (0..12)
            .map(|i| if i < 9 { Label::Good } else { Label::Bad })
            .collect();
        let units: Vec<usize> = (0..12).collect();
        let (folds, k) = folds(&labels, &units, 5, Seed(0));
        assert_eq!(k, 3);
        assert!((0..3).all(|f| (9..12).filter(|&i| folds[i] == f).count() == 1));
    }
}
