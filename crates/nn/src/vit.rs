//! Vision transformers as DINOv2 builds them (Oquab et al. 2023; registers: Darcet et al. 2024),
//! with the names of the published files.

use crate::architecture::Parameter;

/// Side of a patch in pixels.
pub(crate) const PATCH: i64 = 14;
/// Added to the variance in every layer normalisation.
pub(crate) const EPSILON: f64 = 1e-6;
/// The tap behind the last block's layer normalisation.
pub(crate) const NORM: &str = "norm";
/// A file may hold this one value: what was added to the number of patches when the position
/// embedding was resampled.
pub(crate) const OFFSET: &str = "interpolate_offset";
/// Hidden values of the perceptron of a block, per channel.
const MLP_RATIO: i64 = 4;

/// The sizes of a vision transformer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vit {
    /// Channels of a token.
    pub width: i64,
    pub depth: usize,
    /// Attention heads; they share the channels.
    pub heads: i64,
    /// Tokens that belong to no patch and keep global information out of those that do.
    pub registers: i64,
    /// Patches along each side of the images that the position embedding was trained on.
    pub grid: i64,
}

impl Vit {
    /// The published sizes: trained on 518 pixels, 12 blocks, heads of 64 channels.
    pub(crate) fn dinov2(width: i64, registers: i64) -> Self {
        Self {
            width,
            depth: 12,
            // Every head of DINOv2 has 64 channels, whatever the width.
            heads: width / 64,
            registers,
            grid: 37,
        }
    }

    /// Four narrow blocks with two registers.
    pub(crate) fn miniature() -> Self {
        Self {
            width: 32,
            depth: 4,
            heads: 2,
            registers: 2,
            grid: 5,
        }
    }

    /// `block0`, `block1`, …, `norm`.
    pub(crate) fn taps(&self) -> Vec<String> {
        let blocks = (0..self.depth).map(|i| format!("block{i}"));
        blocks.chain([NORM.to_owned()]).collect()
    }

    /// Tokens before those of the patches: the class and the registers.
    pub(crate) fn leading(&self) -> i64 {
        1 + self.registers
    }

    /// The state up to and including a tap's number in [`Vit::taps`].
    pub(crate) fn parameters(&self, tap: usize) -> Vec<Parameter> {
        let mut list = self.embedding();
        for block in 0..self.depth.min(tap + 1) {
            list.extend(self.block(block));
        }
        if tap == self.depth {
            list.extend(norm("norm", self.width));
        }
        list
    }

    /// What only the training of the published networks used.
    pub(crate) fn head(&self) -> Vec<Parameter> {
        // Only training masks patches; published files hold the token all the same.
        vec![Parameter::new("mask_token".into(), &[1, self.width], true)]
    }

    /// What a file may hold, although the published ones do not.
    pub(crate) fn optional(&self) -> Vec<Parameter> {
        vec![Parameter::new(OFFSET.into(), &[1], false)]
    }

    fn embedding(&self) -> Vec<Parameter> {
        let positions = 1 + self.grid * self.grid;
        let token = |name: &str, count| Parameter::new(name.into(), &[1, count, self.width], true);
        let mut list = vec![token("cls_token", 1), token("pos_embed", positions)];
        if self.registers > 0 {
            list.push(token("register_tokens", self.registers));
        }
        let shape = [self.width, 3, PATCH, PATCH];
        list.push(Parameter::new(
            "patch_embed.proj.weight".into(),
            &shape,
            true,
        ));
        list.push(Parameter::new(
            "patch_embed.proj.bias".into(),
            &[self.width],
            true,
        ));
        list
    }

    fn block(&self, index: usize) -> Vec<Parameter> {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let (width, hidden) = (self.width, MLP_RATIO * self.width);
        let scale = |part| Parameter::new(name(part), &[width], true);
        let mut list = Vec::new();
        list.extend(norm(&name("norm1"), width));
        list.extend(linear(&name("attn.qkv"), width, 3 * width));
        list.extend(linear(&name("attn.proj"), width, width));
        list.push(scale("ls1.gamma"));
        list.extend(norm(&name("norm2"), width));
        list.extend(linear(&name("mlp.fc1"), width, hidden));
        list.extend(linear(&name("mlp.fc2"), hidden, width));
        list.push(scale("ls2.gamma"));
        list
    }
}

fn norm(name: &str, width: i64) -> [Parameter; 2] {
    ["weight", "bias"].map(|part| Parameter::new(format!("{name}.{part}"), &[width], true))
}

fn linear(name: &str, input: i64, output: i64) -> [Parameter; 2] {
    [
        Parameter::new(format!("{name}.weight"), &[output, input], true),
        Parameter::new(format!("{name}.bias"), &[output], true),
    ]
}
