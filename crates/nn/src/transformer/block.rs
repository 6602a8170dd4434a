//! A block, and the layers that it is made of.

use crate::backbone::Narrow;
use crate::vit::EPSILON;
use crate::{NnError, Weights};
use tch::{Device, Kind, Tensor};

pub(super) struct Block {
    heads: i64,
    norm1: Norm,
    qkv: Linear,
    proj: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

/// In f32 whatever the products are computed in.
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
}

pub(super) struct Linear {
    arithmetic: Narrow,
    weight: Tensor,
    bias: Tensor,
}

/// Where tensors are taken from, and what becomes of them.
pub(super) struct Source<'a> {
    pub(super) weights: &'a Weights,
    pub(super) arithmetic: Narrow,
    pub(super) device: Device,
}

impl Block {
    pub(super) fn new(source: &Source<'_>, name: &str, heads: i64) -> Result<Self, NnError> {
        let of = |part: &str| format!("{name}.{part}");
        Ok(Self {
            heads,
            norm1: Norm::new(source, &of("norm1"))?,
            qkv: source.plain(&of("attn.qkv"))?,
            proj: source.scaled(&of("attn.proj"), &of("ls1.gamma"))?,
            norm2: Norm::new(source, &of("norm2"))?,
            fc1: source.plain(&of("mlp.fc1"))?,
            fc2: source.scaled(&of("mlp.fc2"), &of("ls2.gamma"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let attention = self.attention(&self.norm1.forward(x)?)?;
        // Not in place: somebody may hold `x` as the features of a tap.
        let mut x = x.f_add(&self.proj.forward(&attention)?)?;
        let hidden = self.fc1.arithmetic.narrow(&self.norm2.forward(&x)?)?;
        let hidden = self.fc1.forward(&hidden)?.f_gelu("none")?;
        let hidden = self.fc1.arithmetic.narrow(&hidden)?;
        Ok(x.f_add_(&self.fc2.forward(&hidden)?)?)
    }

    /// N×T×D of normalised tokens N×T×D: softmax(q·kᵀ/√d)·v of each head.
    fn attention(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let (count, tokens, width) = x.size3()?;
        let split = [count, tokens, 3, self.heads, width / self.heads];
        let qkv = self.qkv.forward(&self.qkv.arithmetic.narrow(x)?)?;
        let qkv = qkv.f_view(split)?.f_permute([2, 0, 3, 1, 4])?;
        let [q, k, v] = [0, 1, 2].map(|i| qkv.f_select(0, i));
        let none = None::<&Tensor>;
        let mixed =
            Tensor::f_scaled_dot_product_attention(&q?, &k?, &v?, none, 0.0, false, None, false)?;
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([count, tokens, width])?;
        self.proj.arithmetic.narrow(&mixed)
    }
}

impl Norm {
    pub(super) fn new(source: &Source<'_>, name: &str) -> Result<Self, NnError> {
        Ok(Self {
            weight: source.get(&format!("{name}.weight"))?,
            bias: source.get(&format!("{name}.bias"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let shape = self.weight.size();
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(x.f_layer_norm(shape, weight, bias, EPSILON, true)?)
    }
}

impl Linear {
    /// Of narrowed values.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let y = x.f_linear(&self.weight, Some(&self.bias))?;
        self.arithmetic.narrow(&y)
    }
}

impl Source<'_> {
    pub(super) fn get(&self, name: &str) -> Result<Tensor, NnError> {
        Ok(self.weights.get(name)?.f_to_device(self.device)?)
    }

    pub(super) fn linear(&self, weight: &Tensor, bias: &Tensor) -> Result<Linear, NnError> {
        Ok(Linear {
            arithmetic: self.arithmetic,
            weight: self.arithmetic.narrow(weight)?,
            bias: self.arithmetic.narrow(bias)?,
        })
    }

    fn wide(&self, name: &str) -> Result<Tensor, NnError> {
        Ok(self.get(name)?.f_to_kind(Kind::Double)?)
    }

    fn plain(&self, name: &str) -> Result<Linear, NnError> {
        let weight = self.get(&format!("{name}.weight"))?;
        self.linear(&weight, &self.get(&format!("{name}.bias"))?)
    }

    /// With a scale of the outputs folded in, in f64, so that folding costs a single rounding.
    fn scaled(&self, name: &str, scale: &str) -> Result<Linear, NnError> {
        let scale = self.wide(scale)?;
        let weight = self.wide(&format!("{name}.weight"))?;
        let weight = weight.f_mul(&scale.f_unsqueeze(1)?)?;
        let bias = self.wide(&format!("{name}.bias"))?.f_mul(&scale)?;
        let [weight, bias] = [weight, bias].map(|t| t.f_to_kind(Kind::Float));
        self.linear(&weight?, &bias?)
    }
}
