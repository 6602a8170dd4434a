use crate::DevNetParams;
use segad_core::Seed;
use segad_nn::train::deviation::{at_scale, top_mean};
use segad_nn::train::{initialise, pytorch_default};
use segad_nn::{BackboneKind, NnError, Parameter, TrainableBackbone, Weights, conv2d};
use tch::Tensor;
use tch::nn::VarStore;

/// Where the backbone's state begins; its classification head may follow there and is not used.
const NET: &str = "feature_extractor.net.";

/// The state under the published names.
pub(crate) fn parameters(kind: BackboneKind) -> Result<Vec<Parameter>, NnError> {
    let channels = kind.tap(kind.last_tap())?.channels;
    let mut list = below(kind.parameters(Some(kind.last_tap()))?);
    for (name, shape) in [
        ("conv.weight", vec![1, channels, 1, 1]),
        ("conv.bias", vec![1]),
    ] {
        list.push(Parameter {
            name: name.to_owned(),
            shape,
            trainable: true,
        });
    }
    Ok(list)
}

/// What published files hold beside.
fn known(kind: BackboneKind) -> Result<Vec<Parameter>, NnError> {
    Ok(below(kind.parameters(None)?))
}

fn below(list: Vec<Parameter>) -> Vec<Parameter> {
    list.into_iter()
        .map(|p| Parameter {
            name: format!("{NET}{}", p.name),
            ..p
        })
        .collect()
}

/// The network: a backbone without its head, and one convolution that turns its features into a map
/// of scores.
pub(crate) struct Network {
    pub store: VarStore,
    backbone: TrainableBackbone,
    weight: Tensor,
    bias: Tensor,
    scales: u32,
    top_share: f64,
}

impl Network {
    /// The backbone with its weights, the convolution evenly within ±1/√channels.
    pub fn new(
        params: &DevNetParams,
        weights: &Weights,
        seed: Seed,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let (store, kind, s) = (VarStore::new(device), params.backbone(), params.settings());
        let (conv, net) = (
            store.root() / "conv",
            store.root() / "feature_extractor" / "net",
        );
        let channels = kind.tap(kind.last_tap())?.channels;
        let weight = conv.f_zeros("weight", &[1, channels, 1, 1])?;
        let bias = conv.f_zeros("bias", &[1])?;
        // The backbone's variables come after this: they start with its weights.
        initialise(&store, seed, pytorch_default(&store))?;
        let backbone = TrainableBackbone::new(kind, kind.last_tap(), weights, &net)?;
        drop((conv, net));
        Ok(Self {
            store,
            backbone,
            weight,
            bias,
            scales: s.scales,
            top_share: s.top_share,
        })
    }

    /// With the state of a trained network, which the parameters say the names and shapes of.
    pub fn read(
        params: &DevNetParams,
        state: &Weights,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        state.check_against("devnet", &params.parameters(), &known(params.backbone())?)?;
        let network = Self::new(params, &state.below(NET), Seed(0), device)?;
        for (name, variable) in [
            ("conv.weight", &network.weight),
            ("conv.bias", &network.bias),
        ] {
            tch::no_grad(|| variable.shallow_clone().f_copy_(&state.tensors()[name]))?;
        }
        Ok(network)
    }

    /// Scores of N×3×H×W: N values, never negative unless all places count.
    pub fn scores(&self, images: &Tensor, train: bool) -> Result<Tensor, NnError> {
        let mut scores = Vec::new();
        for s in 0..self.scales {
            let features = self.backbone.forward(&at_scale(images, s)?, train)?;
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
            let variables = network.store.variables();
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
