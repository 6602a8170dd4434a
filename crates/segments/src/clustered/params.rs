use crate::SegmentsError;
use segad_core::{CacheKey, KeyHasher};
use serde::{Deserialize, Serialize};

/// One map for all images, or one per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusteredMode {
    /// One map, for parts that always lie alike.
    #[default]
    Static,
    /// A map per image, for parts that lie anyhow.
    Image,
}

/// How segments are found from good images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusteredParams {
    /// One map, or one per image.
    pub mode: ClusteredMode,
    /// Whose features are clustered; absent: the detectors' maps alone (mode static only).
    pub backbone: Option<String>,
    /// The backbone's layers; empty: the two of strides 8 and 16.
    pub layers: Vec<String>,
    /// Side of the backbone's input in pixels.
    pub image_size: usize,
    /// Features are brought to this many by a random projection.
    pub channels: usize,
    /// Number of segments; absent: the largest up to `most` that is stable.
    pub segments: Option<usize>,
    /// The largest number of segments that is tried.
    pub most: usize,
    /// Agreement of halves (adjusted Rand index) from which a number of segments counts as stable.
    pub stability: f64,
    /// Takes the detectors' maps too (mode static only).
    pub maps: bool,
    /// Weight of the position beside that of each group of features (mode static only).
    pub position: f64,
    /// Spread of the smoothing, as a share of the map's side.
    pub smooth: f64,
    /// Side of the label maps in pixels (mode image; they are enlarged to the anomaly maps' by the
    /// nearest pixel).
    pub size: usize,
    /// Patches that are clustered at most (mode image).
    pub patches: usize,
}

impl Default for ClusteredParams {
    fn default() -> Self {
        Self {
            mode: ClusteredMode::Static,
            backbone: None,
            layers: Vec::new(),
            image_size: 256,
            channels: 64,
            segments: None,
            most: 8,
            stability: 0.9,
            maps: true,
            position: 0.5,
            smooth: 0.03,
            size: 256,
            patches: 16_000,
        }
    }
}

impl ClusteredParams {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`SegmentsError::Parameter`] naming the setting.
    pub fn check(&self) -> Result<(), SegmentsError> {
        let fail = |name, value: String, expected| {
            Err(SegmentsError::Parameter {
                name,
                value,
                expected,
            })
        };
        let in_range = |n: usize| (2..=64).contains(&n);
        if self.segments.is_some_and(|n| !in_range(n)) {
            return fail("segments", format!("{:?}", self.segments), "2 to 64");
        }
        if !in_range(self.most) {
            return fail("most", self.most.to_string(), "2 to 64");
        }
        if !(32..=4096).contains(&self.image_size) {
            return fail("image_size", self.image_size.to_string(), "32 to 4096");
        }
        if !(8..=4096).contains(&self.size) {
            return fail("size", self.size.to_string(), "8 to 4096");
        }
        if !(1..=4096).contains(&self.channels) {
            return fail("channels", self.channels.to_string(), "1 to 4096");
        }
        if !(1000..=1_000_000).contains(&self.patches) {
            return fail("patches", self.patches.to_string(), "1000 to 1000000");
        }
        if !(self.stability > 0.0 && self.stability <= 1.0) {
            return fail(
                "stability",
                self.stability.to_string(),
                "above 0, at most 1",
            );
        }
        if !(self.position >= 0.0 && self.position.is_finite()) {
            return fail("position", self.position.to_string(), "0 or more");
        }
        if !(0.0..=0.25).contains(&self.smooth) {
            return fail("smooth", self.smooth.to_string(), "0 to 0.25");
        }
        match (self.mode, &self.backbone) {
            (ClusteredMode::Image, None) => fail(
                "backbone",
                "none".to_owned(),
                "the name of a backbone, whose features a map per image needs",
            ),
            (ClusteredMode::Static, None) if !self.maps => fail(
                "maps",
                "false".to_owned(),
                "true, or a backbone: something must be clustered",
            ),
            _ => Ok(()),
        }
    }

    /// Numbers of segments that are tried.
    pub(super) fn candidates(&self) -> std::ops::RangeInclusive<usize> {
        self.segments.map_or(2..=self.most, |n| n..=n)
    }
}

impl CacheKey for ClusteredParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher
            .field("image", &(self.mode == ClusteredMode::Image))
            .field("backbone", &self.backbone);
        hasher
            .field("layers", &self.layers)
            .field("image_size", &self.image_size);
        hasher
            .field("channels", &self.channels)
            .field("segments", &self.segments);
        hasher
            .field("most", &self.most)
            .field("stability", &self.stability)
            .field("maps", &self.maps);
        hasher
            .field("position", &self.position)
            .field("smooth", &self.smooth);
        hasher
            .field("size", &self.size)
            .field("patches", &self.patches);
    }
}
