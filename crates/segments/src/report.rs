use crate::SegmentsError;
use segad_core::{Image, LabelMap};
use serde::Serialize;

/// Pixels below which statistics of a segment are hardly meaningful: the 99.5 % quantile of fewer
/// values is close to their maximum, and skewness and kurtosis are noise.
pub const SMALL_SEGMENT: usize = 64;

/// One segment of one map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentQuality {
    /// Its name.
    pub name: String,
    /// Its pixels.
    pub pixels: usize,
    /// Its share of the map, 0…1.
    pub fraction: f64,
    /// Connected pieces (8 neighbours).
    pub components: usize,
    /// Mean place of its pixels, as shares of the height from the top and of the width from the
    /// left; none for an empty segment.
    pub centre: Option<[f64; 2]>,
}

/// The quality of one label map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualityReport {
    /// Height of the map.
    pub height: usize,
    /// Width of the map.
    pub width: usize,
    /// The segments in the order of their labels.
    pub segments: Vec<SegmentQuality>,
    /// Intersection over union of everything but segment 0 with a foreground found by threshold,
    /// where one was compared.
    pub foreground_iou: Option<f64>,
    /// Anything suspicious, in words.
    pub warnings: Vec<String>,
}

impl QualityReport {
    /// Measures a map; `names` in the order of labels.
    pub fn new(map: &LabelMap, names: &[String]) -> Self {
        let total = map.labels().len() as f64;
        let mut warnings = Vec::new();
        let segments = map
            .areas()
            .into_iter()
            .enumerate()
            .map(|(label, pixels)| {
                let name = names
                    .get(label)
                    .cloned()
                    .unwrap_or_else(|| label.to_string());
                if pixels == 0 {
                    warnings.push(format!("segment {name:?} is empty"));
                } else if pixels < SMALL_SEGMENT {
                    warnings.push(format!(
                        "segment {name:?} has {pixels} pixels, fewer than {SMALL_SEGMENT}"
                    ));
                }
                let mask: Vec<bool> = map
                    .labels()
                    .iter()
                    .map(|&l| usize::from(l) == label)
                    .collect();
                let components =
                    crate::foreground::components(&mask, map.height(), map.width(), true).len();
                SegmentQuality {
                    name,
                    pixels,
                    fraction: pixels as f64 / total,
                    components,
                    centre: centre(&mask, map),
                }
            })
            .collect();
        Self {
            height: map.height(),
            width: map.width(),
            segments,
            foreground_iou: None,
            warnings,
        }
    }

    /// Adds the overlap with a foreground of the same size (segment 1 of `foreground`), and a
    /// warning below one half.
    ///
    /// # Errors
    /// [`SegmentsError::Parameter`] for a foreground of another size.
    pub fn compare(mut self, map: &LabelMap, foreground: &LabelMap) -> Result<Self, SegmentsError> {
        if (map.height(), map.width()) != (foreground.height(), foreground.width()) {
            return Err(SegmentsError::Parameter {
                name: "foreground size",
                value: format!("{}×{}", foreground.height(), foreground.width()),
                expected: "the size of the label map",
            });
        }
        let pairs = map.labels().iter().zip(foreground.labels());
        let pairs = pairs.map(|(&a, &b)| (a != 0, b != 0));
        let both = pairs.clone().filter(|&(a, b)| a && b).count();
        let either = pairs.filter(|&(a, b)| a || b).count();
        // Two empty foregrounds agree.
        let iou = if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        };
        if iou < 0.5 {
            self.warnings.push(format!(
                "segments overlap the foreground by {iou:.2} (intersection over union)"
            ));
        }
        self.foreground_iou = Some(iou);
        Ok(self)
    }
}

/// Mean place of the pixels of a mask.
fn centre(mask: &[bool], map: &LabelMap) -> Option<[f64; 2]> {
    let places = (0..mask.len()).filter(|&i| mask[i]);
    let mut count = 0;
    let mut sums = [0; 2];
    for i in places {
        count += 1;
        sums[0] += i / map.width();
        sums[1] += i % map.width();
    }
    let sizes = [map.height(), map.width()];
    // A pixel's place is its middle.
    let share = |axis: usize| (sums[axis] as f64 / f64::from(count) + 0.5) / sizes[axis] as f64;
    (count > 0).then(|| [share(0), share(1)])
}

/// The image with segments tinted and outlined, at the image's size.
///
/// # Errors
/// None for images and maps as `segad-core` makes them.
pub fn overlay(image: &Image, map: &LabelMap) -> Result<Image, SegmentsError> {
    let tinted = segad_imaging::tint(image, map, 0.3)?;
    Ok(segad_imaging::outline(&tinted, map, [255, 255, 255])?)
}
