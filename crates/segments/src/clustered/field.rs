//! Fields of distances over a grid: one plane a cluster, smoothed, enlarged, and turned into
//! labels.

/// One plane of `height` × `width` squared distances per cluster.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub height: usize,
    pub width: usize,
    pub planes: Vec<Vec<f32>>,
}

impl Field {
    /// Each plane blurred by a Gaussian of this spread in places; the border repeats its edge.
    pub fn blurred(mut self, sigma: f64) -> Self {
        if sigma <= 0.0 {
            return self;
        }
        let radius = (3.0 * sigma).ceil() as usize;
        let weight = |i: usize| (-0.5 * (i as f64 - radius as f64).powi(2) / sigma.powi(2)).exp();
        let kernel: Vec<f64> = (0..=2 * radius).map(weight).collect();
        let total: f64 = kernel.iter().sum();
        let (height, width) = (self.height, self.width);
        let along =
            |from: &[f32], at: &dyn Fn(usize, usize) -> usize, lines: usize, count: usize| {
                let mut to = vec![0.0f32; from.len()];
                for line in 0..lines {
                    for i in 0..count {
                        let place = |j: usize| (i + j).saturating_sub(radius).min(count - 1);
                        let terms = kernel.iter().enumerate();
                        let sum: f64 = terms
                            .map(|(j, k)| k * f64::from(from[at(line, place(j))]))
                            .sum();
                        to[at(line, i)] = (sum / total) as f32;
                    }
                }
                to
            };
        for plane in &mut self.planes {
            let rows = along(plane, &|y, x| y * width + x, height, width);
            *plane = along(&rows, &|x, y| y * width + x, width, height);
        }
        self
    }

    /// Each plane enlarged linearly; centres of pixels lie as in an image that is resized.
    pub fn enlarged(&self, height: usize, width: usize) -> Self {
        // Left neighbour, right neighbour, weight of the right one.
        let taps = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
            let one = |i: usize| {
                let x = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5)
                    .clamp(0.0, from as f64 - 1.0);
                let left = x.floor() as usize;
                (left, (left + 1).min(from - 1), (x - left as f64) as f32)
            };
            (0..to).map(one).collect()
        };
        let (rows, columns) = (taps(self.height, height), taps(self.width, width));
        let enlarge = |plane: &Vec<f32>| {
            let mut out = Vec::with_capacity(height * width);
            for &(top, bottom, v) in &rows {
                let (top, bottom) = (&plane[top * self.width..], &plane[bottom * self.width..]);
                out.extend(columns.iter().map(|&(left, right, u)| {
                    let mix = |row: &[f32]| row[left] + (row[right] - row[left]) * u;
                    mix(top) + (mix(bottom) - mix(top)) * v
                }));
            }
            out
        };
        Self {
            height,
            width,
            planes: self.planes.iter().map(enlarge).collect(),
        }
    }

    /// The plane of the smallest value at each place, among `kept`; the first of equals.
    pub fn labels(&self, kept: &[usize]) -> Vec<usize> {
        let one = |i: usize| {
            let mut best = (kept[0], f32::INFINITY);
            for &k in kept {
                if self.planes[k][i] < best.1 {
                    best = (k, self.planes[k][i]);
                }
            }
            best.0
        };
        (0..self.height * self.width).map(one).collect()
    }
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
