use crate::architecture::{Architecture, StudentShape};
use segad_core::{KeyHasher, feed_fields};
use segad_nn::model::{Checked, ModelError, Settings, expect};
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

/// Settings as written, unchecked. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_rd4ad::{Combine, Rd4adSettings, parameters};
/// use segad_nn::model::Settings;
///
/// let params = Rd4adSettings { combine: Combine::Multiply, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer1", "layer2", "layer3"]);
/// let trainable = |unused| parameters(&params, unused).iter().filter(|p| p.trainable).map(|p| p.numel()).sum::<i64>();
/// assert_eq!((trainable(false), trainable(true)), (55_747_072, 64_139_776));
/// assert!(Rd4adSettings { image_size: 250, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
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
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per training step.
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

/// Checked settings, with the taps of the encoder's layers.
pub type Rd4adParams = Checked<Rd4adSettings>;

/// Whether a tap's features are never negative: an EfficientNet-Lite's blocks end in a projection
/// without activation.
fn is_rectified(backbone: BackboneKind, tap: &Tap) -> bool {
    match backbone {
        BackboneKind::WideResnet50_2 | BackboneKind::Resnet18 | BackboneKind::Miniature => true,
        _ => tap.name == "stem",
    }
}

impl Settings for Rd4adSettings {
    type Derived = [Tap; 3];
    type Error = ModelError;

    fn check(&mut self) -> Result<[Tap; 3], ModelError> {
        let layers = self
            .layers
            .get_or_insert_with(|| self.backbone.pyramid_taps().map(str::to_owned).to_vec());
        // The decoder doubles the sizes layer by layer, so the encoder must have halved them.
        let mut taps = Vec::with_capacity(layers.len());
        for layer in &*layers {
            taps.push(self.backbone.tap(layer)?);
        }
        let doubling = taps.windows(2).all(|t| t[1].stride == 2 * t[0].stride);
        let taps = <[Tap; 3]>::try_from(taps).ok().filter(|_| doubling);
        let taps = taps.ok_or_else(|| ModelError::Setting {
            field: "layers",
            value: format!("{layers:?}"),
            expected: "three layers, finest first, each of twice the stride of the one before"
                .to_owned(),
        })?;
        // The bottleneck halves the coarsest feature, and every size must come out whole.
        let unit = 2 * taps[2].stride as usize;
        let least = 2 * unit;
        let size =
            self.image_size.is_multiple_of(unit) && (least..=4096).contains(&self.image_size);
        let expected = format!("a multiple of {unit} from {least} to 4096 pixels");
        expect(size, "image_size", self.image_size, expected)?;
        expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")?;
        expect(self.batch >= 1, "batch", self.batch, "at least 1")?;
        let rate = self.learning_rate;
        let positive = rate.is_finite() && rate > 0.0;
        expect(positive, "learning_rate", rate, "a positive number")?;
        let betas = self.betas.iter().all(|b| (0.0..1.0).contains(b));
        let text = format!("{:?}", self.betas);
        expect(betas, "betas", text, "two numbers from 0 to below 1")?;
        Ok(taps)
    }

    fn feed_key(&self, _: &[Tap; 3], hasher: &mut KeyHasher) {
        hasher.field("backbone", &self.backbone);
        hasher.field("layers", self.layers());
        hasher.field("image_size", &self.image_size);
        hasher
            .field("bottleneck", self.bottleneck.as_str())
            .field("loss", self.loss.as_str())
            .field("combine", self.combine.as_str());
        feed_fields!(hasher, self: epochs, batch, learning_rate);
        hasher
            .field("beta1", &self.betas[0])
            .field("beta2", &self.betas[1]);
    }
}

impl Rd4adSettings {
    /// The encoder's layers, finest first; checking writes out the default ones.
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

/// The state of bottleneck (`bottleneck.…`) and decoder (`decoder.…`) under the published names;
/// `unused` adds conv4 and bn4 of the bottleneck, which published files contain, although nothing
/// uses them.
pub fn parameters(params: &Rd4adParams, unused: bool) -> Vec<Parameter> {
    let architecture = Architecture::new(student_shape(params));
    let mut list = architecture.parameters();
    if unused {
        list.extend(architecture.unused());
    }
    list
}

pub(crate) fn student_shape(params: &Rd4adParams) -> StudentShape {
    let [a, b, c] = params.derived();
    StudentShape {
        channels: [a.channels, b.channels, c.channels],
        rectified: [a, b, c].map(|tap| is_rectified(params.backbone, tap)),
        width: match params.bottleneck {
            BottleneckWidth::Half => c.channels / 2,
            BottleneckWidth::Full => c.channels,
        },
    }
}

/// Height and width of each feature.
pub(crate) fn feature_sizes(params: &Rd4adParams) -> [(usize, usize); 3] {
    params.derived().each_ref().map(|tap| {
        let side = params.image_size / tap.stride as usize;
        (side, side)
    })
}

#[cfg(test)]
mod tests;
