use segad_core::{KeyHasher, feed_fields};
use segad_nn::BackboneKind;
use segad_nn::model::{
    Checked, ModelError, Settings, expect, expect_finest_first, expect_input_size,
};
use serde::{Deserialize, Serialize};

/// Settings as written, unchecked.
///
/// ```
/// use segad_detector_anomalydino::AnomalyDinoSettings;
/// use segad_nn::model::Settings;
///
/// let params = AnomalyDinoSettings::default().checked()?;
/// assert_eq!(params.layers(), ["block5", "block7"]);
/// assert!(AnomalyDinoSettings { image_size: 256, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalyDinoSettings {
    /// Which backbone; a vision transformer.
    pub backbone: BackboneKind,
    /// Its layers; unset: two in the middle, `block5` and `block7` of DINOv2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels, a multiple of 14.
    pub image_size: usize,
    /// Nearest good patches whose distances are averaged.
    pub neighbours: usize,
    /// Share of the map whose mean is the image score: the largest values.
    pub top_share: f64,
    /// Evenly spaced turns of each good image whose patches enter the bank; 1 is the image as it
    /// is. More than one is for parts that lie in any direction.
    pub rotations: usize,
    /// The largest number of patches in the bank.
    pub bank_size: usize,
    /// The largest number of patches of one image, turned or not, in the bank.
    pub places: usize,
}

impl Default for AnomalyDinoSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::Dinov2Vits14,
            layers: None,
            image_size: 224,
            neighbours: 1,
            top_share: 0.03,
            rotations: 1,
            bank_size: 16_384,
            places: 64,
        }
    }
}

/// Checked settings.
pub type AnomalyDinoParams = Checked<AnomalyDinoSettings>;

impl Settings for AnomalyDinoSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        let transformer = self.backbone.patch().is_some();
        let expected = "a vision transformer, e.g. dinov2_vits14";
        expect(transformer, "backbone", self.backbone, expected)?;
        expect_input_size(self.backbone, self.image_size)?;
        let share = self.top_share;
        let within = share > 0.0 && share <= 1.0;
        expect(within, "top_share", share, "more than 0, at most 1")?;
        let turns = (1..=360).contains(&self.rotations);
        expect(turns, "rotations", self.rotations, "1 to 360")?;
        expect(self.places >= 1, "places", self.places, "at least 1")?;
        expect(
            self.bank_size >= 1,
            "bank_size",
            self.bank_size,
            "at least 1",
        )?;
        let near = (1..=self.bank_size).contains(&self.neighbours);
        let expected = "1 to bank_size";
        expect(near, "neighbours", self.neighbours, expected)?;
        let layers = self
            .layers
            .get_or_insert_with(|| self.backbone.default_taps().map(str::to_owned).to_vec());
        expect_finest_first(self.backbone, layers)?;
        Ok(())
    }

    /// All settings: the image score goes with the maps.
    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        hasher
            .field("backbone", &self.backbone)
            .field("layers", self.layers());
        feed_fields!(hasher, self: image_size, neighbours, top_share, rotations, bank_size, places);
    }
}

impl AnomalyDinoSettings {
    /// The backbone's layers; checking writes out the default ones.
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    type S = AnomalyDinoSettings;

    #[test]
    fn wrong_settings_are_named() {
        let d = S::default;
        for (settings, says) in [
            (
                S {
                    backbone: BackboneKind::Resnet18,
                    ..d()
                },
                "backbone = resnet18",
            ),
            (
                S {
                    image_size: 225,
                    ..d()
                },
                "image_size = 225: expected a multiple of 14",
            ),
            (
                S {
                    image_size: 14,
                    ..d()
                },
                "image_size = 14",
            ),
            (
                S {
                    neighbours: 0,
                    ..d()
                },
                "neighbours = 0",
            ),
            (
                S {
                    neighbours: 9,
                    bank_size: 8,
                    ..d()
                },
                "neighbours = 9: expected 1 to bank_size",
            ),
            (
                S {
                    top_share: 0.0,
                    ..d()
                },
                "top_share = 0",
            ),
            (
                S {
                    top_share: f64::NAN,
                    ..d()
                },
                "top_share = NaN",
            ),
            (
                S {
                    rotations: 0,
                    ..d()
                },
                "rotations = 0",
            ),
            (
                S {
                    bank_size: 0,
                    ..d()
                },
                "bank_size = 0",
            ),
            (S { places: 0, ..d() }, "places = 0"),
            (
                S {
                    layers: Some(vec![]),
                    ..d()
                },
                "layers = []",
            ),
            (
                S {
                    layers: Some(vec!["layer2".into()]),
                    ..d()
                },
                "block11",
            ),
        ] {
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(says), "{e}");
        }
        let e = serde_json::from_str::<S>(r#"{"coreset_ratio": 0.1}"#).unwrap_err();
        assert!(e.to_string().contains("coreset_ratio"), "{e}");
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let key = |settings: S| {
            let mut hasher = KeyHasher::new("test", 1);
            hasher.field("params", &settings.checked().unwrap());
            hasher.finish()
        };
        let d = S::default;
        let written = Some(["block5", "block7"].map(str::to_owned).to_vec());
        assert_eq!(
            key(d()),
            key(S {
                layers: written,
                ..d()
            })
        );
        let mut keys: Vec<Key> = vec![key(d())];
        for other in [
            S {
                backbone: BackboneKind::Dinov2Vitb14,
                ..d()
            },
            S {
                layers: Some(vec!["block5".into()]),
                ..d()
            },
            S {
                image_size: 238,
                ..d()
            },
            S {
                neighbours: 2,
                ..d()
            },
            S {
                top_share: 0.01,
                ..d()
            },
            S {
                rotations: 8,
                ..d()
            },
            S {
                bank_size: 100,
                ..d()
            },
            S { places: 32, ..d() },
        ] {
            let key = key(other.clone());
            assert!(!keys.contains(&key), "{other:?}");
            keys.push(key);
        }
    }
}
