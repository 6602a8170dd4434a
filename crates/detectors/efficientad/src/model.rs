use crate::autoencoder::Autoencoder;
use crate::images::Input;
use crate::pdn::{CHANNELS, Pdn};
use crate::score::{Combiner, Normalisation, Pair};
use crate::statistics::Channels;
use crate::teacher::frozen;
use crate::{EfficientAdError, EfficientAdParams, NAME};
use segad_core::{AnomalyDetector, AnomalyMap, CurvePoint, Device, Image, Key, Precision, Seed};
use segad_nn::method::FittedDetector;
use segad_nn::model::batched_maps;
use segad_nn::{NnError, SavedModel, autocast, torch_device};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::VarStore;

const SCHEMA: u32 = 1;
const MEAN: &str = "teacher_mean";
const DEVIATION: &str = "teacher_deviation";

/// Tensors of the three networks: `teacher.…`, `student.…`, `autoencoder.…`.
pub(crate) struct Parts(BTreeMap<String, Tensor>);

impl Parts {
    /// Of a trained student and autoencoder and of the teacher, which goes into the model too, so
    /// that it loads without other files.
    pub(crate) fn new(trained: &VarStore, teacher: BTreeMap<String, Tensor>) -> Self {
        let mut parts = BTreeMap::new();
        for (name, tensor) in trained.variables() {
            parts.insert(name, tensor.detach());
        }
        for (name, tensor) in teacher {
            parts.insert(format!("teacher.{name}"), tensor);
        }
        Self(parts)
    }
}

/// The three networks, for scoring.
pub(crate) struct Networks {
    teacher: Pdn,
    channels: Channels,
    student: Pdn,
    autoencoder: Autoencoder,
    device: tch::Device,
    precision: Precision,
}

impl Networks {
    pub(crate) fn new(
        params: &EfficientAdParams,
        parts: &Parts,
        channels: Channels,
        device: Device,
        precision: Precision,
    ) -> Result<Self, EfficientAdError> {
        let device = torch_device(device)?;
        let size = params.size();
        let padded = params.padding;
        let mut source = frozen(&parts.0, "teacher.", device);
        let teacher = Pdn::new(size, CHANNELS, padded, &mut source)?;
        let mut source = frozen(&parts.0, "student.", device);
        let student = Pdn::new(size, 2 * CHANNELS, padded, &mut source)?;
        let mut source = frozen(&parts.0, "autoencoder.", device);
        let autoencoder = Autoencoder::new(params.image_size, padded, &mut source)?;
        Ok(Self {
            teacher,
            channels,
            student,
            autoencoder,
            device,
            precision,
        })
    }

    /// The two maps of a batch.
    pub(crate) fn pair(&self, x: &Tensor) -> Result<Pair, NnError> {
        tch::no_grad(|| {
            // Differences are in f32 in any precision: they are small against the outputs.
            let (teacher, student, autoencoder) = autocast(self.device, self.precision, || {
                Ok::<_, NnError>((
                    self.teacher.forward(x)?,
                    self.student.forward(x)?,
                    self.autoencoder.forward(x, None)?,
                ))
            })?;
            Pair::new(&self.channels.normalise(&teacher)?, &student, &autoencoder)
        })
    }
}

/// A fitted EfficientAD: teacher, student, autoencoder, the teacher's channel statistics and the
/// maps' quantiles.
pub struct FittedEfficientAd {
    params: EfficientAdParams,
    origin: Origin,
    parts: Parts,
    networks: Networks,
    scales: Normalisation,
    combiner: Combiner,
    curve: Vec<CurvePoint>,
    batch: usize,
}

/// What a model was fitted with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of training images.
    pub images: usize,
    /// Number of images that gave the quantiles.
    pub holdout: usize,
    /// Seed of initial weights, order, dropout.
    pub seed: Seed,
    /// Arithmetic of the networks.
    pub precision: Precision,
    /// Digest of the weights that it was fitted with: the teacher's, or those of the backbone it
    /// was distilled from.
    pub weights: Key,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    settings: EfficientAdParams,
    #[serde(flatten)]
    origin: Origin,
    scales: Normalisation,
}

impl FittedEfficientAd {
    pub(crate) fn new(
        params: EfficientAdParams,
        origin: Origin,
        parts: Parts,
        networks: Networks,
        scales: Normalisation,
        curve: Vec<CurvePoint>,
        batch: usize,
    ) -> Result<Self, EfficientAdError> {
        let combiner = Combiner::new(&params, networks.device)?;
        Ok(Self {
            params,
            origin,
            parts,
            networks,
            scales,
            combiner,
            curve,
            batch,
        })
    }

    /// The parameters that it was fitted with.
    pub fn params(&self) -> &EfficientAdParams {
        &self.params
    }

    /// What else it was fitted with.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The quantiles that bring both maps to one scale.
    pub fn scales(&self) -> Normalisation {
        self.scales
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// networks at once.
    ///
    /// # Errors
    /// [`segad_nn::NnError::Saved`] for a damaged or foreign model.
    pub fn load(
        saved: &SavedModel,
        device: Device,
        batch: usize,
    ) -> Result<Self, EfficientAdError> {
        let mut opened = saved.open::<Saved>(NAME, SCHEMA)?;
        let shape = [1, CHANNELS, 1, 1];
        let mean = opened.take(MEAN, &shape)?;
        let deviation = opened.take(DEVIATION, &shape)?;
        let Saved {
            settings,
            origin,
            scales,
        } = opened.parameters;
        // What is left are the networks, whose names and shapes are checked as they are built.
        let parts = Parts(opened.tensors);
        let channels = Channels::new(&mean, &deviation, torch_device(device)?)?;
        let networks = Networks::new(&settings, &parts, channels, device, origin.precision)?;
        Self::new(settings, origin, parts, networks, scales, vec![], batch)
    }
}

impl FittedDetector for FittedEfficientAd {
    /// The model as bytes: all three networks and what scoring needs; nothing else is needed to
    /// load it.
    fn save(&self) -> Result<SavedModel, EfficientAdError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            scales: self.scales,
        };
        let channels = &self.networks.channels;
        let parts = self.parts.0.iter().map(|(name, t)| (name.as_str(), t));
        let tensors = parts.chain([(MEAN, &channels.mean), (DEVIATION, &channels.deviation)]);
        // The backbone of a distilled teacher is not needed again.
        let inputs = BTreeMap::new();
        Ok(SavedModel::new(NAME, SCHEMA, saved, inputs, tensors)?)
    }

    /// The loss and its terms over the training, the teacher's distillation first if there was one;
    /// empty for a model that was loaded.
    fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The network input of images, N×3×S×S, normalised as [`crate::InputNorm`] says.
    fn input(&self, images: &[Image]) -> Result<Tensor, EfficientAdError> {
        let input = Input {
            size: self.params.image_size,
            norm: self.params.input_norm,
            device: self.networks.device,
        };
        Ok(input.batch(images)?)
    }

    /// From network input to maps, N×M×M: everything between preprocessing and maps in tensor
    /// operations, so that it can be traced.
    fn network(&self, input: &Tensor) -> Result<Tensor, EfficientAdError> {
        let pair = self.networks.pair(input)?;
        Ok(tch::no_grad(|| self.combiner.combine(&pair, &self.scales))?)
    }
}

impl AnomalyDetector for FittedEfficientAd {
    type Error = EfficientAdError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, EfficientAdError> {
        batched_maps(NAME, images, self.batch, |chunk| {
            self.network(&self.input(chunk)?)
        })
    }
}
