//! Convex hulls of masks, and the smallest rectangle around one.

type Point = [f64; 2];

fn cross(o: Point, a: Point, b: Point) -> f64 {
    (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
}

/// Corners of the convex hull of all set pixels, each a unit square; empty for an empty mask.
pub(crate) fn hull(mask: &[bool], width: usize) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for (y, row) in mask.chunks_exact(width).enumerate() {
        if let (Some(first), Some(last)) =
            (row.iter().position(|&m| m), row.iter().rposition(|&m| m))
        {
            for edge in [y as f64, y as f64 + 1.0] {
                points.extend([[first as f64, edge], [last as f64 + 1.0, edge]]);
            }
        }
    }
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let half = |points: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for p in points {
            while chain.len() > 1 && cross(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0.0
            {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        chain
    };
    let mut corners = half(&mut points.iter().copied());
    corners.extend(half(&mut points.iter().rev().copied()));
    corners
}

/// Sets every pixel whose centre lies in the hull or on its edge.
pub(crate) fn fill(mask: &mut [bool], width: usize) {
    let corners = hull(mask, width);
    for (y, row) in mask.chunks_exact_mut(width).enumerate() {
        let v = y as f64 + 0.5;
        let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
        for (i, &[x0, y0]) in corners.iter().enumerate() {
            let [x1, y1] = corners[(i + 1) % corners.len()];
            if (y0 > v) != (y1 > v) {
                let x = x0 + (x1 - x0) * (v - y0) / (y1 - y0);
                (left, right) = (left.min(x), right.max(x));
            }
        }
        for (x, m) in row.iter_mut().enumerate() {
            *m |= (left..=right).contains(&(x as f64 + 0.5));
        }
    }
}

/// A rectangle that lies anyhow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rectangle {
    pub(crate) centre: Point,
    /// Size along its own first axis and across it.
    pub(crate) size: [f64; 2],
    /// Angle of the first axis, in radians, clockwise as y points down, −π/4 to π/4: the axis
    /// nearest to x.
    pub(crate) angle: f64,
}

/// The rectangle of least area around a mask (one of its sides lies along a side of the hull);
/// `None` for an empty mask.
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
            let (u, v) = (x * cos + y * sin, y * cos - x * sin);
            span = [
                span[0].min(u),
                span[1].max(u),
                span[2].min(v),
                span[3].max(v),
            ];
        }
        let size = [span[1] - span[0], span[3] - span[2]];
        if best.is_none_or(|b| size[0] * size[1] < b.size[0] * b.size[1] - 1e-9) {
            let (u, v) = ((span[0] + span[1]) / 2.0, (span[2] + span[3]) / 2.0);
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
