use crate::DevNetParams;
use segad_core::Seed;
use segad_nn::train::deviation::{HeadedBackbone, at_scale, top_mean};
use segad_nn::{BackboneKind, NnError, Parameter, Weights, conv2d};
use tch::Tensor;

const WEIGHT: &str = "conv.weight";
const BIAS: &str = "conv.bias";

/// The state of the convolution that turns features into a map of scores.
pub(crate) fn head(kind: BackboneKind) -> Vec<Parameter> {
    let channels = kind.last_channels();
    let parameter = |name: &str, shape: &[i64]| Parameter {
        name: name.to_owned(),
        shape: shape.to_vec(),
        trainable: true,
    };
    vec![
        parameter(WEIGHT, &[1, channels, 1, 1]),
        parameter(BIAS, &[1]),
    ]
}

/// The network: a backbone without its head, and one convolution that turns its features into a map
/// of scores.
pub(crate) struct Network {
    pub backbone: HeadedBackbone,
    weight: Tensor,
    bias: Tensor,
    scales: u32,
    top_share: f64,
}

impl Network {
    /// The backbone with its weights, the convolution evenly within ±1/√channels.
    pub(crate) fn new(
        params: &DevNetParams,
        weights: &Weights,
        seed: Seed,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let kind = params.backbone;
        Self::on(
            params,
            HeadedBackbone::new(kind, &head(kind), weights, seed, device)?,
        )
    }

    /// With the state of a trained network, which the parameters say the names and shapes of.
    pub(crate) fn read(
        params: &DevNetParams,
        state: &Weights,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let kind = params.backbone;
        let backbone = HeadedBackbone::read("devnet", kind, head(kind), &[], state, device)?;
        Self::on(params, backbone)
    }

    fn on(params: &DevNetParams, backbone: HeadedBackbone) -> Result<Self, NnError> {
        Ok(Self {
            weight: backbone.variable(WEIGHT)?,
            bias: backbone.variable(BIAS)?,
            backbone,
            scales: params.scales,
            top_share: params.top_share,
        })
    }

    /// Scores of N×3×H×W: N values, never negative unless all places count.
    pub(crate) fn scores(&self, images: &Tensor, train: bool) -> Result<Tensor, NnError> {
        let mut scores = Vec::new();
        for s in 0..self.scales {
            // Weights are shared by all scales: a defect may be large or small.
            let features = self.backbone.features(&at_scale(images, s)?, train)?;
            let map = conv2d(&features, &self.weight, Some(&self.bias), 1, [0, 0], 1)?;
            scores.push(top_mean(&map, self.top_share)?);
        }
        Ok(Tensor::f_stack(&scores, 0)?.f_mean_dim([0i64].as_slice(), false, None)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DevNetSettings;
    use segad_nn::model::Settings;
    use segad_nn::{Backbone, golden, to_vec};

    #[test]
    fn scores_are_the_formula_on_the_backbones_features() {
        for (kind, channels) in [
            (BackboneKind::Resnet18, 512),
            (BackboneKind::EfficientnetLite2, 352),
        ] {
            let settings = DevNetSettings {
                backbone: kind,
                image_size: 128,
                ..Default::default()
            };
            let weights = Weights::golden(kind, Some(kind.last_tap())).unwrap();
            let params = settings.checked().unwrap();
            let network = Network::new(&params, &weights, Seed(4), tch::Device::Cpu).unwrap();
            let variables = network.backbone.store.variables();
            let head = to_vec(&variables["conv.weight"]).unwrap();
            let bound = 1.0 / f64::from(channels).sqrt();
            let largest = head.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert_eq!(head.len() as i32, channels);
            assert!(
                f64::from(largest) <= bound && f64::from(largest) > 0.9 * bound,
                "{largest}"
            );
            let bias = to_vec(&variables["conv.bias"]).unwrap()[0];

            let (device, precision) = Default::default();
            let frozen =
                Backbone::new(kind, &[kind.last_tap()], &weights, device, precision).unwrap();
            let x = golden::input("x", &[2, 3, 128, 128]).unwrap();
            let mut expected = [0.0; 2];
            for side in [128i64, 64] {
                let input = x.upsample_nearest2d([side, side], None, None);
                let features = &frozen.features(&input).unwrap()[0];
                let places = (side / 32 * side / 32) as usize;
                let f = to_vec(features).unwrap();
                for n in 0..2 {
                    let mut map: Vec<f32> = (0..places)
                        .map(|p| {
                            let at = |c: usize| f[(n * channels as usize + c) * places + p];
                            let sum: f32 = head.iter().enumerate().map(|(c, w)| w * at(c)).sum();
                            (sum + bias).abs()
                        })
                        .collect();
                    map.sort_by(|a, b| b.total_cmp(a));
                    // A tenth of 16 and of 4 places, at least one.
                    expected[n] += f64::from(map[0]) / 2.0;
                }
            }
            let found = to_vec(&tch::no_grad(|| network.scores(&x, false)).unwrap()).unwrap();
            for (a, e) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*a) - e).abs() < 1e-4 * e.max(1.0),
                    "{kind}: {found:?} {expected:?}"
                );
            }
        }
    }
}
