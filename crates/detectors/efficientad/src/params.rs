use crate::PdnSize;
use crate::distill_params::{DistillParams, DistillSettings};
use segad_core::{KeyHasher, feed_fields};
use segad_nn::Preprocess;
use segad_nn::model::{Checked, ModelError, Settings, expect};
use serde::{Deserialize, Serialize};

/// Where the teacher comes from; the student has its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Teacher {
    /// Weights of a PDN-M; the paper's.
    #[default]
    Medium,
    /// Weights of a PDN-S.
    Small,
    /// Distilled from a backbone on the good training images, as `distill` says. A deviation: the
    /// published teachers were distilled on ImageNet.
    Distilled,
}

/// What the autoencoder learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoencoderImages {
    /// The student's image; the SegAD paper's.
    #[default]
    Same,
    /// Its brightness, contrast or saturation changed by up to 20 %, as the code that the paper
    /// built on does.
    Jittered,
}

/// How often an image is normalised by ImageNet's mean and deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputNorm {
    /// Once.
    #[default]
    Once,
    /// Twice, as anomalib 1.0.0 did by mistake.
    Twice,
}

impl InputNorm {
    /// From an image to a network input of `size` squared.
    pub fn preprocess(self, size: usize) -> Preprocess {
        let mut p = Preprocess::imagenet(size, size);
        if self == Self::Twice {
            // ((x − m)/s − m)/s = (x − m(1 + s))/s².
            for (mean, std) in p.mean.iter_mut().zip(&mut p.std) {
                *mean *= 1.0 + *std;
                *std *= *std;
            }
        }
        p
    }
}

/// Which maps the two quantiles of the normalisation are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuantileMaps {
    /// Those at the networks' own size, as the authors'.
    #[default]
    Native,
    /// Those enlarged to the image's size, as anomalib's.
    Enlarged,
}

/// Settings as written, unchecked. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_efficientad::EfficientAdSettings;
/// use segad_nn::model::Settings;
///
/// let params = EfficientAdSettings { iterations: 1000, ..Default::default() }.checked()?;
/// assert_eq!(params.learning_rate, 1e-4);
/// assert!(EfficientAdSettings { image_size: 200, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EfficientAdSettings {
    /// Where the teacher comes from.
    pub teacher: Teacher,
    /// How the teacher is distilled, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillSettings>,
    /// Side of the square network input in pixels: a multiple of 64. The autoencoder's bottleneck
    /// has kernels of side/32, 8 in the paper.
    pub image_size: usize,
    /// Side of the maps in pixels; unset: `image_size`. For rows that combine detectors whose
    /// networks see images of different sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_size: Option<usize>,
    /// Whether convolutions of teacher and student pad with zeros.
    pub padding: bool,
    /// Training steps, one image each.
    pub iterations: u64,
    /// Adam's.
    pub learning_rate: f64,
    /// Adam's, added to the gradient.
    pub weight_decay: f64,
    /// Share of the steps after which the learning rate falls.
    pub decay_after: f64,
    /// What it is multiplied by then.
    pub decay_factor: f64,
    /// The student learns from the values above this quantile of its squared differences to the
    /// teacher.
    pub hard_quantile: f64,
    /// What the autoencoder learns from.
    pub autoencoder_images: AutoencoderImages,
    /// General images whose teacher outputs the student must not imitate: a folder, or a name known
    /// to the caller, who supplies the images; unset: no penalty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<String>,
    /// How often images are normalised.
    pub input_norm: InputNorm,
    /// Which maps the two quantiles are taken from.
    pub quantile_maps: QuantileMaps,
    /// This quantile of the hold-out's values becomes 0.
    pub quantile_low: f64,
    /// This quantile of the hold-out's values becomes 0.1.
    pub quantile_high: f64,
    /// Share of the training images held out for the quantiles, where the protocol holds none out.
    pub holdout: f64,
}

impl Default for EfficientAdSettings {
    fn default() -> Self {
        Self {
            teacher: Teacher::default(),
            distill: None,
            image_size: 256,
            map_size: None,
            padding: true,
            iterations: 70_000,
            learning_rate: 1e-4,
            weight_decay: 1e-5,
            decay_after: 0.95,
            decay_factor: 0.1,
            hard_quantile: 0.999,
            autoencoder_images: AutoencoderImages::default(),
            penalty: None,
            input_norm: InputNorm::default(),
            quantile_maps: QuantileMaps::default(),
            quantile_low: 0.9,
            quantile_high: 0.995,
            holdout: 0.1,
        }
    }
}

/// Checked settings.
pub type EfficientAdParams = Checked<EfficientAdSettings>;

impl Settings for EfficientAdSettings {
    /// How the teacher is distilled, if it is.
    type Derived = Option<DistillParams>;
    type Error = ModelError;

    fn check(&mut self) -> Result<Option<DistillParams>, ModelError> {
        check_size(self.image_size)?;
        let maps = self.map_size();
        let size = (32..=4096).contains(&maps);
        expect(size, "map_size", maps, "32 to 4096 pixels")?;
        let some = self.iterations >= 1;
        expect(some, "iterations", self.iterations, "at least 1")?;
        expect_positive("learning_rate", self.learning_rate)?;
        expect_decay("weight_decay", self.weight_decay)?;
        let after = self.decay_after;
        let share = after > 0.0 && after <= 1.0;
        expect(share, "decay_after", after, "more than 0, at most 1")?;
        expect_positive("decay_factor", self.decay_factor)?;
        let hard = self.hard_quantile;
        let valid = (0.0..1.0).contains(&hard);
        expect(valid, "hard_quantile", hard, "0 or more, less than 1")?;
        let low = self.quantile_low;
        expect_within("quantile_low", low)?;
        let high = self.quantile_high;
        let above = high > low && high <= 1.0;
        expect(
            above,
            "quantile_high",
            high,
            "more than quantile_low, at most 1",
        )?;
        expect_within("holdout", self.holdout)?;
        let named = self.penalty.as_deref() != Some("");
        let expected = "the name of a folder or a data set, or leave it out";
        expect(named, "penalty", "\"\"", expected)?;
        // Written out, so that a saved model and a key name the layers and all defaults.
        if self.teacher == Teacher::Distilled {
            let params = self.distill.take().unwrap_or_default().checked()?;
            self.distill = Some(params.settings().clone());
            return Ok(Some(params));
        }
        let expected = "no such table unless teacher = \"distilled\"";
        expect(self.distill.is_none(), "distill", "a table", expected)?;
        Ok(None)
    }

    /// What decides the maps. Of the penalty only whether it is on: whoever knows the folder adds
    /// its content.
    fn feed_key(&self, distill: &Option<DistillParams>, hasher: &mut KeyHasher) {
        let jittered = self.autoencoder_images == AutoencoderImages::Jittered;
        hasher.field("size", &self.size()).field("distill", distill);
        feed_fields!(hasher, self: image_size, padding, iterations, learning_rate, weight_decay,
            decay_after, decay_factor, hard_quantile);
        hasher
            .field("jitter", &jittered)
            .field("penalty", &self.penalty.is_some())
            .field("norm_twice", &(self.input_norm == InputNorm::Twice))
            .field("enlarged", &(self.quantile_maps == QuantileMaps::Enlarged));
        feed_fields!(hasher, self: quantile_low, quantile_high, holdout);
        // Only where it differs from the default, so that keys from before this setting hold.
        if self.map_size() != self.image_size {
            hasher.field("map_size", &self.map_size());
        }
    }
}

impl EfficientAdSettings {
    /// Side of the maps in pixels.
    pub fn map_size(&self) -> usize {
        self.map_size.unwrap_or(self.image_size)
    }

    /// Size of teacher and student.
    pub fn size(&self) -> PdnSize {
        match self.teacher {
            Teacher::Medium => PdnSize::Medium,
            Teacher::Small => PdnSize::Small,
            // Small is also what distilling defaults to.
            Teacher::Distilled => self.distill.as_ref().map_or(PdnSize::Small, |d| d.network),
        }
    }
}

/// The autoencoder halves an image five times, and its bottleneck's kernel is side/32.
pub(crate) fn check_size(side: usize) -> Result<(), ModelError> {
    let valid = (128..=1024).contains(&side) && side.is_multiple_of(64);
    expect(
        valid,
        "image_size",
        side,
        "a multiple of 64 from 128 to 1024",
    )
}

pub(crate) fn expect_positive(field: &'static str, value: f64) -> Result<(), ModelError> {
    let positive = value > 0.0 && value.is_finite();
    expect(positive, field, value, "more than 0")
}

pub(crate) fn expect_decay(field: &'static str, value: f64) -> Result<(), ModelError> {
    let valid = value >= 0.0 && value.is_finite();
    expect(valid, field, value, "0 or more")
}

fn expect_within(field: &'static str, value: f64) -> Result<(), ModelError> {
    expect(value > 0.0 && value < 1.0, field, value, "between 0 and 1")
}

#[cfg(test)]
mod tests;
