use crate::flow::Flows;
use crate::{FastFlowError, FastFlowParams, score};
use segad_core::{AnomalyDetector, AnomalyMap, Device, Image, Precision, Seed};
use segad_nn::train::CurvePoint;
use segad_nn::{Backbone, NnError, Preprocess, SavedModel, Weights, autocast, to_vec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const KIND: &str = "fastflow";
const SCHEMA: u32 = 1;
const WEIGHTS: &str = "backbone weights";

/// A fitted FastFlow: a backbone and its flows.
pub struct FittedFastFlow {
    params: FastFlowParams,
    origin: Origin,
    extractor: Extractor,
    flows: Flows,
    batch: usize,
}

/// What a model was fitted with, beside its parameters.
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

#[derive(Serialize, Deserialize)]
struct Saved {
    settings: FastFlowParams,
    #[serde(flatten)]
    origin: Origin,
}

/// From images to the features of each scale.
pub(crate) struct Extractor {
    backbone: Backbone,
    preprocess: Preprocess,
}

impl Extractor {
    pub fn new(
        params: &FastFlowParams,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self, FastFlowError> {
        let kind = params.backbone();
        let last = params.layers().last().map(String::as_str);
        weights.check(kind, last).map_err(FastFlowError::Weights)?;
        Ok(Self {
            backbone: Backbone::new(kind, params.layers(), weights, device, precision)?,
            preprocess: kind.preprocess(params.image_size(), params.image_size()),
        })
    }

    pub fn device(&self) -> tch::Device {
        self.backbone.device()
    }

    /// C×H×W of each scale.
    pub fn shapes(&self) -> Vec<[i64; 3]> {
        let side = |stride: i64| (self.preprocess.height as i64 + stride - 1) / stride;
        self.backbone
            .taps()
            .iter()
            .map(|t| [t.channels, side(t.stride), side(t.stride)])
            .collect()
    }

    pub fn input(&self, images: &[Image]) -> Result<Tensor, FastFlowError> {
        Ok(self.preprocess.batch(images, self.device())?)
    }

    pub fn features(&self, images: &[Image]) -> Result<Vec<Tensor>, FastFlowError> {
        Ok(self.backbone.features(&self.input(images)?)?)
    }
}

/// The name of a block's order of channels in a saved model.
fn order_name(scale: usize, block: usize) -> String {
    format!("fast_flow_blocks.{scale}.module_list.{block}.order")
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
            batch: batch.max(1),
        }
    }

    /// The parameters that it was fitted with.
    pub fn params(&self) -> &FastFlowParams {
        &self.params
    }

    /// What else it was fitted with, and its loss curve.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn input(&self, images: &[Image]) -> Result<Tensor, FastFlowError> {
        self.extractor.input(images)
    }

    /// From network input to maps, N×S×S: all that lies between preprocessing and maps as
    /// operations on tensors, so that it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, FastFlowError> {
        tch::no_grad(|| {
            let features = self.extractor.backbone.features(input)?;
            let hidden = autocast(self.extractor.device(), self.origin.precision, || {
                self.flows.forward(&features)
            })?;
            let hidden: Vec<Tensor> = hidden.into_iter().map(|h| h.0).collect();
            Ok(score::maps(&hidden, self.params.image_size())?.f_squeeze_dim(1)?)
        })
    }

    /// The model as bytes: the flows, the parameters and the digest of the backbone's weights, not
    /// the weights themselves.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, FastFlowError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin.clone(),
        };
        let inputs = BTreeMap::from([(WEIGHTS.to_owned(), self.extractor.backbone.digest())]);
        let mut tensors: Vec<(String, Tensor)> = self.flows.store.variables().into_iter().collect();
        // f32 holds an order exactly: layers have far fewer than 2²⁴ channels.
        for (s, i) in self.flows.blocks() {
            tensors.push((order_name(s, i), self.flows.order(s, i).shallow_clone()));
        }
        let tensors: Vec<(&str, &Tensor)> =
            tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// Reads a saved model back; `weights` are the backbone's, those that it was fitted with. The
    /// precision is that of the fit. `batch` images go through the network at once.
    ///
    /// # Errors
    /// [`FastFlowError::OtherWeights`], or [`NnError::Saved`] for a damaged or foreign model.
    pub fn load(
        saved: &SavedModel,
        weights: &Weights,
        device: Device,
        batch: usize,
    ) -> Result<Self, FastFlowError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let actual = weights.digest();
        let expected = opened.inputs.get(WEIGHTS).copied().unwrap_or(actual);
        if expected != actual {
            return Err(FastFlowError::OtherWeights { expected, actual });
        }
        let Saved { settings, origin } = &opened.parameters;
        let (settings, origin) = (settings.clone(), origin.clone());
        let extractor = Extractor::new(&settings, weights, device, origin.precision)?;
        let mut flows = Flows::new(&settings, &extractor.shapes(), extractor.device())?;
        for (name, mut variable) in flows.store.variables() {
            let value = opened.take(&name, &variable.size())?;
            tch::no_grad(|| variable.f_copy_(&value))?;
        }
        for (s, i) in flows.blocks() {
            let name = order_name(s, i);
            let values = to_vec(&opened.take(&name, &flows.order(s, i).size())?)?;
            let order: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if sorted.iter().enumerate().any(|(i, &v)| i as i64 != v) {
                return Err(
                    NnError::Saved(format!("tensor {name} is no order of channels")).into(),
                );
            }
            flows.set_order(s, i, &order)?;
        }
        Ok(Self::new(settings, origin, extractor, flows, batch))
    }
}

impl AnomalyDetector for FittedFastFlow {
    type Error = FastFlowError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, FastFlowError> {
        let size = self.params.image_size();
        let mut maps = Vec::with_capacity(images.len());
        for (b, chunk) in images.chunks(self.batch).enumerate() {
            let large = to_vec(&self.network(&self.input(chunk)?)?)?;
            for (i, values) in large.chunks_exact(size * size).enumerate() {
                let map = AnomalyMap::new(size, size, values.to_vec());
                maps.push(map.map_err(|source| FastFlowError::Map {
                    index: b * self.batch + i,
                    source,
                })?);
            }
        }
        Ok(maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FastFlowSettings;
    use segad_nn::{BackboneKind, golden};

    fn close(what: &str, actual: f64, expected: f64, tolerance: f64) {
        assert!(
            (actual - expected).abs() <= tolerance,
            "{what}: {actual} is not {expected}"
        );
    }

    /// Mean, mean of absolute values, first, middle and last value.
    fn summary(name: &str, tensor: &Tensor, shape: &[i64], expected: [f64; 5]) {
        assert_eq!(tensor.size(), shape, "{name}");
        let v = to_vec(tensor).unwrap();
        let mean =
            |f: &dyn Fn(f64) -> f64| v.iter().map(|&x| f(x.into())).sum::<f64>() / v.len() as f64;
        let n = v.len();
        let actual = [
            mean(&|x| x),
            mean(&f64::abs),
            v[0].into(),
            v[n / 2].into(),
            v[n - 1].into(),
        ];
        for (a, e) in actual.iter().zip(expected) {
            close(name, *a, e, 1e-4 * expected[1]);
        }
    }

    /// Against the original modules on the same deterministic weights and images.
    #[test]
    fn known_flows() {
        let kind = BackboneKind::WideResnet50_2;
        let params = FastFlowSettings {
            image_size: 64,
            ..Default::default()
        }
        .checked()
        .unwrap();
        let weights = Weights::golden(kind, Some("layer3")).unwrap();
        let extractor = Extractor::new(&params, &weights, Device::Cpu, Precision::F32).unwrap();
        let shapes = extractor.shapes();
        assert_eq!(shapes, [[256, 16, 16], [512, 8, 8], [1024, 4, 4]]);
        let mut flows = Flows::new(&params, &shapes, tch::Device::Cpu).unwrap();
        golden::fill(&flows.store, "").unwrap();
        for (s, i) in flows.blocks() {
            let channels = shapes[s][0];
            let order: Vec<i64> = (0..channels)
                .map(|j| (5 * j + i as i64 + 1) % channels)
                .collect();
            flows.set_order(s, i, &order).unwrap();
        }
        let input = golden::input("input", &[2, 3, 64, 64]).unwrap();
        let features = extractor.backbone.features(&input).unwrap();
        let out = tch::no_grad(|| flows.forward(&features)).unwrap();
        let expected = [
            (
                [
                    -1.0298773e-02,
                    1.0365511,
                    -8.7548661e-01,
                    -1.2450660,
                    5.8158267e-01,
                ],
                [521.58472, 541.38470],
            ),
            (
                [
                    -1.9609886e-02,
                    1.0144469,
                    -1.0034585,
                    -9.0382552e-01,
                    -7.2451293e-01,
                ],
                [312.64313, 342.74695],
            ),
            (
                [
                    4.0674347e-02,
                    1.0229820,
                    8.6335707e-01,
                    9.9577594e-01,
                    -5.1216781e-01,
                ],
                [451.58960, 442.37943],
            ),
        ];
        for (s, ((z, log), (figures, logs))) in out.iter().zip(expected).enumerate() {
            let [c, h, w] = shapes[s];
            summary(&format!("hidden {s}"), z, &[2, c, h, w], figures);
            for (n, expected) in logs.into_iter().enumerate() {
                close(
                    "log-determinant",
                    log.double_value(&[n as i64]),
                    expected,
                    5e-5 * expected,
                );
            }
        }
        let loss = tch::no_grad(|| flows.loss(&features))
            .unwrap()
            .double_value(&[]);
        close("loss", loss, 136_069.81, 1e-6 * 136_069.81);
        let hidden: Vec<Tensor> = out.into_iter().map(|h| h.0).collect();
        summary(
            "map",
            &score::maps(&hidden, 64).unwrap(),
            &[2, 1, 64, 64],
            [
                -3.4978605e-01,
                3.4978605e-01,
                -6.7409819e-01,
                -6.8632692e-01,
                -6.0125697e-01,
            ],
        );
    }
}
