use crate::SegmentsError;
use crate::error::expect;
use segad_core::{CacheKey, KeyHasher, feed_fields};
use serde::{Deserialize, Serialize};

/// One map for all images, or one per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusteredMode {
    /// One map, for parts that are always in the same position.
    #[default]
    Static,
    /// A map per image, for parts in any position.
    Image,
}

/// How segments are found from good images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusteredParams {
    /// One map, or one per image.
    pub mode: ClusteredMode,
    /// The backbone whose features are clustered; absent: only the detectors' maps (mode static).
    pub backbone: Option<String>,
    /// The backbone's layers; empty: the two of strides 8 and 16.
    pub layers: Vec<String>,
    /// Side of the backbone's input in pixels.
    pub image_size: usize,
    /// Number of features after a random projection.
    pub channels: usize,
    /// Number of segments; absent: the largest up to `most` that is stable.
    pub segments: Option<usize>,
    /// The largest number of segments to try.
    pub most: usize,
    /// Agreement of halves (adjusted Rand index) from which a number of segments counts as stable.
    pub stability: f64,
    /// Also clusters the detectors' maps (mode static only).
    pub maps: bool,
    /// Weight of the position relative to each group of features (mode static only).
    pub position: f64,
    /// Spread of the smoothing, as a share of the map's side.
    pub smooth: f64,
    /// Side of the label maps in pixels (mode image); they are resized to the anomaly maps' size by
    /// nearest neighbour.
    pub size: usize,
    /// The largest number of patches to cluster (mode image).
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
        for (name, value, range, expected) in [
            ("most", self.most, 2..=64, "2 to 64"),
            // Absent, it is as good as `most`, which has been checked.
            (
                "segments",
                self.segments.unwrap_or(self.most),
                2..=64,
                "2 to 64",
            ),
            ("image_size", self.image_size, 32..=4096, "32 to 4096"),
            ("size", self.size, 8..=4096, "8 to 4096"),
            ("channels", self.channels, 1..=4096, "1 to 4096"),
            ("patches", self.patches, 1000..=1_000_000, "1000 to 1000000"),
        ] {
            expect(range.contains(&value), name, value, expected)?;
        }
        expect(
            self.stability > 0.0 && self.stability <= 1.0,
            "stability",
            self.stability,
            "above 0, at most 1",
        )?;
        expect(
            self.position >= 0.0 && self.position.is_finite(),
            "position",
            self.position,
            "0 or more",
        )?;
        expect(
            (0.0..=0.25).contains(&self.smooth),
            "smooth",
            self.smooth,
            "0 to 0.25",
        )?;
        if self.backbone.is_some() {
            return Ok(());
        }
        expect(
            self.mode == ClusteredMode::Static,
            "backbone",
            "none",
            "the name of a backbone, since a map per image is clustered from its features",
        )?;
        expect(
            self.maps,
            "maps",
            false,
            "true, or a backbone: something has to be clustered",
        )
    }

    /// Numbers of segments that are tried.
    pub(super) fn candidates(&self) -> std::ops::RangeInclusive<usize> {
        self.segments.map_or(2..=self.most, |n| n..=n)
    }
}

impl CacheKey for ClusteredParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.field("image", &(self.mode == ClusteredMode::Image));
        feed_fields!(hasher, self: backbone, layers, image_size, channels, segments, most,
            stability, maps, position, smooth, size, patches);
    }
}
