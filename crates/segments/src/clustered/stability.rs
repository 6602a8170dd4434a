use super::agreement::adjusted_rand;
use super::params::ClusteredParams;
use rand::Rng;
use rayon::prelude::*;
use segad_core::Seed;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Groups of neighbouring images from which halves are drawn: consecutive images are similar, so
/// they stay together.
pub(super) const FOLDS: usize = 10;

/// Pairs of halves that are compared.
const PAIRS: usize = 8;

/// How well halves of the images agree on this number of segments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Number of segments.
    pub segments: usize,
    /// Adjusted Rand index of the two halves' labels, averaged over pairs of halves.
    pub agreement: f64,
}

/// Labels of places, clustered by the flagged folds into a number of segments.
type Cluster<'a> = dyn Fn(&[bool], usize, Seed) -> Vec<usize> + Sync + 'a;

/// How many segments to make, and why.
pub(super) struct SegmentCount {
    pub count: usize,
    /// Empty if the number was given.
    pub stability: Vec<Stability>,
    pub notes: Vec<String>,
}

impl SegmentCount {
    /// The number that the settings give, or the largest stable one. `cluster` labels places (the
    /// same ones whatever the half) with centres learned from the folds whose flag is set.
    pub(super) fn choose(
        params: &ClusteredParams,
        folds: usize,
        seed: Seed,
        cluster: &Cluster<'_>,
    ) -> Self {
        if let Some(count) = params.segments {
            return Self {
                count,
                stability: Vec::new(),
                notes: Vec::new(),
            };
        }
        let stability = measure(params.candidates(), folds, seed, cluster);
        let (count, note) = choose(&stability, params.stability);
        Self {
            count,
            stability,
            notes: note.into_iter().collect(),
        }
    }
}

fn measure(
    counts: RangeInclusive<usize>,
    folds: usize,
    seed: Seed,
    cluster: &Cluster<'_>,
) -> Vec<Stability> {
    let jobs: Vec<(usize, usize)> = counts
        .clone()
        .flat_map(|count| (0..PAIRS).map(move |pair| (count, pair)))
        .collect();
    // Seeds come from the names of the jobs, so the order in which threads take them is irrelevant.
    let agreements: Vec<f64> = jobs
        .par_iter()
        .map(|&(count, pair)| {
            let half = half(folds, seed.derive(&format!("half {pair}")));
            let other: Vec<bool> = half.iter().map(|h| !h).collect();
            let seed = seed.derive(&format!("{count} segments, pair {pair}"));
            let a = cluster(&half, count, seed.derive("a"));
            let b = cluster(&other, count, seed.derive("b"));
            adjusted_rand(&a, &b)
        })
        .collect();
    counts
        .zip(agreements.chunks(PAIRS))
        .map(|(segments, agreements)| Stability {
            segments,
            agreement: agreements.iter().sum::<f64>() / PAIRS as f64,
        })
        .collect()
}

/// The largest stable number; if there is none, the most stable one, and a remark.
fn choose(found: &[Stability], level: f64) -> (usize, Option<String>) {
    if let Some(stable) = found.iter().rev().find(|s| s.agreement >= level) {
        return (stable.segments, None);
    }
    let best = found.iter().fold(None::<&Stability>, |best, s| match best {
        Some(b) if b.agreement >= s.agreement => Some(b),
        _ => Some(s),
    });
    let (segments, agreement) = best.map_or((2, 0.0), |s| (s.segments, s.agreement));
    let note = format!(
        "no number of segments is stable at {level}; using {segments}, on which halves agree best ({agreement:.2})"
    );
    (segments, Some(note))
}

/// A random half of the folds.
fn half(folds: usize, seed: Seed) -> Vec<bool> {
    // Shuffled by hand: a library's shuffle may change with its version, and the keys would not.
    let mut rng = seed.rng();
    let mut order: Vec<usize> = (0..folds).collect();
    for i in (1..folds).rev() {
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    let mut half = vec![false; folds];
    order[..folds / 2].iter().for_each(|&i| half[i] = true);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stable_number_wins() {
        let of = |list: &[(usize, f64)]| {
            let found: Vec<_> = list
                .iter()
                .map(|&(segments, agreement)| Stability {
                    segments,
                    agreement,
                })
                .collect();
            choose(&found, 0.9)
        };
        assert_eq!(
            of(&[(2, 0.99), (3, 0.91), (4, 0.5), (5, 0.92), (6, 0.2)]),
            (5, None)
        );
        let (chosen, note) = of(&[(2, 0.5), (3, 0.7), (4, 0.7)]);
        assert_eq!(chosen, 3);
        assert!(note.is_some_and(|n| n.contains("0.70")));
    }

    #[test]
    fn halves_are_halves() {
        for s in 0..20 {
            assert_eq!(half(10, Seed(s)).iter().filter(|h| **h).count(), 5);
            assert_eq!(half(3, Seed(s)).iter().filter(|h| **h).count(), 1);
        }
    }
}
