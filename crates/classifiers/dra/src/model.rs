use crate::DraParams;
use crate::score::Network;
use segad_core::{Device, Image, ImageClassifier, Precision};
use segad_nn::method::FittedClassifier;
use segad_nn::model::{ModelError, batched_scores};
use segad_nn::train::CurvePoint;
use segad_nn::train::deviation::Origin;
use segad_nn::{Parameter, Preprocess, SavedModel, Weights, autocast, torch_device};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

pub(crate) const KIND: &str = "dra";
const SCHEMA: u32 = 1;

/// A fitted DRA.
pub struct FittedDra {
    params: DraParams,
    origin: Origin,
    network: Network,
    /// The mean feature of the reference images at each scale.
    references: Vec<Tensor>,
    preprocess: Preprocess,
    batch: usize,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    settings: DraParams,
    #[serde(flatten)]
    origin: Origin,
}

impl FittedDra {
    pub(crate) fn new(
        params: DraParams,
        origin: Origin,
        network: Network,
        references: Vec<Tensor>,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let size = params.image_size;
        let preprocess = params.backbone.preprocess(size, size);
        let references = references
            .iter()
            // Saved files hold f32, so that a loaded model scores as the fitted one did.
            .map(|t| t.f_to_kind(tch::Kind::Float))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            params,
            origin,
            network,
            references,
            preprocess,
            batch,
        })
    }

    /// The parameters that it was trained with.
    pub fn params(&self) -> &DraParams {
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
    /// [`segad_nn::NnError::Saved`] for a damaged or foreign model; as [`FittedDra::import`] if it
    /// is of another network.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, ModelError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let settings = opened.parameters.settings.clone();
        let device = torch_device(device)?;
        let expected = references(&settings)?;
        let mut means = Vec::with_capacity(expected.len());
        for p in &expected {
            means.push(opened.take(&p.name, &p.shape)?.f_to_device(device)?);
        }
        // The references were taken out of `opened`; the network reads the whole file.
        let state = Weights::from_safetensors(&saved.tensors)?;
        let network = Network::read(&settings, &state, &expected, device)?;
        Self::new(settings, opened.parameters.origin, network, means, batch)
    }

    /// A model from a state that the official code saved, as safetensors, and good images for the
    /// residual head to compare with, which that code draws anew for every batch that it scores.
    /// The backbone's unused head may be there.
    ///
    /// # Errors
    /// [`segad_nn::NnError::WeightNames`] and [`segad_nn::NnError::WeightShape`] for the state of
    /// another network, [`segad_nn::NnError::EmptyBatch`] without a good image.
    pub fn import(
        params: DraParams,
        state: &Weights,
        good: &[Image],
        (device, precision): (Device, Precision),
        batch: usize,
    ) -> Result<Self, ModelError> {
        let device = torch_device(device)?;
        let network = Network::read(&params, state, &[], device)?;
        let size = params.image_size;
        let preprocess = params.backbone.preprocess(size, size);
        let x = preprocess.batch(good, device)?;
        let means = tch::no_grad(|| autocast(device, precision, || network.references(&x)))?;
        let origin = Origin::imported(state.digest(), precision);
        Self::new(params, origin, network, means, batch)
    }
}

/// The name of a scale's mean feature in a saved model.
fn reference_name(scale: usize) -> String {
    format!("reference.{scale}")
}

/// What a saved model holds besides the published names.
fn references(params: &DraParams) -> Result<Vec<Parameter>, ModelError> {
    let tap = params.backbone.tap(params.backbone.last_tap())?;
    let mut list = Vec::new();
    for s in 0..params.scales {
        let side = ((params.image_size >> s) as i64 + tap.stride - 1) / tap.stride;
        list.push(Parameter {
            name: reference_name(s as usize),
            shape: vec![1, tap.channels, side, side],
            trainable: false,
        });
    }
    Ok(list)
}

impl FittedClassifier for FittedDra {
    /// The model as bytes: the whole network, the mean features of the references and the
    /// parameters; it needs nothing else.
    fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin.clone(),
        };
        let inputs = SavedModel::weights_input(self.origin.weights);
        let mut tensors = self.tensors();
        for (s, reference) in self.references.iter().enumerate() {
            tensors.insert(reference_name(s), reference.shallow_clone());
        }
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// The loss over the steps of training.
    fn curve(&self) -> &[CurvePoint] {
        &self.origin.curve
    }
}

impl ImageClassifier for FittedDra {
    type Error = ModelError;

    /// −holistic + seen + pseudo + composite, each the mean over the scales.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, ModelError> {
        let device = self.network.backbone.store.device();
        batched_scores(KIND, images, self.batch, |chunk| {
            // Fixed references and running statistics: a score does not depend on its batch.
            let x = self.preprocess.batch(chunk, device)?;
            let total = tch::no_grad(|| {
                autocast(device, self.origin.precision, || {
                    self.network.scores(&x, &self.references)?.total()
                })
            });
            Ok::<_, ModelError>(total?)
        })
    }
}
