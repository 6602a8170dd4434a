//! Operations on masks: row-major, one `bool` per pixel.

/// Grows or shrinks by a square of side 2·radius + 1. Beyond the image is background.
struct Morphology {
    radius: usize,
    grow: bool,
}

impl Morphology {
    fn apply(&self, mask: &[bool], height: usize, width: usize) -> Vec<bool> {
        // A square is a segment along x, then one along y.
        let mut rows = vec![false; mask.len()];
        for y in 0..height {
            self.line(mask, &mut rows, y * width, 1, width);
        }
        let mut out = vec![false; mask.len()];
        for x in 0..width {
            self.line(&rows, &mut out, x, width, height);
        }
        out
    }

    /// One line of `count` pixels, `step` apart. Shrinking the set pixels is growing the others, so
    /// a pixel takes the value `grow` if one with that value is within the radius. A running count
    /// makes the time independent of the radius.
    fn line(&self, from: &[bool], to: &mut [bool], start: usize, step: usize, count: usize) {
        let radius = self.radius;
        let hit = |i: usize| from[start + i * step] == self.grow;
        let mut within = (0..radius.min(count)).filter(|&i| hit(i)).count();
        for i in 0..count {
            if i + radius < count {
                within += usize::from(hit(i + radius));
            }
            let outside = !self.grow && (i < radius || i + radius >= count);
            to[start + i * step] = (within > 0 || outside) == self.grow;
            if i >= radius {
                within -= usize::from(hit(i - radius));
            }
        }
    }
}

/// Shrinks, then grows: removes what is thinner than 2·radius + 1.
pub(crate) fn open(mask: &[bool], height: usize, width: usize, radius: usize) -> Vec<bool> {
    if radius == 0 {
        return mask.to_vec();
    }
    let shrink = Morphology {
        radius,
        grow: false,
    };
    let grow = Morphology { radius, grow: true };
    grow.apply(&shrink.apply(mask, height, width), height, width)
}

/// Grows, then shrinks: closes gaps thinner than 2·radius + 1.
pub(crate) fn close(mask: &[bool], height: usize, width: usize, radius: usize) -> Vec<bool> {
    if radius == 0 {
        return mask.to_vec();
    }
    // With a margin, so that what grows beyond the image is still set when it shrinks again.
    let tall = height + 2 * radius;
    let wide = width + 2 * radius;
    let mut padded = vec![false; tall * wide];
    for (row, target) in mask
        .chunks_exact(width)
        .zip(padded.chunks_exact_mut(wide).skip(radius))
    {
        target[radius..radius + width].copy_from_slice(row);
    }
    let grow = Morphology { radius, grow: true };
    let shrink = Morphology {
        radius,
        grow: false,
    };
    let closed = shrink.apply(&grow.apply(&padded, tall, wide), tall, wide);
    let rows = closed.chunks_exact(wide).skip(radius).take(height);
    rows.flat_map(|row| row[radius..radius + width].iter().copied())
        .collect()
}

/// Connected pieces of the set pixels, as lists of positions, in the order of their first pixels.
pub(crate) fn components(
    mask: &[bool],
    height: usize,
    width: usize,
    diagonal: bool,
) -> Vec<Vec<usize>> {
    let mut seen: Vec<bool> = mask.iter().map(|m| !m).collect();
    let mut pieces = Vec::new();
    for start in 0..mask.len() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        // The list is also the queue of a breadth-first search.
        let mut piece = vec![start];
        let mut next = 0;
        while next < piece.len() {
            let y = piece[next] / width;
            let x = piece[next] % width;
            next += 1;
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let i = ny * width + nx;
                    if !seen[i] && (diagonal || ny == y || nx == x) {
                        seen[i] = true;
                        piece.push(i);
                    }
                }
            }
        }
        pieces.push(piece);
    }
    pieces
}

/// Sets unset pieces (4 neighbours) that do not touch the border; returns the number of pixels.
pub(crate) fn fill_holes(mask: &mut [bool], height: usize, width: usize) -> usize {
    let unset: Vec<bool> = mask.iter().map(|m| !m).collect();
    let mut filled = 0;
    for hole in components(&unset, height, width, false) {
        let touches_border = hole.iter().any(|i| {
            let y = i / width;
            let x = i % width;
            y == 0 || x == 0 || y + 1 == height || x + 1 == width
        });
        if !touches_border {
            filled += hole.len();
            hole.into_iter().for_each(|i| mask[i] = true);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Vec<bool> {
        rows.iter()
            .flat_map(|r| r.bytes().map(|b| b == b'#'))
            .collect()
    }

    #[test]
    fn opening_removes_thin_and_closing_bridges() {
        let thin = mask(&["......", ".###..", ".####.", ".###..", "......"]);
        let opened = mask(&["......", ".###..", ".###..", ".###..", "......"]);
        assert_eq!(open(&thin, 5, 6, 1), opened);
        let gap = mask(&["......", ".#.##.", ".#.##.", "......"]);
        let closed = mask(&["......", ".####.", ".####.", "......"]);
        assert_eq!(close(&gap, 4, 6, 1), closed);
        // At the border: what touches it stays, a line along it goes, a gap beside it is not
        // bridged.
        let edge = mask(&["###...", "###...", "###...", "....##"]);
        let kept = mask(&["###...", "###...", "###...", "......"]);
        assert_eq!(open(&edge, 4, 6, 1), kept);
        assert_eq!(close(&kept, 4, 6, 1), kept);
        assert_eq!(close(&[false; 6], 2, 3, 5), [false; 6]);
        assert_eq!(close(&[true; 6], 2, 3, 5), [true; 6]);
    }

    #[test]
    fn pieces_and_holes() {
        let diagonal = mask(&["#..", ".#.", "..#"]);
        assert_eq!(components(&diagonal, 3, 3, true).len(), 1);
        assert_eq!(components(&diagonal, 3, 3, false).len(), 3);
        let mut ring = mask(&["####.", "#..#.", "####.", "#...."]);
        assert_eq!(fill_holes(&mut ring, 4, 5), 2);
        assert_eq!(ring, mask(&["####.", "####.", "####.", "#...."]));
    }

    #[test]
    fn as_scipy_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/masks.npy");
        let planes = segad_imaging::npy::open(path.as_ref()).unwrap();
        let &[_, height, width] = planes.shape() else {
            panic!()
        };
        let values = planes.to_integers().unwrap();
        let plane = |i: usize| &values[i * height * width..][..height * width];
        let set = |i: usize| plane(i).iter().map(|&v| v != 0).collect::<Vec<_>>();
        let mask = set(0);
        assert_eq!(open(&mask, height, width, 1), set(1));
        assert_eq!(open(&mask, height, width, 2), set(2));
        assert_eq!(close(&mask, height, width, 1), set(3));
        assert_eq!(close(&mask, height, width, 2), set(4));
        let mut filled = mask.clone();
        fill_holes(&mut filled, height, width);
        assert_eq!(filled, set(5));
        for (i, diagonal) in [(6, true), (7, false)] {
            let mut numbers = vec![0; mask.len()];
            for (n, piece) in components(&mask, height, width, diagonal)
                .into_iter()
                .enumerate()
            {
                piece
                    .into_iter()
                    .for_each(|p| numbers[p] = (n as i64 + 1) % 256);
            }
            assert_eq!(numbers, plane(i));
        }
    }
}
