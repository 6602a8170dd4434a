//! How a described network runs, whether frozen or trained.

use crate::NnError;
use crate::architecture::{Activation, Block, Layer, Padding, Shortcut, Unit};
use crate::convolution::conv2d;
use tch::Tensor;

/// A layer whose units carry their tensors.
pub(crate) enum Built<U> {
    Unit(U),
    MaxPool,
    Block {
        main: Vec<U>,
        /// `Some(None)`: the block's input itself.
        shortcut: Option<Option<U>>,
        activation: Activation,
    },
}

impl<U> Built<U> {
    /// With what `make` gives for each unit.
    pub(crate) fn new(
        layer: &Layer,
        make: &impl Fn(&Unit) -> Result<U, NnError>,
    ) -> Result<Self, NnError> {
        Ok(match layer {
            Layer::Unit(unit) => Self::Unit(make(unit)?),
            Layer::MaxPool => Self::MaxPool,
            Layer::Block(Block {
                main,
                shortcut,
                activation,
            }) => Self::Block {
                main: main.iter().map(make).collect::<Result<_, _>>()?,
                shortcut: match shortcut {
                    Shortcut::None => None,
                    Shortcut::Identity => Some(None),
                    Shortcut::Projection(unit) => Some(Some(make(unit)?)),
                },
                activation: *activation,
            },
        })
    }

    /// `run` gives a unit's output.
    pub(crate) fn forward(
        &self,
        x: Tensor,
        run: &impl Fn(&U, &Tensor) -> Result<Tensor, NnError>,
    ) -> Result<Tensor, NnError> {
        match self {
            Self::Unit(unit) => run(unit, &x),
            Self::MaxPool => Ok(x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?),
            Self::Block {
                main,
                shortcut,
                activation,
            } => {
                let mut y = x.shallow_clone();
                for unit in main {
                    y = run(unit, &y)?;
                }
                // The sum may overwrite `y`: a block has at least one convolution, so `y` is no
                // longer `x`.
                let y = match shortcut {
                    None => y,
                    Some(None) => y.f_add_(&x)?,
                    Some(Some(unit)) => y.f_add_(&run(unit, &x)?)?,
                };
                activate(y, *activation)
            }
        }
    }
}

/// Checks that a backbone can take these images.
pub(crate) fn expect_images(images: &Tensor) -> Result<(), NnError> {
    match images.size()[..] {
        [n, 3, h, w] if n > 0 && h > 0 && w > 0 => Ok(()),
        _ => Err(NnError::Shape {
            what: "backbone input",
            actual: images.size(),
            expected: "N×3×H×W with N, H, W ≥ 1".into(),
        }),
    }
}

/// A unit's convolution, without its normalisation.
pub(crate) fn convolve(
    unit: &Unit,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, NnError> {
    let (padded, padding) = match unit.padding {
        Padding::Fixed(p) => (None, [p, p]),
        Padding::Same => {
            let (_, _, h, w) = x.size4()?;
            let (top, bottom) = same_padding(h, unit.kernel, unit.stride);
            let (left, right) = same_padding(w, unit.kernel, unit.stride);
            // oneDNN pads evenly for free; an odd zero needs a copy of the input.
            if top == bottom && left == right {
                (None, [top, left])
            } else {
                (
                    Some(x.f_constant_pad_nd([left, right, top, bottom])?),
                    [0, 0],
                )
            }
        }
    };
    let x = padded.as_ref().unwrap_or(x);
    conv2d(x, weight, bias, unit.stride, padding, unit.groups)
}

/// Zeros before and after an axis of `size` so that the output has ⌈size/stride⌉ places.
fn same_padding(size: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let out = (size + stride - 1) / stride;
    let total = ((out - 1) * stride + kernel - size).max(0);
    (total / 2, total - total / 2)
}

pub(crate) fn activate(mut x: Tensor, activation: Activation) -> Result<Tensor, NnError> {
    Ok(match activation {
        Activation::None => x,
        Activation::Relu => x.f_relu_()?,
        Activation::Relu6 => x.f_clamp_(0.0, 6.0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_tensorflows() {
        // 260 pixels, kernel 3, stride 2: one zero, behind; 65 pixels, kernel 5, stride 2: two on
        // each side.
        assert_eq!(same_padding(260, 3, 2), (0, 1));
        assert_eq!(same_padding(65, 5, 2), (2, 2));
        assert_eq!(same_padding(64, 5, 2), (1, 2));
        assert_eq!(same_padding(17, 3, 1), (1, 1));
        assert_eq!(same_padding(5, 1, 1), (0, 0));
    }
}
