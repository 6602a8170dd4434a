use crate::PatchCoreError;
use segad_core::{CacheKey, KeyHasher};
use segad_nn::BackboneKind;
use serde::{Deserialize, Serialize};

/// How features of a coarser layer are brought to the grid of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureUpsample {
    /// Linear, corners of areas coincide; anomalib since September 2023.
    #[default]
    Bilinear,
    /// Repeat; anomalib before.
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

/// Settings as somebody wrote them, not checked yet. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_patchcore::PatchCoreSettings;
/// let params = PatchCoreSettings { coreset_ratio: 0.1, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer2", "layer3"]);
/// assert!(PatchCoreSettings { coreset_ratio: 0.0, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_detector_patchcore::PatchCoreError>(())
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

/// Checked settings, made by [`PatchCoreSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PatchCoreSettings", into = "PatchCoreSettings")]
pub struct PatchCoreParams {
    settings: PatchCoreSettings,
    layers: Vec<String>,
}

fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), PatchCoreError> {
    if ok {
        return Ok(());
    }
    Err(PatchCoreError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

impl PatchCoreSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`PatchCoreError::Setting`] for the first that makes no sense.
    pub fn checked(mut self) -> Result<PatchCoreParams, PatchCoreError> {
        let size = (32..=4096).contains(&self.image_size);
        expect(size, "image_size", &self.image_size, "32 to 4096 pixels")?;
        let ratio = self.coreset_ratio > 0.0 && self.coreset_ratio <= 1.0;
        expect(
            ratio,
            "coreset_ratio",
            &self.coreset_ratio,
            "more than 0, at most 1",
        )?;
        expect(
            self.neighbours >= 1,
            "neighbours",
            &self.neighbours,
            "at least 1",
        )?;
        let epsilon = self.projection_epsilon > 0.0 && self.projection_epsilon < 1.0;
        expect(
            epsilon,
            "projection_epsilon",
            &self.projection_epsilon,
            "between 0 and 1",
        )?;
        let default = || self.backbone.default_taps().map(str::to_owned).to_vec();
        let layers = self.layers.take().unwrap_or_else(default);
        let text = format!("{layers:?}");
        let mut finest = 0;
        for (i, layer) in layers.iter().enumerate() {
            let tap = self.backbone.tap(layer)?;
            let fits = tap.stride >= finest && !layers[..i].contains(layer);
            expect(fits, "layers", &text, "different layers, finest first")?;
            finest = tap.stride;
        }
        expect(!layers.is_empty(), "layers", &text, "at least one layer")?;
        Ok(PatchCoreParams {
            settings: self,
            layers,
        })
    }
}

impl PatchCoreParams {
    /// Which backbone.
    pub fn backbone(&self) -> BackboneKind {
        self.settings.backbone
    }

    /// Its layers, finest first.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Side of the square network input in pixels.
    pub fn image_size(&self) -> usize {
        self.settings.image_size
    }

    /// Share of all training patches that the memory bank keeps.
    pub fn coreset_ratio(&self) -> f64 {
        self.settings.coreset_ratio
    }

    /// Neighbours in the re-weighted score.
    pub fn neighbours(&self) -> usize {
        self.settings.neighbours
    }

    /// How coarser features are enlarged.
    pub fn upsample(&self) -> FeatureUpsample {
        self.settings.upsample
    }

    /// ε of the random projection.
    pub fn projection_epsilon(&self) -> f64 {
        self.settings.projection_epsilon
    }

    /// The image score.
    pub fn score(&self) -> ImageScore {
        self.settings.score
    }
}

impl TryFrom<PatchCoreSettings> for PatchCoreParams {
    type Error = PatchCoreError;

    fn try_from(settings: PatchCoreSettings) -> Result<Self, PatchCoreError> {
        settings.checked()
    }
}

impl From<PatchCoreParams> for PatchCoreSettings {
    fn from(params: PatchCoreParams) -> Self {
        Self {
            layers: Some(params.layers),
            ..params.settings
        }
    }
}

/// What decides the maps. `neighbours` and `score` decide image scores only and are left out, so
/// that changing them does not throw fitted models and maps away.
impl CacheKey for PatchCoreParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher
            .field("backbone", &self.backbone())
            .field("layers", &self.layers)
            .field("image_size", &self.image_size())
            .field("coreset_ratio", &self.coreset_ratio())
            .field("upsample", self.upsample().as_str())
            .field("projection_epsilon", &self.projection_epsilon());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: PatchCoreSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn same_meaning_same_key() {
        let a = PatchCoreSettings::default();
        let written = Some(vec!["layer2".to_owned(), "layer3".to_owned()]);
        assert_eq!(
            key(a.clone()),
            key(PatchCoreSettings {
                layers: written,
                ..a.clone()
            })
        );
        assert_eq!(
            key(a.clone()),
            key(PatchCoreSettings {
                score: ImageScore::Reweighted,
                ..a.clone()
            })
        );
        let b = PatchCoreSettings {
            upsample: FeatureUpsample::Nearest,
            ..a.clone()
        };
        assert_ne!(key(a.clone()), key(b));
        assert_ne!(
            key(a.clone()),
            key(PatchCoreSettings {
                image_size: 320,
                ..a
            })
        );
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |s: PatchCoreSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = PatchCoreSettings::default;
        says(
            PatchCoreSettings {
                image_size: 16,
                ..d()
            },
            "image_size = 16",
        );
        says(
            PatchCoreSettings {
                coreset_ratio: f64::NAN,
                ..d()
            },
            "coreset_ratio = NaN",
        );
        says(
            PatchCoreSettings {
                neighbours: 0,
                ..d()
            },
            "neighbours = 0",
        );
        says(
            PatchCoreSettings {
                projection_epsilon: 1.0,
                ..d()
            },
            "projection_epsilon",
        );
        says(
            PatchCoreSettings {
                layers: Some(vec![]),
                ..d()
            },
            "at least one layer",
        );
        says(
            PatchCoreSettings {
                layers: Some(vec!["stage2".into()]),
                ..d()
            },
            "layer4",
        );
        let swapped = Some(vec!["layer3".into(), "layer2".into()]);
        says(
            PatchCoreSettings {
                layers: swapped,
                ..d()
            },
            "finest first",
        );
        assert!(serde_json::from_str::<PatchCoreSettings>(r#"{"ratio": 1}"#).is_err());
        assert!(serde_json::from_str::<PatchCoreParams>(r#"{"neighbours": 0}"#).is_err());
    }

    #[test]
    fn checked_settings_read_back() {
        let p = PatchCoreSettings {
            coreset_ratio: 0.1,
            ..Default::default()
        }
        .checked()
        .unwrap();
        let text = serde_json::to_string(&p).unwrap();
        assert_eq!(
            serde_json::from_str::<PatchCoreParams>(&text)
                .unwrap()
                .layers(),
            p.layers()
        );
    }
}
