use crate::ImagingError;
use segad_core::{Image, LabelMap};

/// How pixels are weighted in a resize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// A triangle; Pillow's `BILINEAR`.
    #[default]
    Bilinear,
    /// Keys' cubic with a = −½, which has negative lobes; Pillow's `BICUBIC`.
    Bicubic,
}

impl Filter {
    /// Its name in Pillow, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }

    /// Pixels from the centre to where the weight becomes 0, without enlargement.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The weight at a distance from the centre, in Pillow's expressions.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC,
            Self::Bicubic => 0.0,
        }
    }
}

/// Keys' a.
const CUBIC: f64 = -0.5;

/// Fraction bits of the weights: 8 bits of pixel and 2 of head-room leave 22 of a 32-bit word.
const BITS: u32 = 32 - 8 - 2;

/// The input pixels and integer weights of each output pixel along one axis.
struct Taps {
    /// First input pixel and number of them.
    spans: Vec<(usize, usize)>,
    /// Weights, `stride` of them per output pixel.
    weights: Vec<i32>,
    stride: usize,
}

impl Taps {
    /// The filter, widened by the scale where the picture shrinks.
    fn new(filter: Filter, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let stride = support.ceil() as usize * 2 + 1;
        let mut spans = Vec::with_capacity(to);
        let mut weights = vec![0; to * stride];
        let mut exact = vec![0.0; stride];
        for (i, places) in weights.chunks_exact_mut(stride).enumerate() {
            // Pillow's expressions, term by term: another order rounds some weights differently.
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let n = end - first;
            let mut sum = 0.0;
            for (j, w) in exact[..n].iter_mut().enumerate() {
                *w = filter.weight(((j + first) as f64 - centre + 0.5) * (1.0 / widening));
                sum += *w;
            }
            for (k, w) in places.iter_mut().zip(&exact[..n]) {
                let w = if sum == 0.0 { *w } else { w / sum };
                // The cast truncates, so a half away from zero rounds to nearest.
                *k = (0.5f64.copysign(w) + w * f64::from(1u32 << BITS)) as i32;
            }
            spans.push((first, n));
        }
        Self {
            spans,
            weights,
            stride,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans
            .iter()
            .zip(self.weights.chunks_exact(self.stride))
            .map(|(&(first, n), weights)| (first, &weights[..n]))
    }
}

/// `sum + p·k`. Weights sum to 2²² (± their number), in magnitude to less than twice that, so sums
/// stay below 2³¹; without the check loops vectorise.
#[inline]
fn add(sum: i32, p: u8, k: i32) -> i32 {
    sum.wrapping_add(i32::from(p).wrapping_mul(k))
}

#[inline]
fn round(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Rows that the horizontal pass takes together, so that its inner loop runs over neighbouring
/// bytes.
const ROWS: usize = 16;
const LANES: usize = ROWS * 3;

fn horizontal(filter: Filter, rgb: &[u8], width: usize, to: usize) -> Vec<u8> {
    let taps = Taps::new(filter, width, to);
    let mut out = vec![0; rgb.len() / width * to];
    // The pixels of all rows of a block at column 0, then at column 1, …
    let mut columns = vec![[0; LANES]; width];
    for (block, target) in rgb.chunks(width * LANES).zip(out.chunks_mut(to * LANES)) {
        for (r, row) in block.chunks_exact(width * 3).enumerate() {
            for (column, pixel) in columns.iter_mut().zip(row.chunks_exact(3)) {
                column[r * 3..r * 3 + 3].copy_from_slice(pixel);
            }
        }
        for (x, (first, weights)) in taps.iter().enumerate() {
            // Half a unit, so that the final shift rounds instead of truncating.
            let mut sums = [1 << (BITS - 1); LANES];
            for (column, &k) in columns[first..].iter().zip(weights) {
                sums.iter_mut()
                    .zip(column)
                    .for_each(|(s, &p)| *s = add(*s, p, k));
            }
            let done = sums.map(round);
            for (row, pixel) in target.chunks_exact_mut(to * 3).zip(done.chunks_exact(3)) {
                row[x * 3..x * 3 + 3].copy_from_slice(pixel);
            }
        }
    }
    out
}

fn vertical(filter: Filter, rgb: &[u8], height: usize, to: usize) -> Vec<u8> {
    let taps = Taps::new(filter, height, to);
    let line = rgb.len() / height;
    let mut out = vec![0; line * to];
    let mut sums = vec![0; line];
    for ((first, weights), target) in taps.iter().zip(out.chunks_exact_mut(line)) {
        sums.fill(1 << (BITS - 1));
        for (row, &k) in rgb[first * line..].chunks_exact(line).zip(weights) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(s, &p)| *s = add(*s, p, k));
        }
        target
            .iter_mut()
            .zip(&sums)
            .for_each(|(t, &s)| *t = round(s));
    }
    out
}

/// Resizes to `height` × `width` as Pillow's `Image.resize((width, height), filter)` does, to the
/// bit: weights in 22-bit fixed point, along rows first, then along columns, rounded to 8 bits in
/// between; an axis that already has the size is not filtered. The aspect ratio is not kept.
///
/// # Errors
/// [`ImagingError::ZeroSize`] for a side of zero.
pub fn resize(
    image: &Image,
    height: usize,
    width: usize,
    filter: Filter,
) -> Result<Image, ImagingError> {
    if height == 0 || width == 0 {
        return Err(ImagingError::ZeroSize { height, width });
    }
    let rows =
        (image.width() != width).then(|| horizontal(filter, image.rgb(), image.width(), width));
    let rows = rows.as_deref().unwrap_or(image.rgb());
    let rgb = if image.height() == height {
        rows.to_vec()
    } else {
        vertical(filter, rows, image.height(), height)
    };
    Ok(Image::from_rgb(height, width, rgb)?)
}

/// [`resize`] by [`Filter::Bilinear`].
///
/// # Errors
/// As [`resize`].
pub fn resize_bilinear(image: &Image, height: usize, width: usize) -> Result<Image, ImagingError> {
    resize(image, height, width, Filter::Bilinear)
}

/// Resizes labels to `height` × `width` by taking the nearest pixel: the one that holds the centre
/// of the new pixel, ⌊(i + ½)·from/to⌋, as Pillow's `NEAREST` does.
///
/// # Errors
/// [`ImagingError::ZeroSize`] for a side of zero.
pub fn resize_labels(
    map: &LabelMap,
    height: usize,
    width: usize,
) -> Result<LabelMap, ImagingError> {
    if height == 0 || width == 0 {
        return Err(ImagingError::ZeroSize { height, width });
    }
    let columns: Vec<usize> = (0..width).map(|x| nearest(x, map.width(), width)).collect();
    let mut labels = Vec::with_capacity(height * width);
    for y in 0..height {
        let row = &map.labels()[nearest(y, map.height(), height) * map.width()..][..map.width()];
        labels.extend(columns.iter().map(|&x| row[x]));
    }
    Ok(LabelMap::new(height, width, labels, map.segments())?)
}

/// ⌊(i + ½)·from/to⌋ in integers.
fn nearest(i: usize, from: usize, to: usize) -> usize {
    (2 * i + 1) * from / (2 * to)
}
