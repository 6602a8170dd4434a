//! A frozen vision transformer at work.
//!
//! Tokens are N×T×D: the class, the registers, then the patches row by row. With z = norm(x), a
//! block is x + γ₁·proj(attention(z)), then x + γ₂·fc2(gelu(fc1(z))). The scales γ are folded into
//! the weights of `proj` and `fc2`. In bf16 only the products, the attention and the hidden values
//! are rounded; sums, normalisations and positions stay in f32, since a token's largest channels
//! are hundreds of times the others.

mod block;

use crate::backbone::{Narrow, TapFeatures};
use crate::vit::{OFFSET, PATCH, Vit};
use crate::{NnError, Weights};
use block::{Block, Linear, Norm, Source};
use tch::{Device, Kind, Tensor};

/// How the position embedding is brought to another number of patches: bicubic, by one of the
/// three conventions that published weights were used with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Resampling {
    /// By the ratio of the sizes, as transformers' exports do.
    Size,
    /// By the ratio to the new size plus this much: the published networks without registers add
    /// 0.1, which was meant to make up for rounding.
    Offset(f64),
    /// By the ratio of the sizes, antialiased: the published networks with registers.
    Antialiased,
}

pub(crate) struct Transformer {
    vit: Vit,
    arithmetic: Narrow,
    projection: Linear,
    /// Class with its position, and registers, 1×(1 + R)×D.
    leading: Tensor,
    /// 1×D×G×G, f32.
    positions: Tensor,
    resampling: Resampling,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    device: Device,
}

impl Transformer {
    /// Of weights that were checked, up to and including a tap's number in [`Vit::taps`].
    pub(crate) fn new(
        vit: Vit,
        last: usize,
        weights: &Weights,
        arithmetic: Narrow,
        device: Device,
    ) -> Result<Self, NnError> {
        tch::no_grad(|| {
            let source = Source {
                weights,
                arithmetic,
                device,
            };
            let [width, grid] = [vit.width, vit.grid];
            let embedding = source.get("pos_embed")?;
            let class = source.get("cls_token")?;
            // Positions of the class token are fixed, so that both are added once and not per
            // image.
            let mut leading = vec![class.f_add(&embedding.f_narrow(1, 0, 1)?)?];
            if vit.registers > 0 {
                leading.push(source.get("register_tokens")?);
            }
            let positions = embedding.f_narrow(1, 1, grid * grid)?;
            let positions = positions.f_view([1, grid, grid, width])?;
            let positions = positions.f_permute([0, 3, 1, 2])?.f_contiguous()?;
            let mut blocks = Vec::with_capacity(vit.depth.min(last + 1));
            for index in 0..vit.depth.min(last + 1) {
                blocks.push(Block::new(&source, &format!("blocks.{index}"), vit.heads)?);
            }
            // A network that ends earlier needs no last norm, nor has its file to hold one.
            let norm = (last == vit.depth).then(|| Norm::new(&source, "norm"));
            let flat = [width, 3 * PATCH * PATCH];
            let projection = source.get("patch_embed.proj.weight")?.f_view(flat)?;
            let bias = source.get("patch_embed.proj.bias")?;
            Ok(Self {
                vit,
                arithmetic,
                projection: source.linear(&projection, &bias)?,
                leading: Tensor::f_cat(&leading, 1)?,
                positions,
                resampling: Resampling::of(vit, weights)?,
                blocks,
                norm: norm.transpose()?,
                device,
            })
        })
    }

    /// What the taps give, each found by its number in [`Vit::taps`], of images N×3×H×W.
    pub(crate) fn run(&self, images: &Tensor, taps: &[usize]) -> Result<Vec<TapFeatures>, NnError> {
        let (_, _, height, width) = images.size4()?;
        if height % PATCH != 0 || width % PATCH != 0 {
            return Err(NnError::Shape {
                what: "input of a vision transformer",
                actual: images.size(),
                expected: format!("N×3×H×W with H and W multiples of {PATCH}"),
            });
        }
        let grid = [height / PATCH, width / PATCH];
        let mut x = self.embed(&images.f_to_device(self.device)?, grid)?;
        let mut found: Vec<Option<TapFeatures>> = taps.iter().map(|_| None).collect();
        for number in 0..=self.vit.depth {
            x = match (self.blocks.get(number), &self.norm) {
                (Some(block), _) => block.forward(&x)?,
                (None, Some(norm)) if number == self.vit.depth => norm.forward(&x)?,
                (None, _) => break,
            };
            // A tap may be named twice.
            for (place, _) in taps.iter().enumerate().filter(|(_, tap)| **tap == number) {
                found[place] = Some(self.features(&x, grid)?);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The tokens that enter the first block.
    fn embed(&self, images: &Tensor, [rows, columns]: [i64; 2]) -> Result<Tensor, NnError> {
        let count = images.size4()?.0;
        // A convolution whose stride is its size is one product of whole patches.
        let patches = images
            .f_reshape([count, 3, rows, PATCH, columns, PATCH])?
            .f_permute([0, 2, 4, 1, 3, 5])?
            .f_reshape([count, rows * columns, 3 * PATCH * PATCH])?;
        let patches = self
            .projection
            .forward(&self.arithmetic.narrow(&patches)?)?;
        let positions = self.positions(rows, columns)?;
        let patches = patches.f_to_kind(Kind::Float)?.f_add(&positions)?;
        let leading = self.leading.f_expand([count, -1, -1], false)?;
        Ok(Tensor::f_cat(&[leading, patches], 1)?)
    }

    /// The position embedding of a grid of patches, 1×P×D.
    fn positions(&self, rows: i64, columns: i64) -> Result<Tensor, NnError> {
        let from = self.vit.grid;
        let size = [rows, columns];
        // Even at its own size a resampling would round.
        let resampled = if size == [from, from] {
            self.positions.shallow_clone()
        } else {
            match self.resampling {
                Resampling::Size => self
                    .positions
                    .f_upsample_bicubic2d(size, false, None, None)?,
                Resampling::Offset(offset) => {
                    let [down, across] = size.map(|n| (n as f64 + offset) / from as f64);
                    self.positions
                        .f_upsample_bicubic2d(size, false, down, across)?
                }
                Resampling::Antialiased => self
                    .positions
                    .f_internal_upsample_bicubic2d_aa(size, false, None, None)?,
            }
        };
        Ok(resampled.f_flatten(2, 3)?.f_transpose(1, 2)?)
    }

    fn features(&self, tokens: &Tensor, [rows, columns]: [i64; 2]) -> Result<TapFeatures, NnError> {
        let (count, _, width) = tokens.size3()?;
        let patches = tokens.f_narrow(1, self.vit.leading(), rows * columns)?;
        let grid = patches.f_transpose(1, 2)?;
        Ok(TapFeatures {
            grid: grid.f_view([count, width, rows, columns])?,
            class: Some(tokens.f_select(1, 0)?),
        })
    }
}

impl Resampling {
    /// The file's convention, or that of the published network.
    fn of(vit: Vit, weights: &Weights) -> Result<Self, NnError> {
        let Some(stated) = weights.tensors().get(OFFSET) else {
            return Ok(if vit.registers > 0 {
                Self::Antialiased
            } else {
                Self::Offset(0.1)
            });
        };
        Ok(match stated.f_double_value(&[0])? {
            0.0 => Self::Size,
            // The file holds f32: 0.1 means the f64 that the published code divides by.
            offset => Self::Offset((offset * 1e6).round() / 1e6),
        })
    }
}
