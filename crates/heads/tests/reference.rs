//! Parts and stack beside numpy, scipy and scikit-learn.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use segad_core::Label::{self, Bad, Good};
use segad_heads::{
    Filter, FilterTraining, HeadsError, Instances, InstancesLimits, Moments, Ridge, Stack, Tokens,
    Whitening, spread,
};
use serde::Deserialize;

const PLACES: usize = 64;

/// Images with tokens of two layers, and what the reference makes of them.
#[derive(Deserialize)]
struct Case {
    channels: [usize; 2],
    labels: Vec<u8>,
    first: Vec<f32>,
    second: Vec<f32>,
    distances: Vec<f64>,
    filter_maps: Vec<f64>,
    filter: Vec<f64>,
    ridge: Vec<f64>,
    instances_maps: Vec<f64>,
    instances: Vec<f64>,
    stacked: Vec<Vec<f64>>,
    weights: Vec<f64>,
    stack: Vec<f64>,
}

impl Case {
    fn read() -> Self {
        serde_json::from_str(include_str!("fixtures/parts.json")).unwrap()
    }

    fn labels(&self) -> Vec<Label> {
        let label = |l: &u8| if *l == 1 { Bad } else { Good };
        self.labels.iter().map(label).collect()
    }

    fn first(&self, image: usize) -> Tokens<'_> {
        tokens(&self.first, self.channels[0], image)
    }

    fn distances(&self, image: usize) -> &[f64] {
        &self.distances[image * PLACES..(image + 1) * PLACES]
    }

    fn images(&self) -> std::ops::Range<usize> {
        0..self.labels.len()
    }

    fn good(&self) -> impl Iterator<Item = usize> {
        self.images().filter(|&i| self.labels[i] == 0)
    }

    /// Every other token of the good images.
    fn background(&self) -> Moments {
        // Two halves, as two folds would be added.
        let mut halves = [
            Moments::new(self.channels[0]),
            Moments::new(self.channels[0]),
        ];
        for i in self.good() {
            for row in self.first(i).rows().step_by(2) {
                halves[i % 2].push(row).unwrap();
            }
        }
        let [mut all, other] = halves;
        all.add(&other).unwrap();
        assert_eq!(all.count(), 14 * PLACES / 2);
        all
    }

    fn whitening(&self) -> Whitening {
        let largest = |i| self.distances(i).iter().fold(0.0, |m: f64, d| m.max(*d));
        let tops: Vec<f64> = self.good().map(largest).collect();
        Whitening::new(&self.background(), &tops).unwrap()
    }
}

fn tokens(values: &[f32], channels: usize, image: usize) -> Tokens<'_> {
    let size = PLACES * channels;
    Tokens::new(&values[image * size..(image + 1) * size], channels).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs();
        assert!(
            apart <= tolerance * expected.abs().max(1.0),
            "{found} {expected}"
        );
    }
}

#[test]
fn the_matched_filter_is_numpys() {
    let case = Case::read();
    let mut training = FilterTraining::new(case.channels[0]);
    for (i, label) in case.labels().iter().enumerate() {
        let bad = label.is_bad();
        training
            .push(case.first(i), case.distances(i), bad)
            .unwrap();
    }
    let good = case.good().map(|i| case.first(i));
    let filter = Filter::fit(&case.background(), &training, good).unwrap();
    let maps: Vec<Vec<f64>> = case
        .images()
        .map(|i| filter.map(case.first(i)).unwrap())
        .collect();
    let scores: Vec<f64> = maps.iter().map(|m| Filter::score(m)).collect();
    assert_close(&maps.concat(), &case.filter_maps, 1e-9);
    assert_close(&scores, &case.filter, 1e-9);
}

#[test]
fn the_ridge_is_scikit_learns_kernel_ridge() {
    let case = Case::read();
    let rows: Vec<Vec<f64>> = case
        .images()
        .map(|i| {
            let mut row = spread(case.first(i));
            row.extend(spread(tokens(&case.second, case.channels[1], i)));
            row
        })
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let ridge = Ridge::fit(&rows, &case.labels(), &case.channels).unwrap();
    let scores: Vec<f64> = rows.iter().map(|row| ridge.score(row).unwrap()).collect();
    assert_close(&scores, &case.ridge, 1e-9);
}

#[test]
fn multiple_instances_reach_scipys_minimum() {
    let case = Case::read();
    let whitening = case.whitening();
    let bag = |i| whitening.bag(case.first(i), case.distances(i)).unwrap();
    let bags: Vec<_> = case.images().map(bag).collect();
    let bags: Vec<_> = bags.iter().collect();
    let limits = InstancesLimits { steps: 5000 };
    let fitted = Instances::fit(&whitening, &bags, &case.labels(), limits).unwrap();
    let map = |i| fitted.map(case.first(i), case.distances(i)).unwrap();
    let maps: Vec<Vec<f64>> = case.images().map(map).collect();
    let scores: Vec<f64> = maps.iter().map(|m| fitted.score(m)).collect();
    assert_close(&maps.concat(), &case.instances_maps, 1e-4);
    assert_close(&scores, &case.instances, 1e-4);
    // Stopped after a step, it is elsewhere.
    let few = InstancesLimits { steps: 1 };
    let early = Instances::fit(&whitening, &bags, &case.labels(), few).unwrap();
    let score = early.score(&early.map(case.first(0), case.distances(0)).unwrap());
    assert!((score - case.instances[0]).abs() > 0.1);
}

#[test]
fn the_stack_is_scipys_bounded_minimum() {
    let case = Case::read();
    let stack = Stack::fit(&case.stacked, &case.labels()).unwrap();
    assert_close(stack.weights(), &case.weights, 1e-6);
    assert_eq!(
        stack.weights()[2],
        0.0,
        "a part that points the wrong way gets no weight"
    );
    let mut scores = Vec::new();
    for i in case.images() {
        let parts: Vec<f64> = case.stacked.iter().map(|s| s[i]).collect();
        scores.push(stack.score(&parts));
    }
    assert_close(&scores, &case.stack, 1e-6);
    // The slope is that of the score.
    let at = |x: f64| stack.score(&[x, 0.0, 0.0]);
    assert!((at(1.1) - at(1.0) - 0.1 * stack.slope(0)).abs() < 1e-9);
}

#[test]
fn a_plain_mean_needs_no_bad_image() {
    let stack = Stack::equal(&[vec![1.0, 3.0], vec![4.0, 4.0]], &[Good, Good]).unwrap();
    // (3 − 2)/1 and, without a deviation, (5 − 4)/1.
    assert_eq!(stack.score(&[3.0, 5.0]), 1.0);
    // Better than good counts no further.
    assert_eq!(stack.score(&[-9.0, 4.0]), -0.5);
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let says = |error: HeadsError, text: &str| {
        assert!(error.to_string().contains(text), "{error}");
    };
    says(
        Tokens::new(&[1.0; 7], 3).unwrap_err(),
        "tokens of an image = 7",
    );
    says(
        Tokens::new(&[], 3).unwrap_err(),
        "= 0: expected a positive multiple of 3",
    );
    says(
        Stack::fit(&[], &[Good, Bad]).unwrap_err(),
        "parts of a stack = 0",
    );
    says(
        Stack::fit(&[vec![1.0]], &[Good, Bad]).unwrap_err(),
        "scores of a part = 1: expected 2",
    );
    says(
        Stack::fit(&[vec![1.0; 2]], &[Good; 2]).unwrap_err(),
        "at least one bad image",
    );
    says(
        Stack::fit(&[vec![1.0, f64::NAN]], &[Good, Bad]).unwrap_err(),
        "position 1",
    );
    let row: &[f64] = &[1.0, 2.0];
    says(
        Ridge::fit(&[row; 3], &[Good, Good, Bad], &[2]).unwrap_err(),
        "do not vary",
    );
    says(
        Ridge::fit(&[row], &[Bad], &[3]).unwrap_err(),
        "at least one good image",
    );
    let case = Case::read();
    let mut none = FilterTraining::new(6);
    says(
        none.push(case.first(0), &[0.0; 3], false).unwrap_err(),
        "distances of an image = 3",
    );
    none.push(case.first(0), case.distances(0), false).unwrap();
    let good = || std::iter::once(case.first(0));
    says(
        Filter::fit(&case.background(), &none, good()).unwrap_err(),
        "one bad image",
    );
    let mut same = Moments::new(6);
    (0..9).for_each(|_| same.push(&[1.0; 6]).unwrap());
    says(Whitening::new(&same, &[1.0]).unwrap_err(), "same picture");
    says(
        Whitening::new(&case.background(), &[]).unwrap_err(),
        "good images = 0",
    );
}
