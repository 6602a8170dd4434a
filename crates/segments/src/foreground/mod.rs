//! Foreground by colour: what differs from the colour along the border.

mod hull;
mod lab;
mod mask;
mod params;
mod piece;
mod threshold;

pub(crate) use hull::{Rectangle, smallest_rectangle};
pub(crate) use mask::components;
pub use params::ForegroundParams;
pub use piece::Piece;

use crate::SegmentsError;
use segad_core::{Image, ImageId, Key, KeyHasher, LabelMap, SegmentSource, feed_fields};
use serde::Serialize;
use threshold::{median, otsu};

/// How a foreground was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForegroundReport {
    /// Median colour of the border: L*, a*, b*.
    pub border_lab: [f32; 3],
    /// Distance in Lab beyond which a pixel is foreground.
    pub threshold: f64,
    /// Share of the border itself beyond it: high if the product touches the border, or the
    /// background has more than one colour.
    pub border_beyond: f64,
    /// Pieces after morphology, and how many of them were kept.
    pub pieces: [usize; 2],
    /// Pixels of filled holes.
    pub filled: usize,
    /// Share of the image that is foreground.
    pub area: f64,
    /// Anything suspicious, in words.
    pub warnings: Vec<String>,
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
        params.check()?;
        let names = ["background", "foreground"].map(str::to_owned).to_vec();
        Ok(Self {
            params,
            height,
            width,
            names,
        })
    }

    /// The label map of an image, and how it was found.
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

    /// Turns a network's mask at the image's own size into a label map as this source would: fills
    /// enclosed background and the convex hull, if the settings say so, then resizes to the size of
    /// the anomaly maps.
    ///
    /// # Errors
    /// [`SegmentsError::EmptyForeground`] for a mask of fewer pixels than `least_area` requires.
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
        // The network has no threshold.
        self.check_area(id, &mask, 0.0)?;
        let map = LabelMap::new(height, width, mask.into_iter().map(u8::from).collect(), 2)?;
        Ok(segad_imaging::resize_labels(&map, self.height, self.width)?)
    }

    pub(crate) fn find(&self, id: &ImageId, image: &Image) -> Result<Found, SegmentsError> {
        let p = &self.params;
        let height = image.height();
        let width = image.width();
        let total = (height * width) as f64;
        let lab = lab::from_srgb(image);
        let border = self.border(height, width);
        // The median ignores a product that touches a small part of the border.
        let border_lab = [0, 1, 2].map(|c| median(border.iter().map(|&i| lab[i][c]).collect()));
        let distances: Vec<f32> = lab.iter().map(|l| distance(l, &border_lab)).collect();
        let threshold = p
            .threshold
            .unwrap_or_else(|| otsu(&distances).max(p.least_threshold));
        let raw: Vec<bool> = distances
            .iter()
            .map(|&d| f64::from(d) > threshold)
            .collect();
        // Specks go first; closing would connect them to the product.
        let opened = mask::open(&raw, height, width, pixels(p.open, height, width));
        let closed = mask::close(&opened, height, width, pixels(p.close, height, width));
        let mut pieces = components(&closed, height, width, true);
        let found = pieces.len();
        pieces.retain(|piece| piece.len() as f64 >= p.least_piece * total);
        // A stable sort, so that of two equally large pieces the upper one is kept.
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
        let area = self.check_area(id, &mask, threshold)?;
        // Before morphology, which would hide how uniform the border is.
        let beyond = border.iter().filter(|&&i| raw[i]).count();
        let border_beyond = beyond as f64 / border.len() as f64;
        let report = ForegroundReport {
            border_lab,
            threshold,
            border_beyond,
            pieces: [found, pieces.len()],
            filled,
            area,
            warnings: warnings(border_beyond, area),
        };
        Ok(Found { mask, report })
    }

    /// Positions of the pixels along the border.
    fn border(&self, height: usize, width: usize) -> Vec<usize> {
        let strip = pixels(self.params.border, height, width).max(1);
        (0..height * width)
            .filter(|i| {
                let y = i / width;
                let x = i % width;
                y < strip || x < strip || y + strip >= height || x + strip >= width
            })
            .collect()
    }

    /// The share of the image that is set.
    fn check_area(
        &self,
        id: &ImageId,
        mask: &[bool],
        threshold: f64,
    ) -> Result<f64, SegmentsError> {
        let set = mask.iter().filter(|&&m| m).count();
        let fraction = set as f64 / mask.len().max(1) as f64;
        // `least_area` may be 0, but one class only would leave nothing to compare.
        if fraction < self.params.least_area || set == 0 {
            return Err(SegmentsError::EmptyForeground {
                image: id.to_string(),
                fraction,
                threshold,
                least: self.params.least_area,
            });
        }
        Ok(fraction)
    }

    pub(crate) fn digest(&self) -> Key {
        let mut hasher = KeyHasher::new("segments/foreground", crate::REVISION);
        feed_fields!(hasher, self: params, height, width);
        hasher.finish()
    }
}

/// A share of the shorter side, in pixels.
fn pixels(share: f64, height: usize, width: usize) -> usize {
    (share * height.min(width) as f64).round() as usize
}

/// Euclidean distance in Lab.
fn distance(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    let d = [0, 1, 2].map(|c| a[c] - b[c]);
    (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt()
}

fn warnings(border_beyond: f64, area: f64) -> Vec<String> {
    let mut warnings = Vec::new();
    if border_beyond > 0.1 {
        warnings.push(format!(
            "{:.0} % of the border differs from the border's colour",
            border_beyond * 100.0
        ));
    }
    if area > 0.95 {
        warnings.push(format!("{:.0} % of the image is foreground", area * 100.0));
    }
    warnings
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
