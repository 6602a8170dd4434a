//! Position and extent of a defect.

use crate::blur::Window;
use rand::Rng;
use std::ops::Range;

/// Random numbers, drawn one after the other.
pub(crate) struct Dice<R>(pub R);

impl<R: Rng> Dice<R> {
    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds, so every value is as likely as any other.
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn within(&mut self, range: [f64; 2]) -> f64 {
        range[0] + (range[1] - range[0]) * self.unit()
    }

    /// Uniform in 0…n−1.
    pub(crate) fn index(&mut self, n: usize) -> usize {
        // The product may round up to n.
        ((self.unit() * n as f64) as usize).min(n - 1)
    }
}

/// A rectangle at any angle; `degrees` turns clockwise, as y points down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    pub centre: [f64; 2],
    pub size: [f64; 2],
    pub degrees: f64,
}

impl Turned {
    /// Pixels whose centres are inside.
    pub(crate) fn pixels(&self, height: usize, width: usize) -> Vec<usize> {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let [a, b] = self.size.map(|s| s / 2.0);
        let reach = [a * cos.abs() + b * sin.abs(), a * sin.abs() + b * cos.abs()];
        let mut inside = Vec::new();
        for y in span(self.centre[1], reach[1], height) {
            for x in span(self.centre[0], reach[0], width) {
                let dx = x as f64 + 0.5 - self.centre[0];
                let dy = y as f64 + 0.5 - self.centre[1];
                // Turned back, so that the sides are level.
                let u = dx * cos + dy * sin;
                let v = dy * cos - dx * sin;
                if (-a..a).contains(&u) && (-b..b).contains(&v) {
                    inside.push(y * width + x);
                }
            }
        }
        inside
    }
}

/// Positions below `n` within `reach` of `centre`, and perhaps one more at either end.
fn span(centre: f64, reach: f64, n: usize) -> Range<usize> {
    let first = (centre - reach).floor().max(0.0) as usize;
    let last = ((centre + reach).ceil().max(0.0) as usize).min(n);
    first.min(n)..last
}

/// The smallest window around some pixels; `None` without any.
pub(crate) fn window(pixels: &[usize], width: usize) -> Option<Window> {
    let rows = pixels.iter().map(|i| i / width);
    let columns = pixels.iter().map(|i| i % width);
    Some(Window {
        top: rows.clone().min()?,
        bottom: rows.max()? + 1,
        left: columns.clone().min()?,
        right: columns.max()? + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_cover_what_they_should() {
        let flat = Turned {
            centre: [5.0, 4.0],
            size: [4.0, 2.0],
            degrees: 0.0,
        };
        let expected: Vec<usize> = [3, 4]
            .into_iter()
            .flat_map(|y| (3..7).map(move |x| y * 10 + x))
            .collect();
        assert_eq!(flat.pixels(8, 10), expected);
        // A quarter turn exchanges the sides; beyond the image is nothing.
        let upright = Turned {
            centre: [5.0, 0.0],
            size: [4.0, 2.0],
            degrees: 90.0,
        };
        assert_eq!(upright.pixels(8, 10).len(), 4);
        let large = Turned {
            centre: [50.0, 50.0],
            size: [40.0, 20.0],
            degrees: 30.0,
        };
        let n = large.pixels(100, 100).len() as f64;
        assert!((n - 800.0).abs() < 30.0, "{n}");
        let w = window(&[23, 41], 10).unwrap();
        assert_eq!(
            w,
            Window {
                top: 2,
                bottom: 5,
                left: 1,
                right: 4
            }
        );
    }
}
