use crate::WrnParams;
use segad_core::{Device, Image, ImageClassifier, Precision, Seed};
use segad_nn::method::FittedClassifier;
use segad_nn::model::{Extractor, ModelError, batched_scores};
use segad_nn::train::CurvePoint;
use segad_nn::{NnError, SavedModel, Weights, global_average, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

pub(crate) const KIND: &str = "wrn";
const SCHEMA: u32 = 1;
/// Names of the last layer, as in torchvision.
const WEIGHT: &str = "fc.weight";
const BIAS: &str = "fc.bias";

/// A fitted WRN: the trained backbone and its one logit.
pub struct FittedWrn {
    params: WrnParams,
    origin: Origin,
    curve: Vec<CurvePoint>,
    network: Network,
    /// The network's backbone, frozen, with its batch normalisations folded in.
    extractor: Extractor,
    batch: usize,
}

/// What training leaves: the backbone's weights and the last layer's, weight 1×C and bias 1.
pub(crate) struct Network {
    pub backbone: Weights,
    pub weight: Tensor,
    pub bias: Tensor,
}

/// What a model was trained with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Good images that were trained on.
    pub good: usize,
    /// Bad images that were trained on.
    pub bad: usize,
    /// Training steps.
    pub steps: u64,
    /// Seed of the draw, the last layer's first values and the order of images.
    pub seed: Seed,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// How well it does on the training images that it did not see; `None`: they are not of both
    /// labels.
    pub held_out: Option<HeldOut>,
}

/// The training images that were left out of training. Nothing is chosen by them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Good images.
    pub good: usize,
    /// Bad images.
    pub bad: usize,
    /// AUROC of the scores, 0 to 1.
    pub auroc: f64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: WrnParams,
    #[serde(flatten)]
    origin: Origin,
    curve: Vec<CurvePoint>,
}

impl FittedWrn {
    pub(crate) fn new(
        params: WrnParams,
        (origin, curve): (Origin, Vec<CurvePoint>),
        network: Network,
        device: Device,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let kind = params.backbone;
        let taps = [kind.last_tap()];
        let place = (device, origin.precision);
        let extractor = Extractor::new(kind, &taps, &network.backbone, params.image_size, place)?;
        let network = Network {
            // Fitting leaves them where it trained, loading on the CPU.
            weight: network.weight.f_to_device(extractor.device())?,
            bias: network.bias.f_to_device(extractor.device())?,
            ..network
        };
        Ok(Self {
            params,
            origin,
            curve,
            network,
            extractor,
            batch,
        })
    }

    pub(crate) fn hold_out(&mut self, held_out: Option<HeldOut>) {
        self.origin.held_out = held_out;
    }

    /// The parameters that it was trained with.
    pub fn params(&self) -> &WrnParams {
        &self.params
    }

    /// What else it was trained with.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The network's state under the names of the backbone's state dictionary, with `fc.weight` 1×C
    /// and `fc.bias` 1.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.network.backbone.tensors() {
            tensors.insert(name.clone(), tensor.shallow_clone());
        }
        tensors.insert(WEIGHT.to_owned(), self.network.weight.shallow_clone());
        tensors.insert(BIAS.to_owned(), self.network.bias.shallow_clone());
        tensors
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// network at once.
    ///
    /// # Errors
    /// [`NnError::Saved`] for a damaged or foreign model.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, ModelError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let Saved {
            settings,
            origin,
            curve,
        } = opened.parameters.clone();
        let kind = settings.backbone;
        let weight = opened.take(WEIGHT, &[1, kind.last_channels()])?;
        let bias = opened.take(BIAS, &[1])?;
        // By way of bytes, because only they make weights: values are checked and have a digest.
        let backbone = Weights::from_safetensors(&write_tensors(&opened.tensors)?)?;
        backbone
            .check(kind, Some(kind.last_tap()))
            // A hint where weights come from would mislead: the model's file is damaged.
            .map_err(|e| NnError::Saved(e.to_string()))?;
        let network = Network {
            backbone,
            weight,
            bias,
        };
        Self::new(settings, (origin, curve), network, device, batch)
    }
}

impl FittedClassifier for FittedWrn {
    /// The model as bytes. It needs no other weights to be read back.
    fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            curve: self.curve.clone(),
        };
        let inputs = BTreeMap::new();
        Ok(SavedModel::new(
            KIND,
            SCHEMA,
            saved,
            inputs,
            self.tensors(),
        )?)
    }

    /// The loss over the steps of training.
    fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }
}

impl ImageClassifier for FittedWrn {
    type Error = ModelError;

    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, ModelError> {
        let Network { weight, bias, .. } = &self.network;
        batched_scores(KIND, images, self.batch, |chunk| {
            let features = self.extractor.features(chunk)?;
            let pooled = global_average(&features[0])?;
            Ok::<_, ModelError>(tch::no_grad(|| pooled.f_linear(weight, Some(bias)))?)
        })
    }
}
