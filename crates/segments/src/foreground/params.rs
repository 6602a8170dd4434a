use crate::SegmentsError;
use crate::error::expect;
use segad_core::{CacheKey, KeyHasher, feed_fields};
use serde::{Deserialize, Serialize};

/// How the foreground is separated from the background. Lengths are shares of the image's shorter
/// side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForegroundParams {
    /// Width of the strip along the border whose median colour is the background's.
    pub border: f64,
    /// Distance in Lab from that colour beyond which a pixel is foreground; absent: Otsu's
    /// threshold of the image's distances, but at least `least_threshold`.
    pub threshold: Option<f64>,
    /// Lower bound of Otsu's threshold, so that the noise of an empty picture is not split in two.
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
    /// Fills the convex hull of everything that is kept, as the first version of the SegAD code did
    /// with its masks.
    pub hull: bool,
    /// The smallest share of the image that the foreground may cover.
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
        feed_fields!(hasher, self: border, threshold, least_threshold, open, close, least_piece,
            pieces, fill_holes, hull, least_area);
    }
}

impl ForegroundParams {
    /// # Errors
    /// [`SegmentsError::Parameter`] naming the setting.
    pub(super) fn check(&self) -> Result<(), SegmentsError> {
        expect(
            self.border > 0.0 && self.border <= 0.5,
            "border",
            self.border,
            "above 0, at most 0.5",
        )?;
        for (name, value) in [("open", self.open), ("close", self.close)] {
            expect((0.0..=0.25).contains(&value), name, value, "0 to 0.25")?;
        }
        for (name, value) in [
            ("least_piece", self.least_piece),
            ("least_area", self.least_area),
        ] {
            expect(
                (0.0..1.0).contains(&value),
                name,
                value,
                "0 or more, below 1",
            )?;
        }
        let threshold = self.threshold.map(|t| ("threshold", t));
        for (name, value) in threshold
            .into_iter()
            .chain([("least_threshold", self.least_threshold)])
        {
            expect(value > 0.0 && value.is_finite(), name, value, "above 0")?;
        }
        expect(self.pieces != Some(0), "pieces", 0, "1 or more")
    }
}
