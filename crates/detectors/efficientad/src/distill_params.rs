use crate::params::{check_size, expect};
use crate::{EfficientAdError, PdnSize};
use segad_core::{CacheKey, KeyHasher};
use segad_nn::BackboneKind;
use serde::{Deserialize, Serialize};

/// How a teacher is distilled, not checked yet. The defaults are the published teachers', but for
/// the backbone (theirs: WideResNet-101-2), the images (theirs: ImageNet) and the network (here the
/// small one).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillSettings {
    /// Size of the teacher.
    pub network: PdnSize,
    /// Whose features it learns.
    pub backbone: BackboneKind,
    /// Two of its layers, finest first; unset: those of strides 8 and 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the teacher's square input in pixels, a multiple of 64; the backbone sees twice as
    /// much.
    pub image_size: usize,
    /// Training steps.
    pub iterations: u64,
    /// Images of one step; at most as many as there are.
    pub batch: usize,
    /// Adam's.
    pub learning_rate: f64,
    /// Adam's, added to the gradient.
    pub weight_decay: f64,
    /// Share of images that both networks see without colour.
    pub grey: f64,
}

impl Default for DistillSettings {
    fn default() -> Self {
        Self {
            network: PdnSize::Small,
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            iterations: 60_000,
            batch: 16,
            learning_rate: 1e-4,
            weight_decay: 1e-5,
            grey: 0.1,
        }
    }
}

/// Checked settings, made by [`DistillSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DistillSettings", into = "DistillSettings")]
pub struct DistillParams {
    settings: DistillSettings,
    layers: Vec<String>,
}

impl DistillSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`EfficientAdError::Setting`] for the first that makes no sense.
    pub fn checked(mut self) -> Result<DistillParams, EfficientAdError> {
        check_size(self.image_size)?;
        expect(
            self.iterations >= 1,
            "distill.iterations",
            &self.iterations,
            "at least 1",
        )?;
        expect(self.batch >= 1, "distill.batch", &self.batch, "at least 1")?;
        let rate = self.learning_rate > 0.0 && self.learning_rate.is_finite();
        expect(
            rate,
            "distill.learning_rate",
            &self.learning_rate,
            "more than 0",
        )?;
        let decay = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        expect(
            decay,
            "distill.weight_decay",
            &self.weight_decay,
            "0 or more",
        )?;
        expect(
            (0.0..=1.0).contains(&self.grey),
            "distill.grey",
            &self.grey,
            "0 to 1",
        )?;
        let default = || self.backbone.default_taps().map(str::to_owned).to_vec();
        let layers = self.layers.take().unwrap_or_else(default);
        let taps = layers
            .iter()
            .map(|l| self.backbone.tap(l))
            .collect::<Result<Vec<_>, _>>()?;
        let fits =
            matches!(&taps[..], [a, b] if a.stride == 8 && b.stride >= 8 && a.name != b.name);
        let expected = "two different layers, the first of stride 8, the second not finer";
        expect(fits, "distill.layers", &format!("{layers:?}"), expected)?;
        Ok(DistillParams {
            settings: self,
            layers,
        })
    }
}

impl DistillParams {
    /// Size of the teacher.
    pub fn size(&self) -> PdnSize {
        self.settings.network
    }

    /// Whose features it learns.
    pub fn backbone(&self) -> BackboneKind {
        self.settings.backbone
    }

    /// The backbone's layers, finest first.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// Side of the teacher's input in pixels.
    pub fn image_size(&self) -> usize {
        self.settings.image_size
    }

    /// Training steps.
    pub fn iterations(&self) -> u64 {
        self.settings.iterations
    }

    /// All settings; the layers stand in [`DistillParams::layers`].
    pub fn settings(&self) -> &DistillSettings {
        &self.settings
    }
}

impl TryFrom<DistillSettings> for DistillParams {
    type Error = EfficientAdError;

    fn try_from(settings: DistillSettings) -> Result<Self, EfficientAdError> {
        settings.checked()
    }
}

impl From<DistillParams> for DistillSettings {
    fn from(params: DistillParams) -> Self {
        Self {
            layers: Some(params.layers),
            ..params.settings
        }
    }
}

impl CacheKey for DistillParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        let s = &self.settings;
        hasher
            .field("network", &s.network)
            .field("backbone", &s.backbone)
            .field("layers", &self.layers)
            .field("image_size", &s.image_size)
            .field("iterations", &s.iterations)
            .field("batch", &s.batch)
            .field("learning_rate", &s.learning_rate)
            .field("weight_decay", &s.weight_decay)
            .field("grey", &s.grey);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_named() {
        let says = |s: DistillSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = DistillSettings::default;
        assert_eq!(d().checked().unwrap().layers(), ["layer2", "layer3"]);
        says(
            DistillSettings {
                image_size: 100,
                ..d()
            },
            "image_size = 100",
        );
        says(
            DistillSettings {
                iterations: 0,
                ..d()
            },
            "distill.iterations = 0",
        );
        says(DistillSettings { batch: 0, ..d() }, "distill.batch = 0");
        says(
            DistillSettings {
                learning_rate: 0.0,
                ..d()
            },
            "distill.learning_rate",
        );
        says(
            DistillSettings {
                weight_decay: f64::INFINITY,
                ..d()
            },
            "distill.weight_decay",
        );
        says(DistillSettings { grey: 1.1, ..d() }, "distill.grey = 1.1");
        let layers = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        says(
            DistillSettings {
                layers: layers(&["layer3", "layer2"]),
                ..d()
            },
            "the first of stride 8",
        );
        says(
            DistillSettings {
                layers: layers(&["layer2"]),
                ..d()
            },
            "two different layers",
        );
        says(
            DistillSettings {
                layers: layers(&["stage2", "stage4"]),
                ..d()
            },
            "layer4",
        );
    }
}
