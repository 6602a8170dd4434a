use crate::score::Network;
use crate::{DraError, DraParams};
use segad_core::{Device, Image, ImageClassifier, ImageId, Key, Precision, Seed};
use segad_nn::train::CurvePoint;
use segad_nn::{Parameter, Preprocess, SavedModel, Weights, autocast, to_vec, torch_device};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const KIND: &str = "dra";
const SCHEMA: u32 = 1;
const WEIGHTS: &str = "backbone weights";

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

/// What a model was trained with, beside its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of good training images; 0: trained elsewhere.
    pub good: usize,
    /// Number of bad training images.
    pub bad: usize,
    /// Training steps.
    pub steps: u64,
    /// Seed of the heads' first values, the batches, pseudo anomalies, references and the prior.
    pub seed: Seed,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// The backbone weights that training began with.
    pub weights: Option<Key>,
    /// The good training images whose mean features the residual head compares with.
    pub references: Vec<ImageId>,
    /// The loss over the training: the sum and each head's.
    pub curve: Vec<CurvePoint>,
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
    ) -> Result<Self, DraError> {
        let size = params.settings().image_size;
        let preprocess = params.backbone().preprocess(size, size);
        let references = references
            .iter()
            .map(|t| t.f_to_kind(tch::Kind::Float))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            params,
            origin,
            network,
            references,
            preprocess,
            batch: batch.max(1),
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

    /// The loss over the steps of training.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.origin.curve
    }

    /// The network's state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.network.store.variables().into_iter().collect()
    }

    /// The model as bytes: the whole network, the mean features of the references and the
    /// parameters; it needs nothing else.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, DraError> {
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
        let mut tensors = self.tensors();
        for (s, reference) in self.references.iter().enumerate() {
            tensors.insert(reference_name(s), reference.shallow_clone());
        }
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// Reads a saved model back. The precision is that of the fit. `batch` images go through the
    /// network at once.
    ///
    /// # Errors
    /// [`segad_nn::NnError::Saved`] for a damaged or foreign model; as [`FittedDra::import`] if it
    /// is of another network.
    pub fn load(saved: &SavedModel, device: Device, batch: usize) -> Result<Self, DraError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let (settings, device) = (opened.parameters.settings.clone(), torch_device(device)?);
        let expected = references(&settings)?;
        let take = |p: &Parameter| Ok(opened.take(&p.name, &p.shape)?.f_to_device(device)?);
        let means = expected.iter().map(take).collect::<Result<_, DraError>>()?;
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
    ) -> Result<Self, DraError> {
        let device = torch_device(device)?;
        let network = Network::read(&params, state, &[], device)?;
        let size = params.settings().image_size;
        let x = params
            .backbone()
            .preprocess(size, size)
            .batch(good, device)?;
        let means = tch::no_grad(|| autocast(device, precision, || network.references(&x)))?;
        let origin = Origin {
            good: 0,
            bad: 0,
            steps: 0,
            seed: Seed(0),
            precision,
            weights: Some(state.digest()),
            references: vec![],
            curve: vec![],
        };
        Self::new(params, origin, network, means, batch)
    }
}

/// The name of a scale's mean feature in a saved model.
fn reference_name(scale: usize) -> String {
    format!("reference.{scale}")
}

/// What a saved model holds beside the published names.
fn references(params: &DraParams) -> Result<Vec<Parameter>, DraError> {
    let tap = params.backbone().tap(params.backbone().last_tap())?;
    let shape = |s: u32| {
        let side = ((params.settings().image_size >> s) as i64 + tap.stride - 1) / tap.stride;
        vec![1, tap.channels, side, side]
    };
    let scales = 0..params.settings().scales;
    Ok(scales
        .map(|s| Parameter {
            name: reference_name(s as usize),
            shape: shape(s),
            trainable: false,
        })
        .collect())
}

impl ImageClassifier for FittedDra {
    type Error = DraError;

    /// −holistic + seen + pseudo + composite, each the mean over the scales.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, DraError> {
        let mut scores = Vec::with_capacity(images.len());
        let device = self.network.store.device();
        for chunk in images.chunks(self.batch) {
            let x = self.preprocess.batch(chunk, device)?;
            let found = tch::no_grad(|| {
                autocast(device, self.origin.precision, || {
                    self.network.scores(&x, &self.references)?.total()
                })
            })?;
            scores.extend(to_vec(&found)?);
        }
        match scores.iter().position(|s| !s.is_finite()) {
            Some(index) => Err(DraError::Score {
                index,
                value: scores[index],
            }),
            None => Ok(scores),
        }
    }
}
