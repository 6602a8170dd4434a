//! Gaussian blur of part of an image.

/// A window of an image: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

/// The pixel that takes the place of position `i` beyond the border: mirrored without repeating the
/// edge (reflect-101).
fn reflect(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let i = i.rem_euclid(period);
    (if i < n as isize { i } else { period - i }) as usize
}

fn kernel(sigma: f64) -> Vec<f64> {
    let radius = (3.0 * sigma).ceil();
    let side = 2 * radius as usize + 1;
    let weights: Vec<f64> = (0..side)
        .map(|i| (-0.5 * ((i as f64 - radius) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}

/// The window of an image of `channels` interleaved values a pixel, blurred as if the whole image
/// was: kernel of 2·⌈3σ⌉ + 1, mirrored border.
pub(crate) fn gaussian(
    values: &[f32],
    (height, width, channels): (usize, usize, usize),
    window: Window,
    sigma: f64,
) -> Vec<f32> {
    let kernel = kernel(sigma);
    let radius = (kernel.len() / 2) as isize;
    let Window {
        top,
        bottom,
        left,
        right,
    } = window;
    // Two passes of one dimension each give the same as one of two, for a fraction of the work:
    // first along columns, over all pixels that the rows of the window need.
    let columns: Vec<usize> = (left as isize - radius..right as isize + radius)
        .map(|x| reflect(x, width))
        .collect();
    let count = right - left;
    let mut out = Vec::with_capacity((bottom - top) * count * channels);
    let mut line = vec![0.0f64; columns.len() * channels];
    for y in top..bottom {
        line.fill(0.0);
        for (k, weight) in kernel.iter().enumerate() {
            let row = reflect(y as isize + k as isize - radius, height) * width;
            for (cell, &x) in line.chunks_exact_mut(channels).zip(&columns) {
                let from = &values[(row + x) * channels..][..channels];
                cell.iter_mut()
                    .zip(from)
                    .for_each(|(c, &v)| *c += weight * f64::from(v));
            }
        }
        for x in 0..count {
            for c in 0..channels {
                let terms = kernel.iter().enumerate();
                out.push(
                    terms
                        .map(|(k, w)| w * line[(x + k) * channels + c])
                        .sum::<f64>() as f32,
                );
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_mirrored() {
        let at: Vec<usize> = (-4..8).map(|i| reflect(i, 4)).collect();
        assert_eq!(at, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(reflect(-3, 1), 0);
    }

    #[test]
    fn as_scipy_does() {
        // tests/fixtures/make.py: image 12×17 of 3 channels, blurred with σ 1.5 over all of it.
        let read = |name: &str| {
            let path = format!("{}/tests/fixtures/{name}.npy", env!("CARGO_MANIFEST_DIR"));
            segad_imaging::npy::open(path.as_ref()).unwrap().to_f32()
        };
        let (image, blurred) = (read("image"), read("blurred"));
        let whole = Window {
            top: 0,
            bottom: 12,
            left: 0,
            right: 17,
        };
        let ours = gaussian(&image, (12, 17, 3), whole, 1.5);
        let worst = ours
            .iter()
            .zip(&blurred)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
        let part = Window {
            top: 3,
            bottom: 9,
            left: 10,
            right: 17,
        };
        let part = gaussian(&image, (12, 17, 3), part, 1.5);
        for (i, value) in part.iter().enumerate() {
            let (y, x, c) = (3 + i / 3 / 7, 10 + i / 3 % 7, i % 3);
            assert!((value - ours[(y * 17 + x) * 3 + c]).abs() < 1e-5);
        }
    }
}
