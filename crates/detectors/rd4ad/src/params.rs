use crate::Rd4adError;
use crate::architecture::{Architecture, Shape};
use segad_core::{CacheKey, KeyHasher};
use segad_nn::{BackboneKind, Parameter, Tap};
use serde::{Deserialize, Serialize};

/// Width of the bottleneck's blocks, as a share of the channels of the encoder's coarsest feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BottleneckWidth {
    /// Half: 512 for WideResNet-50-2, as in anomalib.
    #[default]
    Half,
    /// All: 1024 for WideResNet-50-2, as in the official repository.
    Full,
}

/// What training minimises: 1 − cosine between the encoder's and the decoder's features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Of each image's whole feature as one vector; the official code's, anomalib's since October
    /// 2023.
    #[default]
    Flattened,
    /// Of the channels at each place, averaged over places; the RD4AD paper's formula, anomalib's
    /// before.
    PerPixel,
}

/// How the maps of the three features become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// Their sum.
    #[default]
    Add,
    /// Their product.
    Multiply,
}

macro_rules! as_str {
    ($t:ty, $($v:ident => $s:literal),*) => {
        impl $t {
            fn as_str(self) -> &'static str {
                match self { $(Self::$v => $s),* }
            }
        }
    };
}
as_str!(BottleneckWidth, Half => "half", Full => "full");
as_str!(Loss, Flattened => "flattened", PerPixel => "per-pixel");
as_str!(Combine, Add => "add", Multiply => "multiply");

/// Settings as somebody wrote them, not checked yet. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_rd4ad::{Combine, Rd4adSettings};
/// let params = Rd4adSettings { combine: Combine::Multiply, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer1", "layer2", "layer3"]);
/// let trainable = |unused| params.parameters(unused).iter().filter(|p| p.trainable).map(|p| p.numel()).sum::<i64>();
/// assert_eq!((trainable(false), trainable(true)), (55_747_072, 64_139_776));
/// assert!(Rd4adSettings { image_size: 250, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_detector_rd4ad::Rd4adError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rd4adSettings {
    /// Which encoder.
    pub backbone: BackboneKind,
    /// Its three layers, finest first, each of twice the stride of the one before; unset: those of
    /// strides 4, 8, 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels; a multiple of twice the last layer's stride.
    pub image_size: usize,
    /// Width of the bottleneck's blocks.
    pub bottleneck: BottleneckWidth,
    /// What training minimises.
    pub loss: Loss,
    /// How the three maps become one.
    pub combine: Combine,
    /// Times that training sees each image.
    pub epochs: u64,
    /// Images in a training step.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Adam's β₁ and β₂.
    pub betas: [f64; 2],
}

impl Default for Rd4adSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            bottleneck: BottleneckWidth::default(),
            loss: Loss::default(),
            combine: Combine::default(),
            epochs: 200,
            batch: 16,
            learning_rate: 0.005,
            betas: [0.5, 0.999],
        }
    }
}

/// Checked settings, made by [`Rd4adSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Rd4adSettings", into = "Rd4adSettings")]
pub struct Rd4adParams {
    settings: Rd4adSettings,
    taps: [Tap; 3],
    layers: Vec<String>,
}

fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), Rd4adError> {
    if ok {
        return Ok(());
    }
    Err(Rd4adError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

/// The layers of strides 4, 8 and 16 with the richest features.
fn default_layers(backbone: BackboneKind) -> [&'static str; 3] {
    let [second, third] = backbone.default_taps();
    match backbone {
        BackboneKind::WideResnet50_2 | BackboneKind::Resnet18 | BackboneKind::Miniature => {
            ["layer1", second, third]
        }
        BackboneKind::EfficientnetLite0
        | BackboneKind::EfficientnetLite1
        | BackboneKind::EfficientnetLite2 => ["stage1", second, third],
    }
}

/// Whether a tap's features are never negative: an EfficientNet-Lite's blocks end in a projection
/// without activation.
fn rectified(backbone: BackboneKind, tap: &Tap) -> bool {
    match backbone {
        BackboneKind::WideResnet50_2 | BackboneKind::Resnet18 | BackboneKind::Miniature => true,
        BackboneKind::EfficientnetLite0
        | BackboneKind::EfficientnetLite1
        | BackboneKind::EfficientnetLite2 => tap.name == "stem",
    }
}

impl Rd4adSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Rd4adError::Setting`] for the first that makes no sense.
    pub fn checked(mut self) -> Result<Rd4adParams, Rd4adError> {
        let default = || default_layers(self.backbone).map(str::to_owned).to_vec();
        let layers = self.layers.take().unwrap_or_else(default);
        let text = format!("{layers:?}");
        let taps = layers
            .iter()
            .map(|l| self.backbone.tap(l))
            .collect::<Result<Vec<_>, _>>()?;
        let doubling = |taps: &[Tap; 3]| taps.windows(2).all(|t| t[1].stride == 2 * t[0].stride);
        let taps = <[Tap; 3]>::try_from(taps).ok().filter(doubling);
        let Some(taps) = taps else {
            let expected = "three layers, finest first, each of twice the stride of the one before";
            return Err(Rd4adError::Setting {
                field: "layers",
                value: text,
                expected: expected.into(),
            });
        };
        let unit = 2 * taps[2].stride as usize;
        let size =
            self.image_size.is_multiple_of(unit) && (2 * unit..=4096).contains(&self.image_size);
        let expected = format!("a multiple of {unit} from {} to 4096 pixels", 2 * unit);
        expect(size, "image_size", &self.image_size, &expected)?;
        expect(self.epochs >= 1, "epochs", &self.epochs, "at least 1")?;
        expect(self.batch >= 1, "batch", &self.batch, "at least 1")?;
        let rate = self.learning_rate.is_finite() && self.learning_rate > 0.0;
        expect(
            rate,
            "learning_rate",
            &self.learning_rate,
            "a positive number",
        )?;
        let betas = self.betas.iter().all(|b| (0.0..1.0).contains(b));
        expect(
            betas,
            "betas",
            &format!("{:?}", self.betas),
            "two numbers from 0 to below 1",
        )?;
        Ok(Rd4adParams {
            settings: self,
            taps,
            layers,
        })
    }
}

impl Rd4adParams {
    /// Which encoder.
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

    /// Width of the bottleneck's blocks.
    pub fn bottleneck(&self) -> BottleneckWidth {
        self.settings.bottleneck
    }

    /// What training minimises.
    pub fn loss(&self) -> Loss {
        self.settings.loss
    }

    /// How the three maps become one.
    pub fn combine(&self) -> Combine {
        self.settings.combine
    }

    /// Times that training sees each image.
    pub fn epochs(&self) -> u64 {
        self.settings.epochs
    }

    /// Images in a training step.
    pub fn batch(&self) -> usize {
        self.settings.batch
    }

    /// Adam's step size.
    pub fn learning_rate(&self) -> f64 {
        self.settings.learning_rate
    }

    /// Adam's β₁ and β₂.
    pub fn betas(&self) -> [f64; 2] {
        self.settings.betas
    }

    /// The state of bottleneck (`bottleneck.…`) and decoder (`decoder.…`) under the published
    /// names; `unused` adds conv4 and bn4 of the bottleneck, which published files hold, although
    /// nothing uses them.
    pub fn parameters(&self, unused: bool) -> Vec<Parameter> {
        let architecture = Architecture::new(self.shape());
        let mut list = architecture.parameters();
        if unused {
            list.extend(architecture.unused());
        }
        list
    }

    pub(crate) fn shape(&self) -> Shape {
        let [a, b, c] = &self.taps;
        Shape {
            channels: [a.channels, b.channels, c.channels],
            rectified: [a, b, c].map(|tap| rectified(self.backbone(), tap)),
            width: match self.bottleneck() {
                BottleneckWidth::Half => c.channels / 2,
                BottleneckWidth::Full => c.channels,
            },
        }
    }

    /// Height and width of each feature.
    pub(crate) fn feature_sizes(&self) -> [(usize, usize); 3] {
        self.taps.each_ref().map(|tap| {
            let n = self.image_size() / tap.stride as usize;
            (n, n)
        })
    }
}

impl TryFrom<Rd4adSettings> for Rd4adParams {
    type Error = Rd4adError;

    fn try_from(settings: Rd4adSettings) -> Result<Self, Rd4adError> {
        settings.checked()
    }
}

impl From<Rd4adParams> for Rd4adSettings {
    fn from(params: Rd4adParams) -> Self {
        Self {
            layers: Some(params.layers),
            ..params.settings
        }
    }
}

impl CacheKey for Rd4adParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        hasher
            .field("backbone", &self.backbone())
            .field("layers", &self.layers)
            .field("image_size", &self.image_size())
            .field("bottleneck", self.bottleneck().as_str())
            .field("loss", self.loss().as_str())
            .field("combine", self.combine().as_str())
            .field("epochs", &self.epochs())
            .field("batch", &self.batch())
            .field("learning_rate", &self.learning_rate())
            .field("beta1", &self.betas()[0])
            .field("beta2", &self.betas()[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: Rd4adSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn same_meaning_same_key() {
        let d = Rd4adSettings::default;
        let written = Some(["layer1", "layer2", "layer3"].map(str::to_owned).to_vec());
        assert_eq!(
            key(d()),
            key(Rd4adSettings {
                layers: written,
                ..d()
            })
        );
        let others = [
            Rd4adSettings {
                backbone: BackboneKind::Resnet18,
                ..d()
            },
            Rd4adSettings {
                image_size: 320,
                ..d()
            },
            Rd4adSettings {
                bottleneck: BottleneckWidth::Full,
                ..d()
            },
            Rd4adSettings {
                loss: Loss::PerPixel,
                ..d()
            },
            Rd4adSettings {
                combine: Combine::Multiply,
                ..d()
            },
            Rd4adSettings { epochs: 1, ..d() },
            Rd4adSettings { batch: 32, ..d() },
            Rd4adSettings {
                learning_rate: 0.001,
                ..d()
            },
            Rd4adSettings {
                betas: [0.5, 0.99],
                ..d()
            },
        ];
        for other in others {
            assert_ne!(key(d()), key(other.clone()), "{other:?}");
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |s: Rd4adSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = Rd4adSettings::default;
        let layers = |names: &[&str]| Some(names.iter().map(|&n| n.to_owned()).collect());
        says(
            Rd4adSettings {
                image_size: 250,
                ..d()
            },
            "image_size = 250: expected a multiple of 32",
        );
        says(
            Rd4adSettings {
                image_size: 32,
                ..d()
            },
            "from 64 to 4096",
        );
        says(Rd4adSettings { epochs: 0, ..d() }, "epochs = 0");
        says(Rd4adSettings { batch: 0, ..d() }, "batch = 0");
        says(
            Rd4adSettings {
                learning_rate: f64::NAN,
                ..d()
            },
            "learning_rate = NaN",
        );
        says(
            Rd4adSettings {
                betas: [0.5, 1.0],
                ..d()
            },
            "betas = [0.5, 1.0]",
        );
        says(
            Rd4adSettings {
                layers: layers(&["layer1", "layer2"]),
                ..d()
            },
            "three layers",
        );
        says(
            Rd4adSettings {
                layers: layers(&["layer3", "layer2", "layer1"]),
                ..d()
            },
            "finest first",
        );
        says(
            Rd4adSettings {
                layers: layers(&["layer1", "layer2", "layer9"]),
                ..d()
            },
            "layer4",
        );
        assert!(serde_json::from_str::<Rd4adSettings>(r#"{"lr": 1}"#).is_err());
        assert!(serde_json::from_str::<Rd4adParams>(r#"{"epochs": 0}"#).is_err());
    }

    #[test]
    fn checked_settings_read_back() {
        let s = Rd4adSettings {
            loss: Loss::PerPixel,
            combine: Combine::Multiply,
            ..Default::default()
        };
        let p = s.checked().unwrap();
        let text = serde_json::to_string(&p).unwrap();
        assert!(text.contains(r#""per-pixel""#), "{text}");
        assert_eq!(serde_json::from_str::<Rd4adParams>(&text).unwrap(), p);
    }

    #[test]
    fn sizes_follow_the_encoder() {
        let shape = |backbone| {
            Rd4adSettings {
                backbone,
                ..Default::default()
            }
            .checked()
            .unwrap()
            .shape()
        };
        let s = shape(BackboneKind::EfficientnetLite2);
        assert_eq!(
            (s.channels, s.width, s.rectified),
            ([24, 48, 120], 60, [false; 3])
        );
        let s = shape(BackboneKind::Resnet18);
        assert_eq!(
            (s.channels, s.width, s.rectified),
            ([64, 128, 256], 128, [true; 3])
        );
        let s = shape(BackboneKind::WideResnet50_2);
        assert_eq!((s.channels, s.width), ([256, 512, 1024], 512));
        for backbone in BackboneKind::ALL {
            let p = Rd4adSettings {
                backbone,
                ..Default::default()
            }
            .checked()
            .unwrap();
            assert_eq!(
                p.feature_sizes(),
                [(64, 64), (32, 32), (16, 16)],
                "{backbone}"
            );
        }
    }
}
