use crate::score::Network;
use crate::{DevNetError, DevNetParams};
use segad_core::{Device, Image, ImageClassifier, Key, Precision, Seed};
use segad_nn::train::CurvePoint;
use segad_nn::{Preprocess, SavedModel, Weights, autocast, to_vec, torch_device};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const KIND: &str = "devnet";
const SCHEMA: u32 = 1;
const WEIGHTS: &str = "backbone weights";

/// A fitted DevNet.
pub struct FittedDevNet {
    params: DevNetParams,
    origin: Origin,
    network: Network,
    preprocess: Preprocess,
    batch: usize,
}

/// What a model was trained with, beside its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of good training images; 0: trained elsewhere.
    pub good: usize,
    /// Number of bad training images.
    pub bad: usize,
    /// Training steps.
    pub steps: u64,
    /// Seed of the convolution's first values, of the batches and of the prior.
    pub seed: Seed,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// The backbone weights that training began with.
    pub weights: Option<Key>,
    /// The loss over the training.
    pub curve: Vec<CurvePoint>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    settings: DevNetParams,
    #[serde(flatten)]
    origin: Origin,
}

impl FittedDevNet {
    pub(crate) fn new(
        params: DevNetParams,
        origin: Origin,
        network: Network,
        batch: usize,
    ) -> Self {
        let size = params.settings().image_size;
        let preprocess = params.backbone().preprocess(size, size);
        Self {
            params,
            origin,
            network,
            preprocess,
            batch: batch.max(1),
        }
    }

    /// The parameters that it was trained with.
    pub fn params(&self) -> &DevNetParams {
        &self.params
    }

    /// What else it was trained with.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The loss over the steps of training.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.origin.curve
    }

    /// The network's state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.network.store.variables().into_iter().collect()
    }

    /// The model as bytes: the whole network and the parameters; it needs nothing else.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, DevNetError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin.clone(),
        };
        let inputs = self
            .origin
            .weights
            .map(|key| (WEIGHTS.to_owned(), key))
            .into_iter()
            .collect();
        let tensors = self.tensors();
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// network at once.
    ///
    /// # Errors
    /// [`segad_nn::NnError::Saved`] for a damaged or foreign model; as [`FittedDevNet::import`] if
    /// it is of another network.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, DevNetError> {
        let Saved { settings, origin } = saved.open::<Saved>(KIND, SCHEMA)?.parameters;
        let state = Weights::from_safetensors(&saved.tensors)?;
        let network = Network::read(&settings, &state, torch_device(device)?)?;
        Ok(Self::new(settings, origin, network, batch))
    }

    /// A model from a state that the official code saved, as safetensors. The backbone's unused
    /// head may be there.
    ///
    /// # Errors
    /// [`segad_nn::NnError::WeightNames`] and [`segad_nn::NnError::WeightShape`] for the state of
    /// another network.
    pub fn import(
        params: DevNetParams,
        state: &Weights,
        (device, precision): (Device, Precision),
        batch: usize,
    ) -> Result<Self, DevNetError> {
        let network = Network::read(&params, state, torch_device(device)?)?;
        let origin = Origin {
            good: 0,
            bad: 0,
            steps: 0,
            seed: Seed(0),
            precision,
            weights: Some(state.digest()),
            curve: vec![],
        };
        Ok(Self::new(params, origin, network, batch))
    }
}

impl ImageClassifier for FittedDevNet {
    type Error = DevNetError;

    /// The mean over the scales of the mean of the largest places: 0 or more, unless `top_share` is
    /// 0.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, DevNetError> {
        let mut scores = Vec::with_capacity(images.len());
        let device = self.network.store.device();
        for chunk in images.chunks(self.batch) {
            let x = self.preprocess.batch(chunk, device)?;
            let found = tch::no_grad(|| {
                autocast(device, self.origin.precision, || {
                    self.network.scores(&x, false)
                })
            })?;
            scores.extend(to_vec(&found)?);
        }
        match scores.iter().position(|s| !s.is_finite()) {
            Some(index) => Err(DevNetError::Score {
                index,
                value: scores[index],
            }),
            None => Ok(scores),
        }
    }
}
