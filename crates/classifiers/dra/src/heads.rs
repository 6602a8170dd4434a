//! The four heads on a backbone's features N×C×h×w. Each gives one score per image, 0 or more
//! (unless all places count).

use segad_nn::train::deviation::top_mean;
use segad_nn::{NnError, Parameter, conv2d, global_average};
use tch::Tensor;

/// Width of the holistic head's hidden layer.
const HIDDEN: i64 = 256;
/// Added to the variance in the batch normalisation; weight of a batch in its running statistics.
/// PyTorch's defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The heads' state under the published names.
pub(crate) fn parameters(channels: i64) -> Vec<Parameter> {
    let c = channels;
    let shapes: [(&str, &[i64]); 16] = [
        ("holistic_head.fc1.weight", &[HIDDEN, c]),
        ("holistic_head.fc1.bias", &[HIDDEN]),
        ("holistic_head.fc2.weight", &[1, HIDDEN]),
        ("holistic_head.fc2.bias", &[1]),
        ("seen_head.scoring.weight", &[1, c, 1, 1]),
        ("seen_head.scoring.bias", &[1]),
        ("pseudo_head.scoring.weight", &[1, c, 1, 1]),
        ("pseudo_head.scoring.bias", &[1]),
        ("composite_head.scoring.weight", &[1, c, 1, 1]),
        ("composite_head.scoring.bias", &[1]),
        ("composite_head.conv.0.weight", &[c, c, 3, 3]),
        ("composite_head.conv.0.bias", &[c]),
        ("composite_head.conv.1.weight", &[c]),
        ("composite_head.conv.1.bias", &[c]),
        ("composite_head.conv.1.running_mean", &[c]),
        ("composite_head.conv.1.running_var", &[c]),
    ];
    let parameters = shapes.iter().map(|(name, shape)| Parameter {
        name: (*name).to_owned(),
        shape: shape.to_vec(),
        trainable: !name.contains("running"),
    });
    parameters.collect()
}

/// A 1×1 convolution to a map of scores.
struct Scoring {
    weight: Tensor,
    bias: Tensor,
}

impl Scoring {
    fn new(
        variable: &impl Fn(&str) -> Result<Tensor, NnError>,
        head: &str,
    ) -> Result<Self, NnError> {
        Ok(Self {
            weight: variable(&format!("{head}.scoring.weight"))?,
            bias: variable(&format!("{head}.scoring.bias"))?,
        })
    }

    fn score(&self, x: &Tensor, top_share: f64) -> Result<Tensor, NnError> {
        let map = conv2d(x, &self.weight, Some(&self.bias), 1, [0, 0], 1)?;
        top_mean(&map, top_share)
    }
}

/// The four heads.
pub(crate) struct Heads {
    /// Weight and bias of the two layers.
    holistic: [Tensor; 4],
    seen: Scoring,
    pseudo: Scoring,
    composite: Scoring,
    /// Weight and bias of the convolution; weight, bias, mean and variance of the normalisation.
    residual: [Tensor; 6],
    top_share: f64,
}

impl Heads {
    /// On variables by their published names.
    pub(crate) fn new(
        variable: impl Fn(&str) -> Result<Tensor, NnError>,
        top_share: f64,
    ) -> Result<Self, NnError> {
        Ok(Self {
            holistic: [
                variable("holistic_head.fc1.weight")?,
                variable("holistic_head.fc1.bias")?,
                variable("holistic_head.fc2.weight")?,
                variable("holistic_head.fc2.bias")?,
            ],
            seen: Scoring::new(&variable, "seen_head")?,
            pseudo: Scoring::new(&variable, "pseudo_head")?,
            composite: Scoring::new(&variable, "composite_head")?,
            residual: [
                variable("composite_head.conv.0.weight")?,
                variable("composite_head.conv.0.bias")?,
                variable("composite_head.conv.1.weight")?,
                variable("composite_head.conv.1.bias")?,
                variable("composite_head.conv.1.running_mean")?,
                variable("composite_head.conv.1.running_var")?,
            ],
            top_share,
        })
    }

    /// |fc2(ReLU(fc1(mean over places)))|.
    pub(crate) fn holistic(&self, features: &Tensor) -> Result<Tensor, NnError> {
        let [w1, b1, w2, b2] = &self.holistic;
        let hidden = global_average(features)?.f_linear(w1, Some(b1))?.f_relu()?;
        Ok(hidden
            .f_linear(w2, Some(b2))?
            // As in the official code; published weights were trained with it.
            .f_abs()?
            .f_view([-1])?
            .f_to_kind(tch::Kind::Float)?)
    }

    /// Of known defects.
    pub(crate) fn seen(&self, features: &Tensor) -> Result<Tensor, NnError> {
        self.seen.score(features, self.top_share)
    }

    /// Of artificial defects.
    pub(crate) fn pseudo(&self, features: &Tensor) -> Result<Tensor, NnError> {
        self.pseudo.score(features, self.top_share)
    }

    /// Of what differs from good images, whose mean feature is `reference` (1×C×h×w).
    pub(crate) fn composite(
        &self,
        features: &Tensor,
        reference: &Tensor,
        train: bool,
    ) -> Result<Tensor, NnError> {
        let [weight, bias, scale, shift, mean, variance] = &self.residual;
        // Reference minus feature, not the other way round: published weights expect this sign.
        let x = reference.f_sub(features)?;
        let x = conv2d(&x, weight, Some(bias), 1, [1, 1], 1)?;
        let mut x = x.f_batch_norm(
            Some(scale),
            Some(shift),
            Some(mean),
            Some(variance),
            train,
            MOMENTUM,
            EPSILON,
            true,
        )?;
        self.composite.score(&x.f_relu_()?, self.top_share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{add_variables, from_slice, to_vec};
    use tch::nn::VarStore;

    /// Two channels; every weight set by `set`, the rest zero (variance: one).
    fn heads(set: &[(&str, &[f32])]) -> (VarStore, Heads) {
        let store = VarStore::new(tch::Device::Cpu);
        add_variables(&store.root(), &parameters(2)).unwrap();
        let all = store.variables();
        let fill = |name: &str, values: &[f32]| {
            let value = from_slice(values, &all[name].size()).unwrap();
            tch::no_grad(|| all[name].shallow_clone().copy_(&value));
        };
        fill("composite_head.conv.1.running_var", &[1.0; 2]);
        set.iter().for_each(|(name, values)| fill(name, values));
        let variable = |name: &str| Ok(all[name].shallow_clone());
        let heads = Heads::new(variable, 0.25).unwrap();
        (store, heads)
    }

    fn features() -> Tensor {
        // One image, two channels of 2×2.
        from_slice(&[1.0, 2.0, 3.0, 4.0, 0.0, -1.0, 0.5, 0.5], &[1, 2, 2, 2]).unwrap()
    }

    fn value(t: Result<Tensor, NnError>) -> f32 {
        let v = to_vec(&t.unwrap()).unwrap();
        assert_eq!(v.len(), 1);
        v[0]
    }

    #[test]
    fn sizes_are_the_published_ones() {
        let list = parameters(512);
        let count = |head: &str| {
            let own = list
                .iter()
                .filter(|p| p.trainable && p.name.starts_with(head));
            own.map(|p| p.shape.iter().product::<i64>()).sum::<i64>()
        };
        assert_eq!(count("holistic_head."), 131_585);
        assert_eq!((count("seen_head."), count("pseudo_head.")), (513, 513));
        assert_eq!(count("composite_head."), 2_359_808 + 1_024 + 513);
    }

    #[test]
    fn heads_by_hand() {
        let mut fc1 = [0.0; 512];
        // Hidden 0: mean of channel 0 minus 1 = 1.5; hidden 1: −(channel 1) − 1 < 0, cut off by the
        // ReLU.
        (fc1[0], fc1[3]) = (1.0, -1.0);
        let (mut b1, mut fc2) = ([0.0; 256], [0.0; 256]);
        (b1[0], b1[1], fc2[0], fc2[1]) = (-1.0, -1.0, -2.0, 50.0);
        // The residual's convolution: the middle tap passes the channels on; the lower one turned
        // over.
        let mut conv = [0.0; 36];
        (conv[4], conv[31]) = (1.0, -1.0);
        let (_store, heads) = heads(&[
            ("holistic_head.fc1.weight", &fc1),
            ("holistic_head.fc1.bias", &b1),
            ("holistic_head.fc2.weight", &fc2),
            ("holistic_head.fc2.bias", &[0.5]),
            ("seen_head.scoring.weight", &[1.0, 2.0]),
            ("seen_head.scoring.bias", &[-6.5]),
            ("pseudo_head.scoring.weight", &[0.0, 1.0]),
            ("composite_head.conv.0.weight", &conv),
            ("composite_head.conv.1.weight", &[2.0, 1.0]),
            ("composite_head.conv.1.running_mean", &[1.0, 0.0]),
            ("composite_head.scoring.weight", &[1.0, 10.0]),
        ]);
        let x = features();
        // |−2·1.5 + 0.5|
        assert!((value(heads.holistic(&x)) - 2.5).abs() < 1e-6);
        // Maps: 1 + 0 − 6.5, 2 − 2 − 6.5, …: the largest of four absolute values.
        assert!((value(heads.seen(&x)) - 6.5).abs() < 1e-6);
        assert!((value(heads.pseudo(&x)) - 1.0).abs() < 1e-6);
        // Reference 5 and 0: residuals 4 3 2 1 and 0 1 −0.5 −0.5; channel 1 is turned over: 0 −1
        // 0.5 0.5. Normalised: 2(r − 1) and r, cut at 0: 6 4 2 0 and 0 0 0.5 0.5; scored: 6 4 7 5.
        let reference =
            from_slice(&[5.0, 5.0, 5.0, 5.0, 0.0, 0.0, 0.0, 0.0], &[1, 2, 2, 2]).unwrap();
        let found = value(heads.composite(&x, &reference, false));
        assert!((found - 7.0).abs() < 1e-3, "{found}");
    }
}
