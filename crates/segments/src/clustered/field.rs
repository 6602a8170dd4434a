//! Fields of distances over a grid: one plane per cluster, smoothed, enlarged, and turned into
//! labels.

use crate::SMALL_SEGMENT;

/// One plane of `height` × `width` squared distances per cluster.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub height: usize,
    pub width: usize,
    pub planes: Vec<Vec<f32>>,
}

impl Field {
    /// Each plane blurred by a Gaussian of this spread in places; the edge is repeated beyond the
    /// border.
    pub(super) fn blurred(mut self, sigma: f64) -> Self {
        if sigma <= 0.0 {
            return self;
        }
        // Beyond three spreads, weights are below 1.2 % of the largest.
        let radius = (3.0 * sigma).ceil() as usize;
        let kernel: Vec<f64> = (0..=2 * radius)
            .map(|i| (-0.5 * (i as f64 - radius as f64).powi(2) / sigma.powi(2)).exp())
            .collect();
        let rows = Lines {
            number: self.height,
            apart: self.width,
            length: self.width,
            step: 1,
        };
        let columns = Lines {
            number: self.width,
            apart: 1,
            length: self.height,
            step: self.width,
        };
        for plane in &mut self.planes {
            *plane = columns.blurred(&rows.blurred(plane, &kernel), &kernel);
        }
        self
    }

    /// Each plane enlarged linearly, with pixel centres aligned as when an image is resized.
    pub(super) fn enlarged(&self, height: usize, width: usize) -> Self {
        let rows = taps(self.height, height);
        let columns = taps(self.width, width);
        let planes = self.planes.iter().map(|plane| {
            let mut out = Vec::with_capacity(height * width);
            for row in &rows {
                let top = &plane[row.first * self.width..];
                let bottom = &plane[row.second * self.width..];
                out.extend(columns.iter().map(|column| {
                    let above = column.between(top[column.first], top[column.second]);
                    let below = column.between(bottom[column.first], bottom[column.second]);
                    row.between(above, below)
                }));
            }
            out
        });
        Self {
            height,
            width,
            planes: planes.collect(),
        }
    }

    /// The plane of the smallest value at each place, among `kept`; the first of equals.
    pub(super) fn labels(&self, kept: &[usize]) -> Vec<usize> {
        (0..self.height * self.width)
            .map(|i| {
                let mut best = (kept[0], f32::INFINITY);
                for &k in kept {
                    if self.planes[k][i] < best.1 {
                        best = (k, self.planes[k][i]);
                    }
                }
                best.0
            })
            .collect()
    }

    /// Labels without segments of fewer than [`SMALL_SEGMENT`] pixels, numbered in the order in
    /// which they first appear, and the number of segments.
    pub(super) fn labels_without_small(&self, notes: &mut Vec<String>) -> (Vec<u8>, usize) {
        let mut kept: Vec<usize> = (0..self.planes.len()).collect();
        // One at a time, the smallest first: its pixels may lift a neighbour above the limit.
        loop {
            let labels = self.labels(&kept);
            let areas = kept
                .iter()
                .map(|&k| (labels.iter().filter(|&&l| l == k).count(), k));
            match areas.min() {
                Some((pixels, k)) if pixels < SMALL_SEGMENT && kept.len() > 1 => {
                    notes.push(format!(
                        "a cluster of {pixels} pixels, fewer than {SMALL_SEGMENT}, was merged into its neighbours"
                    ));
                    kept.retain(|&other| other != k);
                }
                _ => return (in_order(&labels), kept.len()),
            }
        }
    }
}

/// Labels numbered in the order in which they first appear.
fn in_order(labels: &[usize]) -> Vec<u8> {
    let mut seen: Vec<usize> = Vec::new();
    labels
        .iter()
        .map(|label| {
            let known = seen.iter().position(|l| l == label);
            let number = known.unwrap_or_else(|| {
                seen.push(*label);
                seen.len() - 1
            });
            number as u8
        })
        .collect()
}

/// The rows of a plane, or its columns.
struct Lines {
    number: usize,
    /// From the start of a line to the start of the next.
    apart: usize,
    length: usize,
    /// From one value of a line to the next.
    step: usize,
}

impl Lines {
    fn blurred(&self, from: &[f32], kernel: &[f64]) -> Vec<f32> {
        let radius = kernel.len() / 2;
        let total: f64 = kernel.iter().sum();
        let mut to = vec![0.0f32; from.len()];
        for line in 0..self.number {
            let start = line * self.apart;
            for i in 0..self.length {
                let sum: f64 = kernel
                    .iter()
                    .enumerate()
                    .map(|(j, k)| {
                        // The edge goes on outwards: darkness beyond it would make a border
                        // segment.
                        let place = (i + j).saturating_sub(radius).min(self.length - 1);
                        k * f64::from(from[start + place * self.step])
                    })
                    .sum();
                to[start + i * self.step] = (sum / total) as f32;
            }
        }
        to
    }
}

/// Two neighbours on a coarse axis, and where a fine place is between them.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Tap {
    fn between(&self, first: f32, second: f32) -> f32 {
        first + (second - first) * self.weight
    }
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    (0..to)
        .map(|i| {
            let x = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
            let x = x.clamp(0.0, from as f64 - 1.0);
            let first = x.floor() as usize;
            Tap {
                first,
                second: (first + 1).min(from - 1),
                weight: (x - first as f64) as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_constants_and_totals() {
        let mut plane = vec![0.0f32; 15 * 15];
        plane[7 * 15 + 7] = 1.0;
        let field = Field {
            height: 15,
            width: 15,
            planes: vec![plane, vec![3.0; 225]],
        }
        .blurred(1.0);
        assert!((field.planes[0].iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // The middle of a two-dimensional Gaussian of spread 1, cut at three: 1/(2π·0.9973²) within
        // the cut.
        assert!((field.planes[0][7 * 15 + 7] - 0.1592).abs() < 1e-3);
        assert!(field.planes[1].iter().all(|v| (v - 3.0).abs() < 1e-6));
    }

    #[test]
    fn enlarging_is_linear_between_centres() {
        let field = Field {
            height: 1,
            width: 2,
            planes: vec![vec![0.0, 4.0]],
        }
        .enlarged(2, 4);
        assert_eq!(field.planes[0], [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]);
    }

    #[test]
    fn the_smallest_wins_and_ties_go_to_the_first() {
        let field = Field {
            height: 1,
            width: 3,
            planes: vec![
                vec![1.0, 2.0, 5.0],
                vec![1.0, 1.0, 4.0],
                vec![0.0, 9.0, 9.0],
            ],
        };
        assert_eq!(field.labels(&[0, 1, 2]), [2, 1, 1]);
        assert_eq!(field.labels(&[0, 1]), [0, 1, 1]);
    }
}
