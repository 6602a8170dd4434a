//! Pseudo anomalies: a piece of the image, its colours changed a little, pasted elsewhere.

use segad_core::{Image, Seed};
use segad_imaging::{Adjust, ImagingError, adjust, shift_hue};
use segad_nn::train::{shuffle, uniform};

/// Share of the image's area that a piece takes.
const AREA: (f64, f64) = (0.02, 0.15);
/// Width over height: from this to its inverse, evenly in the logarithm.
const ASPECT: f64 = 0.3;
/// Brightness, contrast and saturation change by up to this share, hue by up to this part of a
/// turn.
const JITTER: f64 = 0.1;

/// Where a piece is cut out and pasted: sizes and corners in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    width: usize,
    height: usize,
    /// Left and top.
    from: (usize, usize),
    to: (usize, usize),
}

impl Piece {
    fn draw(width: usize, height: usize, rng: &mut impl rand::Rng) -> Self {
        let area = uniform(rng, AREA.0, AREA.1) * (width * height) as f64;
        // In the logarithm, so that wide and high pieces are equally likely.
        let aspect = uniform(rng, ASPECT.ln(), -ASPECT.ln()).exp();
        let w = side_of(area * aspect, width);
        let h = side_of(area / aspect, height);
        Self {
            width: w,
            height: h,
            from: draw_corner(width - w, height - h, rng),
            to: draw_corner(width - w, height - h, rng),
        }
    }
}

/// The side of a square of this area, at most `full`: a long piece may be longer than the image.
fn side_of(area: f64, full: usize) -> usize {
    (area.sqrt().round() as usize).clamp(1, full)
}

/// Left and top, at most these. The top is drawn first, as the official code does.
fn draw_corner(left: usize, top: usize, rng: &mut impl rand::Rng) -> (usize, usize) {
    let top = uniform(rng, 0.0, top as f64) as usize;
    let left = uniform(rng, 0.0, left as f64) as usize;
    (left, top)
}

/// The image with a pseudo anomaly.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub(crate) fn cut_paste(image: &Image, seed: Seed) -> Result<Image, ImagingError> {
    let mut rng = seed.rng();
    let piece = Piece::draw(image.width(), image.height(), &mut rng);
    let row = 3 * piece.width;
    let mut cut = Vec::with_capacity(row * piece.height);
    for y in 0..piece.height {
        cut.extend(&image.rgb()[start_of_row(image, piece.from, y)..][..row]);
    }
    let cut = Image::from_rgb(piece.height, piece.width, cut)?;
    // Pasted as it was, a piece of a good image could pass for one.
    let patch = jitter(cut, seed, &mut rng)?;
    let mut rgb = image.rgb().to_vec();
    for (y, line) in patch.rgb().chunks_exact(row).enumerate() {
        rgb[start_of_row(image, piece.to, y)..][..row].copy_from_slice(line);
    }
    Ok(Image::from_rgb(image.height(), image.width(), rgb)?)
}

/// Where row `y` of a piece begins in the image's bytes.
fn start_of_row(image: &Image, (left, top): (usize, usize), y: usize) -> usize {
    3 * ((top + y) * image.width() + left)
}

/// Brightness, contrast, saturation and hue, in random order.
fn jitter(mut image: Image, seed: Seed, rng: &mut impl rand::Rng) -> Result<Image, ImagingError> {
    let mut order = [
        Some(Adjust::Brightness),
        Some(Adjust::Contrast),
        Some(Adjust::Saturation),
        None,
    ];
    // The order matters: each change sees the result of the one before and cuts off at 0 and 255.
    shuffle(&mut order, seed.derive("jitter"));
    for change in order {
        image = match change {
            Some(what) => adjust(
                &image,
                what,
                uniform(rng, 1.0 - JITTER, 1.0 + JITTER) as f32,
            )?,
            None => shift_hue(&image, uniform(rng, -JITTER, JITTER))?,
        };
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_published_sizes_and_places() {
        let n = 4000;
        let (mut areas, mut logs, mut squares) = (0.0, 0.0, 0.0);
        for s in 0..n {
            let p = Piece::draw(256, 256, &mut Seed(s).rng());
            let (area, aspect) = (
                (p.width * p.height) as f64 / 65536.0,
                p.width as f64 / p.height as f64,
            );
            assert!((0.0195..0.1525).contains(&area), "{p:?}");
            assert!((0.29..3.45).contains(&aspect), "{p:?}");
            for (left, top) in [p.from, p.to] {
                assert!(left + p.width <= 256 && top + p.height <= 256, "{p:?}");
            }
            areas += area;
            logs += aspect.ln();
            squares += aspect.ln().powi(2);
        }
        let n = n as f64;
        // Even from 0.02 to 0.15, and from ln 0.3 to −ln 0.3: means within 4 standard errors, and
        // the variance.
        assert!(
            (areas / n - 0.085).abs() < 4.0 * 0.13 / 12f64.sqrt() / n.sqrt() + 1e-4,
            "{}",
            areas / n
        );
        let half = -(0.3f64.ln());
        assert!(
            (logs / n).abs() < 4.0 * half / 3f64.sqrt() / n.sqrt(),
            "{}",
            logs / n
        );
        assert!(
            (squares / n / (half * half / 3.0) - 1.0).abs() < 0.06,
            "{}",
            squares / n
        );
    }

    #[test]
    fn only_the_pasted_piece_changes() {
        let pixel = |i: usize| ((i * 37 + i / 64 * 11) % 200) as u8;
        let image = Image::from_grey(64, 64, &(0..4096).map(pixel).collect::<Vec<_>>()).unwrap();
        for s in 0..20 {
            let p = Piece::draw(64, 64, &mut Seed(s).rng());
            let pasted = cut_paste(&image, Seed(s)).unwrap();
            assert_eq!(pasted, cut_paste(&image, Seed(s)).unwrap());
            for y in 0..64 {
                for x in 0..64 {
                    let inside = (p.to.0..p.to.0 + p.width).contains(&x)
                        && (p.to.1..p.to.1 + p.height).contains(&y);
                    let (before, after) = (image.pixel(y, x).unwrap(), pasted.pixel(y, x).unwrap());
                    if inside {
                        // Brightness and contrast by at most a tenth each, saturation and hue do
                        // not change grey.
                        let source = image
                            .pixel(y - p.to.1 + p.from.1, x - p.to.0 + p.from.0)
                            .unwrap();
                        let off = i32::from(after[0]) - i32::from(source[0]);
                        assert!(
                            after[0] == after[1] && off.abs() <= 45,
                            "{source:?} {after:?}"
                        );
                    } else {
                        assert_eq!(before, after);
                    }
                }
            }
        }
    }

    #[test]
    fn colours_change_by_every_property() {
        let image = Image::from_rgb(
            2,
            2,
            vec![200, 40, 90, 10, 220, 60, 90, 90, 200, 120, 100, 30],
        )
        .unwrap();
        let seen: std::collections::BTreeSet<Vec<u8>> = (0..50)
            .map(|s| {
                jitter(image.clone(), Seed(s), &mut Seed(s).rng())
                    .unwrap()
                    .into_rgb()
            })
            .collect();
        assert!(seen.len() > 45, "{}", seen.len());
    }
}
