//! Deterministic numbers for tests that compare a network with figures worked out elsewhere, so
//! that no weights need to be shipped: value j of the tensor called `name` is a hash of (name, j).
//! Only for tests.

use crate::{NnError, from_slice};
use tch::Tensor;
use tch::nn::VarStore;

/// Value `j` of the tensor called `name`: a hash in [−½, ½).
///
/// h₀ = FNV-1a-32 of the name; h = murmur3's final mix of (j·2654435761 + h₀) mod 2³²; the value is
/// h/2³² − ½.
pub fn uniform(name: &str, j: usize) -> f64 {
    mix(fnv(name), j)
}

fn fnv(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |h, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

fn mix(start: u32, j: usize) -> f64 {
    let mut h = (j as u32).wrapping_mul(2_654_435_761).wrapping_add(start);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^= h >> 16;
    f64::from(h) / 4_294_967_296.0 - 0.5
}

fn tensor(name: &str, shape: &[i64], scale: f64, offset: f64) -> Result<Tensor, NnError> {
    let start = fnv(name);
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count)
        .map(|j| (offset + scale * mix(start, j)) as f32)
        .collect();
    from_slice(&values, shape)
}

/// A network input: 4·U(name).
///
/// # Errors
/// libtorch's.
pub fn input(name: &str, shape: &[i64]) -> Result<Tensor, NnError> {
    tensor(name, shape, 4.0, 0.0)
}

/// A parameter by its full name. Weights of two or more dimensions (but not the C×H×W of a layer
/// normalisation) have the variance 2/fan-in; other weights and `running_var` lie in 1 ± 0.1;
/// `global_scale` in 10 ± ½; the rest (biases, running means, offsets) in ± 0.05.
///
/// # Errors
/// libtorch's.
pub fn parameter(name: &str, shape: &[i64]) -> Result<Tensor, NnError> {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "weight" if shape.len() >= 2 && shape.len() != 3 => {
            // Variance 2/fan-in keeps activations of deep networks from vanishing or exploding.
            let fan_in = shape[1..].iter().product::<i64>() as f64;
            tensor(name, shape, 12f64.sqrt() * (2.0 / fan_in).sqrt(), 0.0)
        }
        "weight" | "running_var" => tensor(name, shape, 0.2, 1.0),
        "global_scale" => tensor(name, shape, 1.0, 10.0),
        _ => tensor(name, shape, 0.1, 0.0),
    }
}

/// Sets every variable of a store, each under the name `prefix` + its own.
///
/// # Errors
/// libtorch's.
pub fn fill(store: &VarStore, prefix: &str) -> Result<(), NnError> {
    tch::no_grad(|| {
        for (name, mut variable) in store.variables() {
            let value = parameter(&format!("{prefix}{name}"), &variable.size())?;
            variable.f_copy_(&value)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(fnv("conv1.weight"), 3_184_444_564);
        for (j, u) in [0.454418841, 0.266153066, 0.421518003, -0.350311308]
            .into_iter()
            .enumerate()
        {
            assert!((uniform("conv1.weight", j) - u).abs() < 1e-9);
        }
    }

    #[test]
    fn a_store_is_filled_under_its_names() {
        let store = VarStore::new(tch::Device::Cpu);
        let root = store.root();
        let _ = tch::nn::conv2d(&root / "c", 2, 3, 3, tch::nn::ConvConfig::default());
        fill(&store, "p.").unwrap();
        let bias = crate::to_vec(&store.variables()["c.bias"]).unwrap();
        assert_eq!(bias[2], (0.1 * uniform("p.c.bias", 2)) as f32);
    }
}
