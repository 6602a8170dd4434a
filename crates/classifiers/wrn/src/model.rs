use crate::score::Inference;
use crate::{WrnError, WrnParams};
use segad_core::{Device, Image, ImageClassifier, Precision, Seed};
use segad_nn::train::CurvePoint;
use segad_nn::{NnError, SavedModel, Weights, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const KIND: &str = "wrn";
const SCHEMA: u32 = 1;
/// Names of the last layer, as in torchvision.
pub(crate) const WEIGHT: &str = "fc.weight";
pub(crate) const BIAS: &str = "fc.bias";

/// A fitted WRN: the trained backbone and its one logit.
pub struct FittedWrn {
    params: WrnParams,
    origin: Origin,
    curve: Vec<CurvePoint>,
    weights: Weights,
    head: Head,
    inference: Inference,
}

/// The last layer: weight 1×C, bias 1.
pub(crate) struct Head {
    pub weight: Tensor,
    pub bias: Tensor,
}

/// What a model was trained with, beside its parameters.
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
        (weights, head): (Weights, Head),
        device: Device,
        batch: usize,
    ) -> Result<Self, WrnError> {
        let inference =
            Inference::new(&params, &weights, &head, (device, origin.precision), batch)?;
        Ok(Self {
            params,
            origin,
            curve,
            weights,
            head,
            inference,
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

    /// The loss over the steps of training.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The network's state under the names of the backbone's state dictionary, with `fc.weight` 1×C
    /// and `fc.bias` 1.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let mut tensors: BTreeMap<String, Tensor> = self
            .weights
            .tensors()
            .iter()
            .map(|(k, v)| (k.clone(), v.shallow_clone()))
            .collect();
        tensors.insert(WEIGHT.to_owned(), self.head.weight.shallow_clone());
        tensors.insert(BIAS.to_owned(), self.head.bias.shallow_clone());
        tensors
    }

    /// The model as bytes. It needs no other weights to be read back.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, WrnError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            curve: self.curve.clone(),
        };
        let tensors = self.tensors();
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        Ok(SavedModel::new(
            KIND,
            SCHEMA,
            saved,
            BTreeMap::new(),
            tensors,
        )?)
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// network at once.
    ///
    /// # Errors
    /// [`NnError::Saved`] for a damaged or foreign model.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, WrnError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let Saved {
            settings,
            origin,
            curve,
        } = opened.parameters.clone();
        let channels = settings.backbone().tap(&settings.tap())?.channels;
        let head = Head {
            weight: opened.take(WEIGHT, &[1, channels])?,
            bias: opened.take(BIAS, &[1])?,
        };
        let rest: Vec<(&str, &Tensor)> = opened
            .tensors
            .iter()
            .map(|(k, v)| (k.as_str(), v))
            .collect();
        let weights = Weights::from_safetensors(&write_tensors(rest)?)?;
        weights
            .check(settings.backbone(), Some(&settings.tap()))
            .map_err(|e| NnError::Saved(e.to_string()))?;
        Self::new(settings, (origin, curve), (weights, head), device, batch)
    }
}

impl ImageClassifier for FittedWrn {
    type Error = WrnError;

    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, WrnError> {
        self.inference.scores(images)
    }
}
