use crate::DefectsError;
use segad_core::{CacheKey, KeyHasher, feed_fields};
use serde::{Deserialize, Serialize};

/// What a defect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefectKind {
    /// A segment, or part of one, out of focus.
    Blur,
    /// A small rectangle of one shade of grey.
    Small,
    /// A thin rectangle of one shade of grey.
    Thin,
}

/// How defects are generated, not checked yet. Ranges are [from, to]. Lengths are pixels of an
/// image 512 wide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DefectSettings {
    /// Defects per image.
    pub count: [usize; 2],
    /// Chance of a blur, relative to the others.
    pub blur: f64,
    /// Chance of a small rectangle.
    pub small: f64,
    /// Chance of a thin rectangle.
    pub thin: f64,
    /// Segments that stay whole.
    pub exclude: Vec<String>,
    /// Segments of fewer pixels (of the image as it is) stay whole.
    pub least_segment: usize,
    /// Spread of the blur.
    pub blur_sigma: [f64; 2],
    /// Chance that a blur takes the whole segment.
    pub blur_whole: f64,
    /// Sides of a blurred part, as shares of the segment's bounding box.
    pub blur_part: [f64; 2],
    /// Spread of the transition at the edge of a blur; 0: none.
    pub feather: f64,
    /// Sides of a small rectangle.
    pub small_side: [f64; 2],
    /// Least ratio of a small rectangle's sides.
    pub small_ratio: f64,
    /// Width of a thin rectangle.
    pub thin_width: [f64; 2],
    /// Length of a thin rectangle.
    pub thin_length: [f64; 2],
    /// Grey levels by which a rectangle should differ from what it covers (ten attempts).
    pub min_contrast: f64,
    /// Cuts rectangles off at the edge of their segment.
    pub clip: bool,
    /// Pixels, of an image 512 wide, that must change by more than 2 grey levels; a defect that
    /// changes fewer is drawn again.
    pub least_change: f64,
}

impl Default for DefectSettings {
    fn default() -> Self {
        Self {
            count: [1, 1],
            blur: 1.0,
            small: 1.0,
            thin: 1.0,
            exclude: Vec::new(),
            least_segment: 64,
            blur_sigma: [2.0, 8.0],
            blur_whole: 0.5,
            blur_part: [0.2, 0.6],
            feather: 0.0,
            small_side: [6.0, 28.0],
            small_ratio: 0.4,
            thin_width: [2.0, 6.0],
            thin_length: [40.0, 160.0],
            min_contrast: 0.0,
            clip: true,
            least_change: 30.0,
        }
    }
}

/// How defects are generated; every value is in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct DefectParams(DefectSettings);

impl DefectSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`DefectsError::Parameter`] naming the setting.
    pub fn checked(self) -> Result<DefectParams, DefectsError> {
        let s = &self;
        if s.count[0] < 1 || s.count[0] > s.count[1] || s.count[1] > 20 {
            return fail(
                "count",
                format!("{:?}", s.count),
                "[from, to] between 1 and 20",
            );
        }
        let chances = [s.blur, s.small, s.thin];
        // Relative weights: at least one must be drawn.
        if chances.iter().any(|c| !(0.0..=1e6).contains(c)) || chances.iter().sum::<f64>() <= 0.0 {
            return fail(
                "blur, small, thin",
                format!("{chances:?}"),
                "0 or more each, one above 0",
            );
        }
        for (name, range) in [
            ("blur_sigma", s.blur_sigma),
            ("small_side", s.small_side),
            ("thin_width", s.thin_width),
            ("thin_length", s.thin_length),
        ] {
            if !(range[0] > 0.0 && range[0] <= range[1] && range[1] <= 512.0) {
                return fail(
                    name,
                    format!("{range:?}"),
                    "[from, to] above 0, at most 512",
                );
            }
        }
        if !(s.blur_part[0] > 0.0 && s.blur_part[0] <= s.blur_part[1] && s.blur_part[1] <= 1.0) {
            return fail(
                "blur_part",
                format!("{:?}", s.blur_part),
                "[from, to] above 0, at most 1",
            );
        }
        for (name, share) in [("blur_whole", s.blur_whole), ("small_ratio", s.small_ratio)] {
            if !(0.0..=1.0).contains(&share) {
                return fail(name, share.to_string(), "0 to 1");
            }
        }
        for (name, value, most) in [
            ("feather", s.feather, 64.0),
            ("min_contrast", s.min_contrast, 255.0),
            ("least_change", s.least_change, 1e5),
        ] {
            if !(0.0..=most).contains(&value) {
                return fail(name, value.to_string(), "0 or more, and not absurdly much");
            }
        }
        Ok(DefectParams(self))
    }
}

fn fail<T>(name: &'static str, value: String, expected: &'static str) -> Result<T, DefectsError> {
    Err(DefectsError::Parameter {
        name,
        value,
        expected,
    })
}

impl DefectParams {
    /// The settings.
    pub fn settings(&self) -> &DefectSettings {
        &self.0
    }
}

impl CacheKey for DefectParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        let s = &self.0;
        hasher
            .field("count", &s.count.to_vec())
            .field("blur", &s.blur)
            .field("small", &s.small);
        feed_fields!(hasher, s: thin, exclude, least_segment);
        hasher
            .field("blur_sigma", &s.blur_sigma.to_vec())
            .field("blur_whole", &s.blur_whole);
        hasher
            .field("blur_part", &s.blur_part.to_vec())
            .field("feather", &s.feather);
        hasher
            .field("small_side", &s.small_side.to_vec())
            .field("small_ratio", &s.small_ratio);
        hasher
            .field("thin_width", &s.thin_width.to_vec())
            .field("thin_length", &s.thin_length.to_vec());
        hasher
            .field("min_contrast", &s.min_contrast)
            .field("clip", &s.clip);
        hasher.field("least_change", &s.least_change);
    }
}
