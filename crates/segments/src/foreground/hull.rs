//! Convex hulls of masks, and the smallest rectangle around one.

type Point = [f64; 2];

fn cross(o: Point, a: Point, b: Point) -> f64 {
    (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
}

/// Corners of the convex hull of all set pixels, each a unit square; empty for an empty mask.
pub(crate) fn hull(mask: &[bool], width: usize) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for (y, row) in mask.chunks_exact(width).enumerate() {
        // The hull of a row is that of its outermost pixels.
        if let (Some(first), Some(last)) =
            (row.iter().position(|&m| m), row.iter().rposition(|&m| m))
        {
            for edge in [y as f64, y as f64 + 1.0] {
                points.extend([[first as f64, edge], [last as f64 + 1.0, edge]]);
            }
        }
    }
    // Andrew's monotone chain.
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let mut corners = half_hull(points.iter());
    corners.extend(half_hull(points.iter().rev()));
    corners
}

fn half_hull<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Point> {
    let mut chain: Vec<Point> = Vec::new();
    for &p in points {
        while let [.., a, b] = chain[..]
            && cross(a, b, p) <= 0.0
        {
            chain.pop();
        }
        chain.push(p);
    }
    // The other half starts with it.
    chain.pop();
    chain
}

/// Sets every pixel whose centre is in the hull or on its edge.
pub(crate) fn fill(mask: &mut [bool], width: usize) {
    let corners = hull(mask, width);
    for (y, row) in mask.chunks_exact_mut(width).enumerate() {
        let v = y as f64 + 0.5;
        let mut left = f64::INFINITY;
        let mut right = f64::NEG_INFINITY;
        for (i, &[x0, y0]) in corners.iter().enumerate() {
            let [x1, y1] = corners[(i + 1) % corners.len()];
            if (y0 > v) != (y1 > v) {
                let x = x0 + (x1 - x0) * (v - y0) / (y1 - y0);
                left = left.min(x);
                right = right.max(x);
            }
        }
        for (x, m) in row.iter_mut().enumerate() {
            *m |= (left..=right).contains(&(x as f64 + 0.5));
        }
    }
}

/// A rectangle in any direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rectangle {
    pub(crate) centre: Point,
    /// Size along its first axis and across it.
    pub(crate) size: [f64; 2],
    /// Angle of the first axis, in radians, clockwise as y points down, −π/4 to π/4: the axis
    /// nearest to x.
    pub(crate) angle: f64,
}

/// The rectangle of least area around a mask; `None` for an empty mask. One of its sides is on a
/// side of the hull, so only those directions are tried.
pub(crate) fn smallest_rectangle(mask: &[bool], width: usize) -> Option<Rectangle> {
    let corners = hull(mask, width);
    let mut best: Option<Rectangle> = None;
    for (i, &[x0, y0]) in corners.iter().enumerate() {
        let [x1, y1] = corners[(i + 1) % corners.len()];
        let quarter = std::f64::consts::FRAC_PI_2;
        let angle = (y1 - y0).atan2(x1 - x0);
        let angle = angle - (angle / quarter).round() * quarter;
        let (sin, cos) = angle.sin_cos();
        let mut span = [
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        for &[x, y] in &corners {
            let u = x * cos + y * sin;
            let v = y * cos - x * sin;
            span = [
                span[0].min(u),
                span[1].max(u),
                span[2].min(v),
                span[3].max(v),
            ];
        }
        let size = [span[1] - span[0], span[3] - span[2]];
        // A clear gain, so that rounding does not choose between the sides of a rectangle.
        if best.is_none_or(|b| size[0] * size[1] < b.size[0] * b.size[1] - 1e-9) {
            let u = (span[0] + span[1]) / 2.0;
            let v = (span[2] + span[3]) / 2.0;
            best = Some(Rectangle {
                centre: [u * cos - v * sin, u * sin + v * cos],
                size,
                angle,
            });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hull_of_an_l() {
        let mut mask = [true, false, false, true, false, false, true, true, true].to_vec();
        assert_eq!(hull(&mask, 3).len(), 5);
        fill(&mut mask, 3);
        // From (1, 0) to (3, 2) the hull runs through the centres of two pixels, which count as
        // inside.
        assert_eq!(
            mask,
            [true, true, false, true, true, true, true, true, true]
        );
        assert!(hull(&[false; 9], 3).is_empty());
        assert_eq!(smallest_rectangle(&[false; 9], 3), None);
    }

    #[test]
    fn rectangle_of_a_turned_bar() {
        let (height, width) = (200, 300);
        let (sin, cos) = 20_f64.to_radians().sin_cos();
        let mask: Vec<bool> = (0..height * width)
            .map(|i| {
                let (dx, dy) = (
                    (i % width) as f64 + 0.5 - 150.0,
                    (i / width) as f64 + 0.5 - 90.0,
                );
                (dx * cos + dy * sin).abs() < 100.0 && (dy * cos - dx * sin).abs() < 30.0
            })
            .collect();
        let found = smallest_rectangle(&mask, width).unwrap();
        assert!((found.angle.to_degrees() - 20.0).abs() < 0.5, "{found:?}");
        assert!(
            (found.size[0] - 200.0).abs() < 2.5 && (found.size[1] - 60.0).abs() < 2.5,
            "{found:?}"
        );
        assert!(
            (found.centre[0] - 150.0).abs() < 0.7 && (found.centre[1] - 90.0).abs() < 0.7,
            "{found:?}"
        );
    }
}
