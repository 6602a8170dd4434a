//! k-means (Lloyd's algorithm with k-means++ starts) on rows of `f32`, the same to the bit for the
//! same seed.

use rand::Rng;
use segad_core::Seed;

/// Points, row after row.
#[derive(Clone, Copy)]
pub(super) struct Points<'a> {
    pub values: &'a [f32],
    pub dim: usize,
}

/// A clustering of points.
#[derive(Clone, Debug)]
pub(super) struct Clusters {
    /// Centres, row after row.
    pub centres: Vec<f32>,
    /// Sum of squared distances of the points to their centres.
    pub inertia: f64,
}

/// The limit of Lloyd's algorithm; changes are tiny long before it.
const ITERATIONS: usize = 60;

impl<'a> Points<'a> {
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    pub(super) fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    pub(super) fn rows(&self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.dim)
    }
}

/// Squared distance, in eight lanes so that it vectorises without changing its order of additions.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f32 {
    let a8 = a.chunks_exact(8);
    let b8 = b.chunks_exact(8);
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| (x - y) * (x - y))
        .sum();
    // Eight sums that the compiler may keep in one register; a single one must stay in order.
    let mut lanes = [0.0f32; 8];
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            let d = x[i] - y[i];
            lanes[i] += d * d;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The nearest centre and its squared distance; the first of equals.
pub(super) fn nearest(point: &[f32], centres: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (k, centre) in centres.chunks_exact(point.len()).enumerate() {
        let d = distance(point, centre);
        if d < best.1 {
            best = (k, d);
        }
    }
    best
}

/// The best of `restarts` runs. There must be at least one point and `count` at least 1.
pub(super) fn kmeans(points: Points<'_>, count: usize, restarts: usize, seed: Seed) -> Clusters {
    let runs =
        (0..restarts.max(1)).map(|r| lloyd(points, count, seed.derive(&format!("start {r}"))));
    // The first of equals, so that the result does not depend on how many runs follow.
    runs.reduce(|best, other| {
        if other.inertia < best.inertia {
            other
        } else {
            best
        }
    })
    .expect("there is at least one run")
}

fn lloyd(points: Points<'_>, count: usize, seed: Seed) -> Clusters {
    let mut centres = start(points, count, seed);
    let mut last = f64::INFINITY;
    for _ in 0..ITERATIONS {
        // In double precision: thousands of rows are added up.
        let mut sums = vec![0.0f64; centres.len()];
        let mut sizes = vec![0usize; count];
        let mut inertia = 0.0;
        let mut farthest = (0, -1.0);
        for (i, row) in points.rows().enumerate() {
            let (k, d) = nearest(row, &centres);
            inertia += f64::from(d);
            sizes[k] += 1;
            if d > farthest.1 {
                farthest = (i, d);
            }
            for (s, &v) in sums[k * points.dim..].iter_mut().zip(row) {
                *s += f64::from(v);
            }
        }
        for k in 0..count {
            let centre = &mut centres[k * points.dim..(k + 1) * points.dim];
            if sizes[k] == 0 {
                // A centre that lost all its points moves to the point farthest from its centre.
                centre.copy_from_slice(points.row(farthest.0));
                continue;
            }
            for (c, s) in centre.iter_mut().zip(&sums[k * points.dim..]) {
                *c = (s / sizes[k] as f64) as f32;
            }
        }
        // The result only has to be the same for the same seed, not optimal to the last digit.
        if last - inertia <= 1e-6 * inertia {
            break;
        }
        last = inertia;
    }
    // Of the centres as they are now, which have moved since the last sum.
    let inertia = points
        .rows()
        .map(|row| f64::from(nearest(row, &centres).1))
        .sum();
    Clusters { centres, inertia }
}

/// k-means++: each further centre is a point drawn with a probability that grows with its squared
/// distance.
fn start(points: Points<'_>, count: usize, seed: Seed) -> Vec<f32> {
    let mut rng = seed.rng();
    let n = points.len();
    let mut chosen = ((unit(&mut rng) * n as f64) as usize).min(n - 1);
    let mut centres = points.row(chosen).to_vec();
    let mut weights = vec![f32::INFINITY; n];
    for _ in 1..count {
        for (i, w) in weights.iter_mut().enumerate() {
            // Only the newest centre can be nearer than the others.
            *w = w.min(distance(points.row(i), points.row(chosen)));
        }
        let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let mut left = unit(&mut rng) * total;
        // Rounding may leave a remainder after the last point.
        chosen = n - 1;
        for (i, &w) in weights.iter().enumerate() {
            left -= f64::from(w);
            if left < 0.0 {
                chosen = i;
                break;
            }
        }
        centres.extend_from_slice(points.row(chosen));
    }
    centres
}

/// A number in 0…1 from the upper 53 bits, all that a double holds.
fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_heaps_are_found() {
        let heaps = [[0.0f32, 0.0], [10.0, 0.0], [0.0, 10.0]];
        let values: Vec<f32> = (0..60)
            .flat_map(|i| {
                let [x, y] = heaps[i % 3];
                [x + (i % 7) as f32 * 0.1, y + (i % 5) as f32 * 0.1]
            })
            .collect();
        let points = Points {
            values: &values,
            dim: 2,
        };
        let found = kmeans(points, 3, 4, Seed(1));
        let label = |i| nearest(points.row(i), &found.centres).0;
        assert!((3..60).all(|i| label(i) == label(i % 3)));
        assert!(label(0) != label(1) && label(1) != label(2) && label(0) != label(2));
        // Means by hand: offsets average 0.1·mean(i mod 7), 0.1·mean(i mod 5) over 20 points each.
        let mean = |k: usize, c: usize| {
            let own: Vec<f32> = (0..60)
                .filter(|i| label(*i) == k)
                .map(|i| points.row(i)[c])
                .collect();
            own.iter().sum::<f32>() / own.len() as f32
        };
        for k in 0..3 {
            assert!((found.centres[2 * k] - mean(k, 0)).abs() < 1e-5);
            assert!((found.centres[2 * k + 1] - mean(k, 1)).abs() < 1e-5);
        }
        assert_eq!(kmeans(points, 3, 4, Seed(1)).centres, found.centres);
    }

    #[test]
    fn more_clusters_than_distinct_points_do_no_harm() {
        let values = [1.0f32, 1.0, 1.0, 2.0];
        let found = kmeans(
            Points {
                values: &values,
                dim: 1,
            },
            3,
            2,
            Seed(0),
        );
        assert!(found.inertia < 1e-12 && found.centres.iter().all(|c| c.is_finite()));
    }

    #[test]
    fn distances_beyond_eight_values() {
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..19).map(|i| i as f32).collect(), vec![0.0; 19]);
        assert_eq!(
            distance(&a, &b),
            (0..19).map(|i| (i * i) as f32).sum::<f32>()
        );
    }
}
