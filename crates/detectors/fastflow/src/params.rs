use crate::FastFlowError;
use segad_core::{CacheKey, KeyHasher};
use segad_nn::BackboneKind;
use segad_nn::train::{Length, Optimiser, TrainPlan};
use serde::{Deserialize, Serialize};

/// How the log-scale of a coupling block is kept within ±clamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClampForm {
    /// clamp·tanh(a); FrEIA 0.2 and anomalib.
    #[default]
    Tanh,
    /// clamp·tanh(a/clamp), slope 1 at 0; later FrEIA.
    Scaled,
}

impl ClampForm {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Scaled => "scaled",
        }
    }
}

/// Settings as somebody wrote them, not checked yet. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_fastflow::FastFlowSettings;
/// let params = FastFlowSettings { epochs: 2, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer1", "layer2", "layer3"]);
/// assert!(FastFlowSettings { flow_steps: 0, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_detector_fastflow::FastFlowError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FastFlowSettings {
    /// Which backbone.
    pub backbone: BackboneKind,
    /// Its layers, finest first; unset: those of strides 4, 8 and 16. Each has a flow of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// Coupling blocks of each flow.
    pub flow_steps: usize,
    /// Hidden channels of a block's subnet per channel that goes in.
    pub hidden_ratio: f64,
    /// Whether all subnets have 3×3 kernels; else every second one has 1×1.
    pub conv3x3_only: bool,
    /// Bound of a block's log-scale.
    pub clamp: f64,
    /// How it is kept within the bound.
    pub clamp_form: ClampForm,
    /// Passes over the training images.
    pub epochs: u64,
    /// Images a training step.
    pub batch: usize,
    /// Whether the last, smaller batch of an epoch is left out.
    pub drop_last: bool,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// L2-coupled weight decay.
    pub weight_decay: f64,
}

impl Default for FastFlowSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            flow_steps: 8,
            hidden_ratio: 1.0,
            conv3x3_only: false,
            clamp: 2.0,
            clamp_form: ClampForm::default(),
            epochs: 200,
            batch: 32,
            drop_last: false,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
        }
    }
}

/// Checked settings, made by [`FastFlowSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FastFlowSettings", into = "FastFlowSettings")]
pub struct FastFlowParams {
    settings: FastFlowSettings,
    layers: Vec<String>,
}

fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), FastFlowError> {
    if ok {
        return Ok(());
    }
    Err(FastFlowError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

/// The layers of strides 4, 8 and 16.
fn default_layers(backbone: BackboneKind) -> [&'static str; 3] {
    match backbone {
        BackboneKind::WideResnet50_2 | BackboneKind::Resnet18 | BackboneKind::Miniature => {
            ["layer1", "layer2", "layer3"]
        }
        BackboneKind::EfficientnetLite0
        | BackboneKind::EfficientnetLite1
        | BackboneKind::EfficientnetLite2 => ["stage1", "stage2", "stage4"],
    }
}

impl FastFlowSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`FastFlowError::Setting`] for the first that makes no sense.
    pub fn checked(mut self) -> Result<FastFlowParams, FastFlowError> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let size = (32..=4096).contains(&self.image_size);
        expect(size, "image_size", &self.image_size, "32 to 4096 pixels")?;
        expect(
            (1..=64).contains(&self.flow_steps),
            "flow_steps",
            &self.flow_steps,
            "1 to 64",
        )?;
        let ratio = self.hidden_ratio > 0.0 && self.hidden_ratio <= 16.0;
        expect(
            ratio,
            "hidden_ratio",
            &self.hidden_ratio,
            "more than 0, at most 16",
        )?;
        expect(positive(self.clamp), "clamp", &self.clamp, "more than 0")?;
        expect(self.epochs >= 1, "epochs", &self.epochs, "at least 1")?;
        expect(self.batch >= 1, "batch", &self.batch, "at least 1")?;
        expect(
            positive(self.learning_rate),
            "learning_rate",
            &self.learning_rate,
            "more than 0",
        )?;
        let decay = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        expect(decay, "weight_decay", &self.weight_decay, "at least 0")?;
        let default = || default_layers(self.backbone).map(str::to_owned).to_vec();
        let layers = self.layers.take().unwrap_or_else(default);
        let text = format!("{layers:?}");
        let mut finest = 0;
        for (i, layer) in layers.iter().enumerate() {
            let tap = self.backbone.tap(layer)?;
            let fits = tap.stride >= finest && !layers[..i].contains(layer);
            expect(fits, "layers", &text, "different layers, finest first")?;
            expect(
                tap.channels % 2 == 0,
                "layers",
                &text,
                "layers of an even number of channels",
            )?;
            let hidden = hidden(tap.channels, self.hidden_ratio);
            expect(
                hidden >= 1,
                "hidden_ratio",
                &self.hidden_ratio,
                "at least one hidden channel",
            )?;
            finest = tap.stride;
        }
        expect(!layers.is_empty(), "layers", &text, "at least one layer")?;
        Ok(FastFlowParams {
            settings: self,
            layers,
        })
    }
}

/// Hidden channels of the subnets of a flow over `channels`.
pub(crate) fn hidden(channels: i64, ratio: f64) -> i64 {
    ((channels / 2) as f64 * ratio) as i64
}

impl FastFlowParams {
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

    /// All settings; the layers stand in [`FastFlowParams::layers`].
    pub fn settings(&self) -> &FastFlowSettings {
        &self.settings
    }

    /// How the flows are trained: Adam with PyTorch's defaults, a constant rate, no clipping.
    pub fn plan(&self) -> TrainPlan {
        let s = &self.settings;
        TrainPlan::new(
            Optimiser::adam(s.weight_decay),
            s.learning_rate,
            Length::Epochs(s.epochs),
        )
    }
}

impl TryFrom<FastFlowSettings> for FastFlowParams {
    type Error = FastFlowError;

    fn try_from(settings: FastFlowSettings) -> Result<Self, FastFlowError> {
        settings.checked()
    }
}

impl From<FastFlowParams> for FastFlowSettings {
    fn from(params: FastFlowParams) -> Self {
        Self {
            layers: Some(params.layers),
            ..params.settings
        }
    }
}

impl CacheKey for FastFlowParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        let s = &self.settings;
        hasher
            .field("backbone", &s.backbone)
            .field("layers", &self.layers)
            .field("image_size", &s.image_size)
            .field("flow_steps", &s.flow_steps)
            .field("hidden_ratio", &s.hidden_ratio)
            .field("conv3x3_only", &s.conv3x3_only)
            .field("clamp", &s.clamp)
            .field("clamp_form", s.clamp_form.as_str())
            .field("batch", &s.batch)
            .field("drop_last", &s.drop_last)
            .field("plan", &self.plan());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: FastFlowSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn same_meaning_same_key() {
        let d = FastFlowSettings::default;
        let written = Some(["layer1", "layer2", "layer3"].map(str::to_owned).to_vec());
        assert_eq!(
            key(d()),
            key(FastFlowSettings {
                layers: written,
                ..d()
            })
        );
        for other in [
            FastFlowSettings {
                conv3x3_only: true,
                ..d()
            },
            FastFlowSettings {
                clamp_form: ClampForm::Scaled,
                ..d()
            },
            FastFlowSettings { epochs: 3, ..d() },
            FastFlowSettings {
                learning_rate: 2e-3,
                ..d()
            },
            FastFlowSettings { batch: 16, ..d() },
        ] {
            assert_ne!(key(d()), key(other.clone()), "{other:?}");
        }
    }

    #[test]
    fn default_layers_have_strides_4_8_16() {
        for backbone in BackboneKind::ALL {
            let p = FastFlowSettings {
                backbone,
                ..Default::default()
            }
            .checked()
            .unwrap();
            let strides: Vec<i64> = p
                .layers()
                .iter()
                .map(|l| backbone.tap(l).unwrap().stride)
                .collect();
            assert_eq!(strides, [4, 8, 16], "{backbone}");
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |s: FastFlowSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = FastFlowSettings::default;
        says(
            FastFlowSettings {
                image_size: 16,
                ..d()
            },
            "image_size = 16",
        );
        says(
            FastFlowSettings {
                flow_steps: 0,
                ..d()
            },
            "flow_steps = 0",
        );
        says(
            FastFlowSettings {
                hidden_ratio: 0.001,
                ..d()
            },
            "hidden_ratio = 0.001",
        );
        says(
            FastFlowSettings {
                clamp: f64::NAN,
                ..d()
            },
            "clamp = NaN",
        );
        says(FastFlowSettings { epochs: 0, ..d() }, "epochs = 0");
        says(FastFlowSettings { batch: 0, ..d() }, "batch = 0");
        says(
            FastFlowSettings {
                learning_rate: -1.0,
                ..d()
            },
            "learning_rate = -1",
        );
        says(
            FastFlowSettings {
                layers: Some(vec![]),
                ..d()
            },
            "layers = []",
        );
        says(
            FastFlowSettings {
                layers: Some(vec!["layer9".into()]),
                ..d()
            },
            "layer9",
        );
        let twice = Some(vec!["layer2".to_owned(), "layer1".to_owned()]);
        says(
            FastFlowSettings {
                layers: twice,
                ..d()
            },
            "finest first",
        );
        let unknown: Result<FastFlowSettings, _> = serde_json::from_str(r#"{"epoch": 3}"#);
        assert!(unknown.unwrap_err().to_string().contains("epoch"));
    }
}
