use crate::flow::Flows;
use crate::{FastFlowParams, NAME, score};
use segad_core::{AnomalyDetector, AnomalyMap, CurvePoint, Device, Image, Precision, Seed};
use segad_nn::method::FittedDetector;
use segad_nn::model::{Extractor, ModelError, batched_maps};
use segad_nn::{NnError, SavedModel, Weights, autocast, to_vec};
use serde::{Deserialize, Serialize};
use tch::Tensor;

const SCHEMA: u32 = 1;

/// A fitted FastFlow: a backbone and its flows.
pub struct FittedFastFlow {
    params: FastFlowParams,
    origin: Origin,
    extractor: Extractor,
    flows: Flows,
    batch: usize,
}

/// What a model was fitted with, besides its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of training images.
    pub images: usize,
    /// Seed of weights, orders of channels and batches.
    pub seed: Seed,
    /// Arithmetic of backbone and flows.
    pub precision: Precision,
    /// Training steps.
    pub steps: u64,
    /// The loss over the training.
    pub curve: Vec<CurvePoint>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: FastFlowParams,
    #[serde(flatten)]
    origin: Origin,
}

/// The name of a block's order of channels in a saved model.
fn order_name(scale: usize, block: usize) -> String {
    format!("fast_flow_blocks.{scale}.module_list.{block}.order")
}

/// From images to the features of each scale.
pub(crate) fn extractor(
    params: &FastFlowParams,
    weights: &Weights,
    device: Device,
    precision: Precision,
) -> Result<Extractor, ModelError> {
    Extractor::new(
        params.backbone,
        params.layers(),
        weights,
        params.image_size,
        (device, precision),
    )
}

impl FittedFastFlow {
    pub(crate) fn new(
        params: FastFlowParams,
        origin: Origin,
        extractor: Extractor,
        mut flows: Flows,
        batch: usize,
    ) -> Self {
        flows.store.freeze();
        Self {
            params,
            origin,
            extractor,
            flows,
            batch,
        }
    }

    /// The parameters that it was fitted with.
    pub fn params(&self) -> &FastFlowParams {
        &self.params
    }

    /// What else it was fitted with.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Reads a saved model back; `weights` are those of the backbone that it was fitted with. The
    /// precision is that of the fit. `batch` images go through the network at once.
    ///
    /// # Errors
    /// [`ModelError::OtherWeights`], or [`NnError::Saved`] for a damaged or foreign model.
    pub fn load(
        saved: &SavedModel,
        weights: &Weights,
        device: Device,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let mut opened = saved.open_with_weights::<Saved>(NAME, SCHEMA, weights)?;
        let Saved { settings, origin } = opened.parameters.clone();
        let extractor = extractor(&settings, weights, device, origin.precision)?;
        let mut flows = Flows::new(&settings, &extractor.shapes(), extractor.device())?;
        for (name, mut variable) in flows.store.variables() {
            // Checked first: copying would broadcast another shape.
            let value = opened.take(&name, &variable.size())?;
            tch::no_grad(|| variable.f_copy_(&value))?;
        }
        for (s, i) in flows.blocks() {
            let name = order_name(s, i);
            let values = to_vec(&opened.take(&name, &flows.order(s, i).size())?)?;
            let order: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            // Indices out of range would make libtorch fail, repeated ones would go unnoticed.
            if !is_permutation(&order) {
                let problem = format!("tensor {name} is not an order of channels");
                return Err(NnError::Saved(problem).into());
            }
            flows.set_order(s, i, &order)?;
        }
        Ok(Self::new(settings, origin, extractor, flows, batch))
    }
}

fn is_permutation(order: &[i64]) -> bool {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..order.len() as i64)
}

impl FittedDetector for FittedFastFlow {
    /// The model as bytes: the flows, the parameters and the digest of the backbone's weights, not
    /// the weights themselves.
    fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin.clone(),
        };
        let weights = self.extractor.backbone().digest();
        let mut tensors: Vec<(String, Tensor)> = self.flows.store.variables().into_iter().collect();
        // f32 holds an order exactly: layers have far fewer than 2²⁴ channels.
        for (s, i) in self.flows.blocks() {
            tensors.push((order_name(s, i), self.flows.order(s, i).shallow_clone()));
        }
        let inputs = SavedModel::weights_input(Some(weights));
        Ok(SavedModel::new(NAME, SCHEMA, saved, inputs, tensors)?)
    }

    /// The loss over the steps of training.
    fn curve(&self) -> &[CurvePoint] {
        &self.origin.curve
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        Ok(self.extractor.input(images)?)
    }

    /// From network input to maps, N×S×S: everything between preprocessing and maps in tensor
    /// operations, so that it can be traced.
    fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        tch::no_grad(|| {
            let features = self.extractor.backbone().features(input)?;
            let outputs = autocast(self.extractor.device(), self.origin.precision, || {
                self.flows.forward(&features)
            })?;
            let hidden: Vec<Tensor> = outputs.into_iter().map(|(z, _)| z).collect();
            Ok(score::maps(&hidden, self.params.image_size)?.f_squeeze_dim(1)?)
        })
    }
}

impl AnomalyDetector for FittedFastFlow {
    type Error = ModelError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, ModelError> {
        batched_maps(NAME, images, self.batch, |chunk| {
            self.network(&self.input(chunk)?)
        })
    }
}

#[cfg(test)]
mod tests;
