//! Which points are inside a shape.

/// A shape's outline in coordinates about its centre.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Rectangle { half: [f64; 2] },
    Ellipse { radii: [f64; 2] },
    Ring { outer: [f64; 2], inner: [f64; 2] },
    Polygon { points: Vec<[f64; 2]> },
}

/// A shape at its position.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    centre: [f64; 2],
    sin: f64,
    cos: f64,
    form: Form,
}

impl Area {
    /// `degrees` turns clockwise, as y points down.
    pub(crate) fn new(centre: [f64; 2], degrees: f64, form: Form) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self {
            centre,
            sin,
            cos,
            form,
        }
    }

    /// True for points inside. Left and upper edges of rectangles and polygons are inside, right
    /// and lower ones outside, so that neighbours share no point.
    pub(crate) fn contains(&self, [x, y]: [f64; 2]) -> bool {
        let dx = x - self.centre[0];
        let dy = y - self.centre[1];
        let u = dx * self.cos + dy * self.sin;
        let v = dy * self.cos - dx * self.sin;
        let in_ellipse = |[a, b]: [f64; 2]| (u / a).powi(2) + (v / b).powi(2) <= 1.0;
        match &self.form {
            Form::Rectangle { half: [a, b] } => (-a..*a).contains(&u) && (-b..*b).contains(&v),
            Form::Ellipse { radii } => in_ellipse(*radii),
            Form::Ring { outer, inner } => in_ellipse(*outer) && !in_ellipse(*inner),
            Form::Polygon { points } => {
                // Each edge that a ray to the right crosses changes sides.
                let mut inside = false;
                for (i, &[x1, y1]) in points.iter().enumerate() {
                    let [x0, y0] = points[if i == 0 { points.len() - 1 } else { i - 1 }];
                    if (y0 > v) != (y1 > v) && u < (x1 - x0) * (v - y0) / (y1 - y0) + x0 {
                        inside = !inside;
                    }
                }
                inside
            }
        }
    }

    /// Left, top, right, bottom.
    pub(crate) fn bounds(&self) -> [f64; 4] {
        let [cx, cy] = self.centre;
        let around = |x: f64, y: f64| [cx - x, cy - y, cx + x, cy + y];
        let s = self.sin.abs();
        let c = self.cos.abs();
        match &self.form {
            Form::Rectangle { half: [a, b] } => around(a * c + b * s, a * s + b * c),
            Form::Ellipse { radii: [a, b] } | Form::Ring { outer: [a, b], .. } => {
                around((a * c).hypot(b * s), (a * s).hypot(b * c))
            }
            Form::Polygon { points } => {
                let start = [
                    f64::INFINITY,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                    f64::NEG_INFINITY,
                ];
                points.iter().fold(start, |[l, t, r, b], &[x, y]| {
                    // `min` and `max` would drop a NaN, which has to reach the check for finite
                    // numbers.
                    let nan = (x + y) * 0.0;
                    [
                        l.min(x) + nan,
                        t.min(y) + nan,
                        r.max(x) + nan,
                        b.max(y) + nan,
                    ]
                })
            }
        }
    }
}

/// Centre of pixel `i` of `from`, in the coordinates of an axis of length `to`.
pub(crate) fn centre_of(i: usize, from: usize, to: usize) -> f64 {
    (i as f64 + 0.5) * to as f64 / from as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_one_side() {
        let left = Area::new([1.0, 1.0], 0.0, Form::Rectangle { half: [1.0, 1.0] });
        let right = Area::new([3.0, 1.0], 0.0, Form::Rectangle { half: [1.0, 1.0] });
        assert!(!left.contains([2.0, 1.0]) && right.contains([2.0, 1.0]));
        assert!(left.contains([0.0, 0.0]) && !left.contains([0.0, 2.0]));
    }

    #[test]
    fn turning_is_clockwise() {
        // A bar along x, turned by 30°: its right end goes down.
        let bar = Area::new([0.0, 0.0], 30.0, Form::Rectangle { half: [10.0, 1.0] });
        let (s, c) = 30_f64.to_radians().sin_cos();
        assert!(bar.contains([9.0 * c, 9.0 * s]) && !bar.contains([9.0 * c, -9.0 * s]));
        let [l, t, r, b] = bar.bounds();
        assert!(
            (r - (10.0 * c + s)).abs() < 1e-12
                && (b - (10.0 * s + c)).abs() < 1e-12
                && l == -r
                && t == -b
        );
    }

    #[test]
    fn ring_and_polygon() {
        let ring = Area::new(
            [5.0, 5.0],
            0.0,
            Form::Ring {
                outer: [4.0, 2.0],
                inner: [2.0, 1.0],
            },
        );
        assert!(
            ring.contains([8.0, 5.0]) && !ring.contains([6.0, 5.0]) && !ring.contains([5.0, 8.0])
        );
        let corner = vec![
            [0.0, 0.0],
            [4.0, 0.0],
            [4.0, 2.0],
            [2.0, 2.0],
            [2.0, 4.0],
            [0.0, 4.0],
        ];
        let corner = Area::new([0.0, 0.0], 0.0, Form::Polygon { points: corner });
        assert!(
            corner.contains([1.0, 3.0])
                && corner.contains([3.0, 1.0])
                && !corner.contains([3.0, 3.0])
        );
        assert!(corner.contains([0.0, 0.0]) && !corner.contains([4.0, 1.0]));
    }
}
