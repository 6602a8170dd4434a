use crate::{NnError, from_slice};
use rand::Rng;
use segad_core::Seed;
use std::collections::BTreeMap;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// How a variable starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All values this.
    Constant(f64),
    /// Evenly between minus and plus this.
    Uniform(f64),
    /// Normally around 0 with this standard deviation.
    Normal(f64),
}

/// Sets every variable of a store, trained or not, to what `choose` says of its name and shape; a
/// variable's numbers depend only on the seed and its name, not on libtorch's generator.
///
/// # Errors
/// libtorch's.
pub fn initialise(
    store: &VarStore,
    seed: Seed,
    choose: impl Fn(&str, &[i64]) -> Initial,
) -> Result<(), NnError> {
    for (name, mut variable) in store.variables() {
        let shape = variable.size();
        // A stream per name: adding a layer does not change the others' first values.
        let value = draw(choose(&name, &shape), &shape, seed.derive(&name))?;
        tch::no_grad(|| variable.f_copy_(&value))?;
    }
    Ok(())
}

/// What PyTorch's layers start with: weights and biases of convolutions, transposed convolutions
/// and linear layers evenly within ±1/√fan-in, where fan-in is the number of values below the
/// weight's first dimension; normalisations with weight and variance 1, bias and mean 0. Weights of
/// 3 dimensions are those of layer normalisations over C×H×W.
pub fn pytorch_default(store: &VarStore) -> impl Fn(&str, &[i64]) -> Initial + use<> {
    let shapes: BTreeMap<String, Vec<i64>> = store
        .variables()
        .into_iter()
        .map(|(name, t)| (name, t.size()))
        .collect();
    move |name, shape| {
        let (stem, part) = name.rsplit_once('.').unwrap_or(("", name));
        match part {
            "weight" => bound(shape).map_or(Initial::Constant(1.0), Initial::Uniform),
            "running_var" => Initial::Constant(1.0),
            // A bias has no fan-in of its own; its layer's weight has.
            "bias" => {
                let weight = shapes.get(&format!("{stem}.weight"));
                let bound = weight.and_then(|w| bound(w));
                bound.map_or(Initial::Constant(0.0), Initial::Uniform)
            }
            _ => Initial::Constant(0.0),
        }
    }
}

/// 1/√fan-in of the weight of a linear or convolutional layer.
fn bound(weight: &[i64]) -> Option<f64> {
    matches!(weight.len(), 2 | 4).then(|| 1.0 / (weight[1..].iter().product::<i64>() as f64).sqrt())
}

fn draw(initial: Initial, shape: &[i64], seed: Seed) -> Result<Tensor, NnError> {
    let n = shape.iter().product::<i64>() as usize;
    let mut rng = seed.rng();
    let values: Vec<f32> = match initial {
        Initial::Constant(c) => vec![c as f32; n],
        Initial::Uniform(bound) => (0..n)
            .map(|_| ((2.0 * uniform(&mut rng, 0.0, 1.0) - 1.0) * bound) as f32)
            .collect(),
        Initial::Normal(deviation) => (0..n)
            .map(|_| {
                let (radius, cosine) = normal_factors(&mut rng);
                // From left to right: the order of products is part of the numbers.
                (deviation * radius * cosine) as f32
            })
            .collect(),
    };
    from_slice(&values, shape)
}

/// A number drawn evenly from `low` up to, not including, `high`.
pub fn uniform(rng: &mut impl Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * (f64::from(rng.next_u32()) / 4_294_967_296.0)
}

/// Two factors whose product is a number from N(0, 1), by Box and Muller. The second number that a
/// pair of uniform ones could give is not used, so that each draw takes two steps of the generator.
pub(super) fn normal_factors(rng: &mut impl Rng) -> (f64, f64) {
    // 1 − u is never 0, and ln 0 would be infinite.
    let radius = (-2.0 * (1.0 - uniform(rng, 0.0, 1.0)).ln()).sqrt();
    let cosine = (std::f64::consts::TAU * uniform(rng, 0.0, 1.0)).cos();
    (radius, cosine)
}

/// Dropout with a mask from a seed: each value becomes 0 with probability `rate`, else itself/(1 −
/// rate).
///
/// # Errors
/// libtorch's.
pub fn dropout(x: &Tensor, rate: f64, seed: Seed) -> Result<Tensor, NnError> {
    // Compared as integers: the mask is the same on every processor.
    let limit = (rate.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
    let keep = if rate < 1.0 {
        (1.0 / (1.0 - rate)) as f32
    } else {
        0.0
    };
    let mut rng = seed.rng();
    let values: Vec<f32> = (0..x.numel())
        .map(|_| {
            if u64::from(rng.next_u32()) < limit {
                0.0
            } else {
                keep
            }
        })
        .collect();
    let mask = from_slice(&values, &x.size())?
        .f_to_device(x.device())?
        .f_to_kind(match x.kind() {
            Kind::BFloat16 => Kind::BFloat16,
            _ => Kind::Float,
        })?;
    Ok(x.f_mul(&mask)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;
    use tch::nn;

    fn moments(v: &[f32]) -> (f64, f64) {
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let square = v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / v.len() as f64;
        (mean, (square - mean * mean).sqrt())
    }

    #[test]
    fn numbers_are_spread_as_said() {
        let v = to_vec(&draw(Initial::Uniform(0.5), &[100, 100], Seed(1)).unwrap()).unwrap();
        let (mean, deviation) = moments(&v);
        assert!(
            mean.abs() < 0.01 && (deviation - 0.5 / 3f64.sqrt()).abs() < 0.01,
            "{mean} {deviation}"
        );
        assert!(v.iter().all(|x| x.abs() <= 0.5));
        let v = to_vec(&draw(Initial::Normal(2.0), &[10_000], Seed(1)).unwrap()).unwrap();
        let (mean, deviation) = moments(&v);
        assert!(
            mean.abs() < 0.08 && (deviation - 2.0).abs() < 0.06,
            "{mean} {deviation}"
        );
        let beyond = v.iter().filter(|x| x.abs() > 4.0).count();
        assert!((380..540).contains(&beyond), "{beyond}");
    }

    #[test]
    fn layers_start_as_in_pytorch() {
        let make = |extra: bool| {
            let store = nn::VarStore::new(tch::Device::Cpu);
            let root = store.root();
            if extra {
                let _ = root.zeros("another", &[3]);
            }
            let config = nn::ConvConfig {
                ws_init: nn::Init::Const(0.0),
                ..Default::default()
            };
            let _ = nn::conv2d(&root / "c", 4, 9, 3, config);
            let _ = nn::batch_norm2d(&root / "n", 9, Default::default());
            let _ = (&root / "l").zeros("weight", &[2, 3, 3]);
            let _ = (&root / "l").zeros("bias", &[2, 3, 3]);
            initialise(&store, Seed(3), pytorch_default(&store)).unwrap();
            store.variables()
        };
        let v = make(false);
        let values = |name: &str| to_vec(&v[name]).unwrap();
        for name in ["c.weight", "c.bias"] {
            let largest = values(name).iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(largest <= 1.0 / 6.0 && largest > 0.09, "{name} {largest}");
        }
        for (name, value) in [
            ("n.weight", 1.0),
            ("n.bias", 0.0),
            ("n.running_var", 1.0),
            ("n.running_mean", 0.0),
            ("l.weight", 1.0),
            ("l.bias", 0.0),
        ] {
            assert!(values(name).iter().all(|&x| x == value), "{name}");
        }
        let w = make(true);
        assert_eq!(to_vec(&w["c.weight"]).unwrap(), values("c.weight"));
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let x = Tensor::ones([50, 200], (Kind::Float, tch::Device::Cpu));
        let v = to_vec(&dropout(&x, 0.2, Seed(1)).unwrap()).unwrap();
        assert!(v.iter().all(|&x| x == 0.0 || x == 1.25));
        assert!((moments(&v).0 - 1.0).abs() < 0.02);
        assert_eq!(v, to_vec(&dropout(&x, 0.2, Seed(1)).unwrap()).unwrap());
        assert_eq!(
            to_vec(&dropout(&x, 0.0, Seed(1)).unwrap()).unwrap(),
            vec![1.0; 10_000]
        );
    }
}
