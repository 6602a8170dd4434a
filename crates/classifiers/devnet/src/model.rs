use crate::DevNetParams;
use crate::score::Network;
use segad_core::{Device, Image, ImageClassifier, Precision};
use segad_nn::method::FittedClassifier;
use segad_nn::model::{ModelError, batched_scores};
use segad_nn::train::CurvePoint;
use segad_nn::train::deviation::Origin;
use segad_nn::{Preprocess, SavedModel, Weights, autocast, torch_device};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

pub(crate) const KIND: &str = "devnet";
const SCHEMA: u32 = 1;

/// A fitted DevNet.
pub struct FittedDevNet {
    params: DevNetParams,
    origin: Origin,
    network: Network,
    preprocess: Preprocess,
    batch: usize,
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
        let size = params.image_size;
        let preprocess = params.backbone.preprocess(size, size);
        Self {
            params,
            origin,
            network,
            preprocess,
            batch,
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

    /// The network's state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.network.backbone.tensors()
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// network at once.
    ///
    /// # Errors
    /// [`segad_nn::NnError::Saved`] for a damaged or foreign model; as [`FittedDevNet::import`] if
    /// it is of another network.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, ModelError> {
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
    ) -> Result<Self, ModelError> {
        let network = Network::read(&params, state, torch_device(device)?)?;
        let origin = Origin::imported(state.digest(), precision);
        Ok(Self::new(params, origin, network, batch))
    }
}

impl FittedClassifier for FittedDevNet {
    /// The model as bytes: the whole network and the parameters; it needs nothing else.
    fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin.clone(),
        };
        let inputs = SavedModel::weights_input(self.origin.weights);
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
        &self.origin.curve
    }
}

impl ImageClassifier for FittedDevNet {
    type Error = ModelError;

    /// The mean over the scales of the mean of the largest places: 0 or more, unless `top_share` is
    /// 0.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, ModelError> {
        let device = self.network.backbone.store.device();
        batched_scores(KIND, images, self.batch, |chunk| {
            // Running statistics, so that a score does not depend on the rest of its batch.
            let x = self.preprocess.batch(chunk, device)?;
            let scores = tch::no_grad(|| {
                autocast(device, self.origin.precision, || {
                    self.network.scores(&x, false)
                })
            });
            Ok::<_, ModelError>(scores?)
        })
    }
}
