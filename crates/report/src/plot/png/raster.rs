//! Filled polygons and stroked lines on white.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// x to the right and y down, in pixels from the upper left corner.
pub(super) type Point = (f32, f32);

/// Lines that a row of pixels is cut into for the edges of polygons.
const LINES: usize = 8;

/// A picture that is drawn on.
pub(super) struct Pixels {
    width: usize,
    height: usize,
    values: Vec<[f32; 3]>,
}

impl Pixels {
    /// A white picture.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            values: vec![[255.0; 3]; width * height],
        }
    }

    /// Row by row, red, green and blue.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.values
            .iter()
            .flat_map(|pixel| pixel.map(|v| (v + 0.5) as u8))
            .collect()
    }

    /// Lays a colour over a pixel; outside the picture nothing happens.
    pub(crate) fn blend(&mut self, x: isize, y: isize, colour: [u8; 3], cover: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x < self.width && y < self.height {
            let pixel = &mut self.values[y * self.width + x];
            for (value, new) in pixel.iter_mut().zip(colour) {
                *value += (f32::from(new) - *value) * cover.clamp(0.0, 1.0);
            }
        }
    }

    /// Fills a polygon, even-odd.
    pub(crate) fn fill(&mut self, points: &[Point], colour: [u8; 3], opacity: f32) {
        let ys = points.iter().map(|p| p.1);
        let low = ys.clone().fold(f32::INFINITY, f32::min).floor().max(0.0);
        let high = ys.fold(0.0, f32::max).ceil().min(self.height as f32);
        let mut cover = vec![0.0f32; self.width];
        for row in low as usize..high.max(low) as usize {
            cover.fill(0.0);
            for line in 0..LINES {
                let y = row as f32 + (line as f32 + 0.5) / LINES as f32;
                let mut crossings = crossings(points, y);
                crossings.sort_by(f32::total_cmp);
                for pair in crossings.chunks_exact(2) {
                    let from = pair[0].max(0.0);
                    let to = pair[1].min(self.width as f32);
                    for x in from.floor() as usize..to.max(from).ceil() as usize {
                        let part = (to.min(x as f32 + 1.0) - from.max(x as f32)).max(0.0);
                        if let Some(cover) = cover.get_mut(x) {
                            *cover += part / LINES as f32;
                        }
                    }
                }
            }
            for x in 0..self.width {
                if cover[x] > 0.0 {
                    self.blend(x as isize, row as isize, colour, cover[x] * opacity);
                }
            }
        }
    }

    /// Strokes a line through points, `width` wide, in dashes if there are any.
    pub(crate) fn stroke(&mut self, points: &[Point], width: f32, dashes: &[f32], colour: [u8; 3]) {
        // The largest cover of each pixel, so that joints of a line are not darker than the rest.
        let mut cover = BTreeMap::new();
        for (from, to) in pieces(points, dashes) {
            let reach = width / 2.0 + 1.0;
            for y in around(from.1, to.1, reach) {
                for x in around(from.0, to.0, reach) {
                    let away = distance((x as f32 + 0.5, y as f32 + 0.5), from, to);
                    let part = (width / 2.0 + 0.5 - away).clamp(0.0, width.min(1.0));
                    if part > 0.0 {
                        let most = cover.entry((y, x)).or_insert(0.0f32);
                        *most = most.max(part);
                    }
                }
            }
        }
        for ((y, x), part) in cover {
            self.blend(x, y, colour, part);
        }
    }
}

/// The pixels from `a` to `b` in either direction, and `reach` beyond.
fn around(a: f32, b: f32, reach: f32) -> RangeInclusive<isize> {
    (a.min(b) - reach).floor() as isize..=(a.max(b) + reach).ceil() as isize
}

/// Where a level line crosses the sides of a polygon.
fn crossings(points: &[Point], y: f32) -> Vec<f32> {
    let next = points.iter().cycle().skip(1);
    let sides = points
        .iter()
        .zip(next)
        .filter(|(a, b)| (a.1 <= y) != (b.1 <= y));
    sides
        .map(|(a, b)| a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0))
        .collect()
}

/// The sides of a line, cut into dashes.
fn pieces(points: &[Point], dashes: &[f32]) -> Vec<(Point, Point)> {
    let sides = points.windows(2).map(|w| (w[0], w[1]));
    if dashes.iter().sum::<f32>() <= 0.0 {
        return sides.collect();
    }
    let mut pieces = Vec::new();
    let mut which = 0;
    let mut left = dashes[0];
    for (from, to) in sides {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let direction = ((to.0 - from.0) / length, (to.1 - from.1) / length);
        let mut done = 0.0;
        while done < length {
            let step = left.min(length - done);
            if which % 2 == 0 {
                let end = done + step;
                pieces.push((
                    (from.0 + direction.0 * done, from.1 + direction.1 * done),
                    (from.0 + direction.0 * end, from.1 + direction.1 * end),
                ));
            }
            done += step;
            left -= step;
            if left <= 0.0 {
                which += 1;
                // A dash of no length would never be done.
                left = dashes[which % dashes.len()].max(0.01);
            }
        }
    }
    pieces
}

/// From a point to a stretch of a line.
fn distance(p: Point, from: Point, to: Point) -> f32 {
    let dx = to.0 - from.0;
    let dy = to.1 - from.1;
    let square = dx * dx + dy * dy;
    let t = if square > 0.0 {
        ((p.0 - from.0) * dx + (p.1 - from.1) * dy) / square
    } else {
        0.0
    };
    // Beyond an end the distance is that from the end, so that ends are round.
    let t = t.clamp(0.0, 1.0);
    (p.0 - from.0 - t * dx).hypot(p.1 - from.1 - t * dy)
}
