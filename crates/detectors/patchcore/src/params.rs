use segad_core::{KeyHasher, feed_fields};
use segad_nn::BackboneKind;
use segad_nn::model::{
    Checked, ModelError, Settings, expect, expect_finest_first, expect_input_size,
};
use serde::{Deserialize, Serialize};

/// How features of a coarser layer are brought to the grid of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureUpsample {
    /// Bilinear, corners not aligned; anomalib since September 2023.
    #[default]
    Bilinear,
    /// Nearest; anomalib before.
    Nearest,
}

impl FeatureUpsample {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Nearest => "nearest",
        }
    }
}

/// What [`crate::FittedPatchCore::scores`] gives. Maps do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageScore {
    /// The largest value of the map; the SegAD paper's.
    #[default]
    Max,
    /// The largest patch distance, weighted by how close the bank's rows around its nearest row
    /// are; PatchCore's own.
    Reweighted,
}

/// Settings as written, unchecked. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_patchcore::PatchCoreSettings;
/// use segad_nn::model::Settings;
///
/// let params = PatchCoreSettings { coreset_ratio: 0.1, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer2", "layer3"]);
/// assert!(PatchCoreSettings { coreset_ratio: 0.0, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatchCoreSettings {
    /// Which backbone.
    pub backbone: BackboneKind,
    /// Its layers, finest first; unset: those of strides 8 and 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// Share of all training patches that the memory bank keeps.
    pub coreset_ratio: f64,
    /// Neighbours in the re-weighted score.
    pub neighbours: usize,
    /// How coarser features are enlarged.
    pub upsample: FeatureUpsample,
    /// ε of the random projection: distances are kept within a factor 1 ± ε.
    pub projection_epsilon: f64,
    /// The image score.
    pub score: ImageScore,
}

impl Default for PatchCoreSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            coreset_ratio: 0.01,
            neighbours: 9,
            upsample: FeatureUpsample::default(),
            projection_epsilon: 0.9,
            score: ImageScore::default(),
        }
    }
}

/// Checked settings.
pub type PatchCoreParams = Checked<PatchCoreSettings>;

impl Settings for PatchCoreSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        expect_input_size(self.backbone, self.image_size)?;
        let ratio = self.coreset_ratio;
        let share = ratio > 0.0 && ratio <= 1.0;
        expect(share, "coreset_ratio", ratio, "more than 0, at most 1")?;
        let some = self.neighbours >= 1;
        expect(some, "neighbours", self.neighbours, "at least 1")?;
        let epsilon = self.projection_epsilon;
        let within = epsilon > 0.0 && epsilon < 1.0;
        expect(within, "projection_epsilon", epsilon, "between 0 and 1")?;
        let layers = self
            .layers
            .get_or_insert_with(|| self.backbone.default_taps().map(str::to_owned).to_vec());
        expect_finest_first(self.backbone, layers)?;
        Ok(())
    }

    /// What decides the maps. `neighbours` and `score` decide image scores only and are left out,
    /// so that changing them does not throw fitted models and maps away.
    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        hasher.field("backbone", &self.backbone);
        hasher.field("layers", self.layers());
        feed_fields!(hasher, self: image_size, coreset_ratio);
        hasher.field("upsample", self.upsample.as_str());
        hasher.field("projection_epsilon", &self.projection_epsilon);
    }
}

impl PatchCoreSettings {
    /// The backbone's layers, finest first; checking writes out the default ones.
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
