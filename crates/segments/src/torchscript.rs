//! Settings of segments from a TorchScript module. The module itself runs where libtorch is linked.

use crate::error::expect;
use crate::shapes::check_names;
use crate::{ForegroundParams, SegmentsError};
use segad_core::{CacheKey, KeyHasher, feed_fields};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a module is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// `[1, 3, S, S]` to logits `[1, L, h, w]`; the largest names the segment.
    Logits,
    /// EfficientSAM's: image `[1, 3, H, W]` in 0…1, points `[1, Q, P, 2]` in pixels x, y, and their
    /// labels `[1, Q, P]` (1 a point, 2 and 3 the corners of a box) to logits `[1, Q, M, H, W]` and
    /// predicted overlaps `[1, Q, M]`.
    Promptable,
}

/// How pixels become a network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// ImageNet's mean and standard deviation.
    #[default]
    Imagenet,
    /// 0…1.
    Unit,
}

/// A module in a file and how it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchScriptParams {
    /// The module, relative to the folder of the file that names it. A module is a program: only
    /// use one from a source you trust.
    pub path: PathBuf,
    /// How it is called.
    pub interface: Interface,
    /// Segment names in the order of the logits' channels; `background`, `foreground` where absent.
    #[serde(default = "default_segments")]
    pub segments: Vec<String>,
    /// Interface logits: side of the module's input in pixels.
    #[serde(default = "default_side")]
    pub input: usize,
    /// Interface logits: how pixels become the input.
    #[serde(default)]
    pub normalise: Normalise,
    /// Interface promptable: how to find the pieces whose boxes and centres are the prompts.
    #[serde(default)]
    pub foreground: ForegroundParams,
    /// Side of the label maps in pixels; they are resized to the anomaly maps' size by nearest
    /// neighbour.
    #[serde(default = "default_side")]
    pub size: usize,
    /// Accepts maps with no pixel outside segment 0, which are otherwise an error.
    #[serde(default)]
    pub allow_empty: bool,
}

fn default_segments() -> Vec<String> {
    ["background", "foreground"].map(str::to_owned).to_vec()
}

fn default_side() -> usize {
    256
}

impl TorchScriptParams {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`SegmentsError::Names`] or [`SegmentsError::Parameter`].
    pub fn check(&self) -> Result<(), SegmentsError> {
        check_names(&self.path.display().to_string(), &self.segments)?;
        expect(
            self.interface == Interface::Logits || self.segments.len() == 2,
            "segments",
            format!("{:?}", self.segments),
            "two names, since a promptable module separates foreground from background",
        )?;
        for (name, value) in [("input", self.input), ("size", self.size)] {
            expect((8..=4096).contains(&value), name, value, "8 to 4096")?;
        }
        Ok(())
    }
}

impl CacheKey for TorchScriptParams {
    /// Everything but the path; whatever uses the module adds the content of its file to the key.
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher.field("promptable", &(self.interface == Interface::Promptable));
        feed_fields!(hasher, self: segments, input);
        hasher.field("unit", &(self.normalise == Normalise::Unit));
        feed_fields!(hasher, self: foreground, size, allow_empty);
    }
}
