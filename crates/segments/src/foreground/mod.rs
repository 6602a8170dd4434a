//! Foreground by colour: what differs from the colour along the border.

mod hull;
mod lab;
mod mask;

pub(crate) use hull::{Rectangle, smallest_rectangle};
pub(crate) use mask::components;

use crate::SegmentsError;
use segad_core::{CacheKey, Image, ImageId, Key, KeyHasher, LabelMap, SegmentSource};
use serde::{Deserialize, Serialize};

/// How the foreground is told from the background. Lengths are shares of the image's shorter side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForegroundParams {
    /// Width of the strip along the border whose median colour is the background's.
    pub border: f64,
    /// Distance in Lab from that colour beyond which a pixel is foreground; absent: Otsu's
    /// threshold of the image's distances, though not below `least_threshold`.
    pub threshold: Option<f64>,
    /// Lower bound of Otsu's threshold, so that the noise of an empty picture is not cut in two.
    pub least_threshold: f64,
    /// Half side of the square that removes specks (opening).
    pub open: f64,
    /// Half side of the square that bridges gaps (closing).
    pub close: f64,
    /// Pieces below this share of the image are dropped.
    pub least_piece: f64,
    /// Number of pieces kept, the largest first; absent: all.
    pub pieces: Option<usize>,
    /// Fills enclosed background.
    pub fill_holes: bool,
    /// Fills the convex hull of all that is kept, as the first version of the SegAD code did with
    /// its masks.
    pub hull: bool,
    /// Share of the image that the foreground must cover at least.
    pub least_area: f64,
}

impl Default for ForegroundParams {
    fn default() -> Self {
        Self {
            border: 0.02,
            threshold: None,
            least_threshold: 8.0,
            open: 0.004,
            close: 0.01,
            least_piece: 0.002,
            pieces: None,
            fill_holes: true,
            hull: false,
            least_area: 0.005,
        }
    }
}

impl CacheKey for ForegroundParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher
            .field("border", &self.border)
            .field("threshold", &self.threshold);
        hasher
            .field("least_threshold", &self.least_threshold)
            .field("open", &self.open);
        hasher
            .field("close", &self.close)
            .field("least_piece", &self.least_piece);
        hasher
            .field("pieces", &self.pieces)
            .field("fill_holes", &self.fill_holes);
        hasher
            .field("hull", &self.hull)
            .field("least_area", &self.least_area);
    }
}

/// How a foreground came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForegroundReport {
    /// Median colour of the border: L*, a*, b*.
    pub border_lab: [f32; 3],
    /// Distance in Lab that was exceeded.
    pub threshold: f64,
    /// Share of the border itself that lies beyond it: high where the product touches the border,
    /// or the background is not of one colour.
    pub border_beyond: f64,
    /// Pieces after morphology, and how many of them were kept.
    pub pieces: [usize; 2],
    /// Pixels of filled holes.
    pub filled: usize,
    /// Share of the image that is foreground.
    pub area: f64,
    /// What deserves a look, in words.
    pub warnings: Vec<String>,
}

/// A piece of the foreground, at the image's own size: what a promptable network is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Left, top, right, bottom in pixels; right and bottom are the last ones inside.
    pub bounds: [usize; 4],
    /// A pixel of the piece, x and y: of its pixels the one nearest to their mean.
    pub inside: [usize; 2],
}

/// A foreground at the image's own size.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) mask: Vec<bool>,
    pub(crate) report: ForegroundReport,
}

/// Two segments, `background` and `foreground`, found in each image.
#[derive(Clone, Debug)]
pub struct Foreground {
    params: ForegroundParams,
    height: usize,
    width: usize,
    names: Vec<String>,
}

impl Foreground {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`SegmentsError::Parameter`] naming the setting.
    pub fn new(
        params: ForegroundParams,
        height: usize,
        width: usize,
    ) -> Result<Self, SegmentsError> {
        let fail = |name, value: String, expected| {
            Err(SegmentsError::Parameter {
                name,
                value,
                expected,
            })
        };
        let p = &params;
        if !(p.border > 0.0 && p.border <= 0.5) {
            return fail("border", p.border.to_string(), "above 0, at most 0.5");
        }
        for (name, value) in [("open", p.open), ("close", p.close)] {
            if !(0.0..=0.25).contains(&value) {
                return fail(name, value.to_string(), "0 to 0.25");
            }
        }
        for (name, value) in [("least_piece", p.least_piece), ("least_area", p.least_area)] {
            if !(0.0..1.0).contains(&value) {
                return fail(name, value.to_string(), "0 or more, below 1");
            }
        }
        for (name, value) in [
            ("threshold", p.threshold),
            ("least_threshold", Some(p.least_threshold)),
        ] {
            if value.is_some_and(|t| !(t > 0.0 && t.is_finite())) {
                return fail(name, format!("{value:?}"), "above 0");
            }
        }
        if p.pieces == Some(0) {
            return fail("pieces", "0".to_owned(), "1 or more");
        }
        let names = ["background", "foreground"].map(str::to_owned).to_vec();
        Ok(Self {
            params,
            height,
            width,
            names,
        })
    }

    /// The label map of an image, and how it came about.
    ///
    /// # Errors
    /// [`SegmentsError::EmptyForeground`].
    pub fn analyse(
        &self,
        id: &ImageId,
        image: &Image,
    ) -> Result<(LabelMap, ForegroundReport), SegmentsError> {
        let Found { mask, report } = self.find(id, image)?;
        let labels = mask.into_iter().map(u8::from).collect();
        let map = LabelMap::new(image.height(), image.width(), labels, 2)?;
        Ok((
            segad_imaging::resize_labels(&map, self.height, self.width)?,
            report,
        ))
    }

    /// The pieces of an image's foreground, the largest first.
    ///
    /// # Errors
    /// [`SegmentsError::EmptyForeground`].
    pub fn pieces(&self, id: &ImageId, image: &Image) -> Result<Vec<Piece>, SegmentsError> {
        let found = self.find(id, image)?;
        let width = image.width();
        let mut pieces = components(&found.mask, image.height(), width, true);
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        Ok(pieces
            .iter()
            .map(|pixels| Piece::of(pixels, width))
            .collect())
    }

    /// Turns a network's mask at the image's own size into a label map as this source would:
    /// enclosed background filled and the convex hull taken, where the settings say so, then
    /// brought to the size of the anomaly maps.
    ///
    /// # Errors
    /// [`SegmentsError::EmptyForeground`] for a mask of fewer pixels than `least_area` asks for.
    pub fn finish(
        &self,
        id: &ImageId,
        mut mask: Vec<bool>,
        height: usize,
    ) -> Result<LabelMap, SegmentsError> {
        let width = mask.len() / height.max(1);
        if self.params.fill_holes {
            mask::fill_holes(&mut mask, height, width);
        }
        if self.params.hull {
            hull::fill(&mut mask, width);
        }
        let fraction = mask.iter().filter(|&&m| m).count() as f64 / mask.len().max(1) as f64;
        let least = self.params.least_area;
        if fraction < least || fraction == 0.0 {
            let image = id.to_string();
            return Err(SegmentsError::EmptyForeground {
                image,
                fraction,
                threshold: 0.0,
                least,
            });
        }
        let map = LabelMap::new(height, width, mask.into_iter().map(u8::from).collect(), 2)?;
        Ok(segad_imaging::resize_labels(&map, self.height, self.width)?)
    }

    pub(crate) fn find(&self, id: &ImageId, image: &Image) -> Result<Found, SegmentsError> {
        let p = &self.params;
        let (height, width) = (image.height(), image.width());
        let (short, total) = (height.min(width) as f64, (height * width) as f64);
        let lab = lab::from_srgb(image);
        let strip = ((p.border * short).round() as usize).max(1);
        let at_border = |i: &usize| {
            let (y, x) = (i / width, i % width);
            y < strip || x < strip || y + strip >= height || x + strip >= width
        };
        let border: Vec<usize> = (0..lab.len()).filter(at_border).collect();
        let border_lab = [0, 1, 2].map(|c| median(border.iter().map(|&i| lab[i][c]).collect()));
        let distance = |l: &[f32; 3]| {
            let d = [0, 1, 2].map(|c| l[c] - border_lab[c]);
            (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt()
        };
        let distances: Vec<f32> = lab.iter().map(distance).collect();
        let threshold = p
            .threshold
            .unwrap_or_else(|| otsu(&distances).max(p.least_threshold));
        let raw: Vec<bool> = distances
            .iter()
            .map(|&d| f64::from(d) > threshold)
            .collect();
        let radius = |share: f64| (share * short).round() as usize;
        let opened = mask::open(&raw, height, width, radius(p.open));
        let closed = mask::close(&opened, height, width, radius(p.close));
        let mut pieces = components(&closed, height, width, true);
        let found = pieces.len();
        pieces.retain(|piece| piece.len() as f64 >= p.least_piece * total);
        // Stable, so that of two equally large pieces the upper one stays.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        pieces.truncate(p.pieces.unwrap_or(usize::MAX));
        let mut mask = vec![false; lab.len()];
        pieces.iter().flatten().for_each(|&i| mask[i] = true);
        let filled = if p.fill_holes {
            mask::fill_holes(&mut mask, height, width)
        } else {
            0
        };
        if p.hull {
            hull::fill(&mut mask, width);
        }
        let area = mask.iter().filter(|&&m| m).count() as f64 / total;
        if area < p.least_area || area == 0.0 {
            return Err(SegmentsError::EmptyForeground {
                image: id.to_string(),
                fraction: area,
                threshold,
                least: p.least_area,
            });
        }
        let border_beyond = border.iter().filter(|&&i| raw[i]).count() as f64 / border.len() as f64;
        let mut warnings = Vec::new();
        if border_beyond > 0.1 {
            warnings.push(format!(
                "{:.0} % of the border differ from the border's colour",
                border_beyond * 100.0
            ));
        }
        if area > 0.95 {
            warnings.push(format!("{:.0} % of the image are foreground", area * 100.0));
        }
        let pieces = [found, pieces.len()];
        let report = ForegroundReport {
            border_lab,
            threshold,
            border_beyond,
            pieces,
            filled,
            area,
            warnings,
        };
        Ok(Found { mask, report })
    }

    pub(crate) fn digest(&self) -> Key {
        let mut hasher = KeyHasher::new("segments/foreground", crate::REVISION);
        hasher
            .field("params", &self.params)
            .field("height", &self.height)
            .field("width", &self.width);
        hasher.finish()
    }
}

impl Piece {
    fn of(pixels: &[usize], width: usize) -> Self {
        let at = |i: usize| [i % width, i / width];
        let mut bounds = [usize::MAX, usize::MAX, 0, 0];
        let mut sum = [0.0; 2];
        for &i in pixels {
            let [x, y] = at(i);
            bounds = [
                bounds[0].min(x),
                bounds[1].min(y),
                bounds[2].max(x),
                bounds[3].max(y),
            ];
            sum = [sum[0] + x as f64, sum[1] + y as f64];
        }
        let mean = sum.map(|s| s / pixels.len() as f64);
        let off =
            |i: usize| (at(i)[0] as f64 - mean[0]).powi(2) + (at(i)[1] as f64 - mean[1]).powi(2);
        let nearest = pixels
            .iter()
            .copied()
            .min_by(|&a, &b| off(a).total_cmp(&off(b)));
        Self {
            bounds,
            inside: at(nearest.unwrap_or(0)),
        }
    }
}

fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The cut that separates the values best into two classes (largest variance between them), over
/// 256 bins; 0 where all are equal. Where no value lies between the classes every cut there is as
/// good, and the middle one is taken.
fn otsu(values: &[f32]) -> f64 {
    const BINS: usize = 256;
    let largest = f64::from(values.iter().copied().fold(0.0, f32::max));
    if largest == 0.0 {
        return 0.0;
    }
    let mut counts = [0.0; BINS];
    for &v in values {
        counts[((f64::from(v) / largest * BINS as f64) as usize).min(BINS - 1)] += 1.0;
    }
    let all: f64 = counts.iter().sum();
    let moment: f64 = counts.iter().enumerate().map(|(i, c)| i as f64 * c).sum();
    let (mut below, mut below_moment, mut best, mut cuts) = (0.0, 0.0, -1.0, [0, 0]);
    for (i, c) in counts.iter().enumerate().take(BINS - 1) {
        below += c;
        below_moment += i as f64 * c;
        if below == 0.0 || below == all {
            continue;
        }
        let apart = below_moment / below - (moment - below_moment) / (all - below);
        let between = below * (all - below) * apart * apart;
        if between > best {
            (best, cuts) = (between, [i, i]);
        } else if between == best {
            cuts[1] = i;
        }
    }
    (cuts[0] + cuts[1] + 2) as f64 / 2.0 / BINS as f64 * largest
}

impl SegmentSource for Foreground {
    type Error = SegmentsError;

    fn label_map(&self, id: &ImageId, image: &Image) -> Result<LabelMap, SegmentsError> {
        Ok(self.analyse(id, image)?.0)
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn static_map(&self) -> Option<&LabelMap> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otsu_cuts_between_two_heaps() {
        let values: Vec<f32> = [1.0, 1.5, 2.0, 1.2, 30.0, 31.0, 29.0, 32.0].to_vec();
        let cut = otsu(&values);
        assert!((cut - 15.5).abs() < 0.2, "{cut}");
        assert_eq!(otsu(&[0.0; 5]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
