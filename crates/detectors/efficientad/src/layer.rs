use segad_nn::{NnError, Parameter, conv2d};
use tch::Tensor;
use tch::nn::Path;

/// Gives the tensor of a parameter, by name and shape.
pub(crate) type WeightSource<'a> = &'a mut dyn FnMut(&str, &[i64]) -> Result<Tensor, NnError>;

/// Sizes of a convolution with bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    /// Position in the published `nn.Sequential`, its name in state dictionaries.
    pub index: usize,
    pub input: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
    pub padding: i64,
    pub relu: bool,
}

impl ConvShape {
    pub(crate) fn parameters(&self) -> [Parameter; 2] {
        let weight = vec![self.output, self.input, self.kernel, self.kernel];
        [("weight", weight), ("bias", vec![self.output])].map(|(name, shape)| Parameter {
            name: format!("{}.{name}", self.index),
            shape,
            trainable: true,
        })
    }
}

/// A convolution with bias, and a ReLU if it has one.
pub(crate) struct Conv {
    weight: Tensor,
    bias: Tensor,
    shape: ConvShape,
}

impl Conv {
    pub(crate) fn new(shape: ConvShape, source: WeightSource<'_>) -> Result<Self, NnError> {
        let [weight, bias] = shape.parameters();
        Ok(Self {
            weight: source(&weight.name, &weight.shape)?,
            bias: source(&bias.name, &bias.shape)?,
            shape,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let ConvShape {
            stride,
            padding,
            relu,
            ..
        } = self.shape;
        let mut y = conv2d(x, &self.weight, Some(&self.bias), stride, [padding; 2], 1)?;
        Ok(if relu { y.f_relu_()? } else { y })
    }
}

/// A [`WeightSource`] of trainable variables below a path, all zero.
pub(crate) fn variables<'a>(
    path: Path<'a>,
) -> impl FnMut(&str, &[i64]) -> Result<Tensor, NnError> + 'a {
    move |name, shape| {
        // A store's names are paths, whose parts may not contain a dot.
        let (folder, name) = name.split_once('.').unwrap_or(("", name));
        Ok(path.sub(folder).f_zeros(name, shape)?)
    }
}
