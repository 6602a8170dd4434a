//! The student as data: one description lists its parameters, trains, and runs with batch
//! normalisation folded in.

use segad_nn::{NnError, Parameter, conv_transpose2d, conv2d};
use tch::Tensor;

/// Blocks of the decoder's layers 1, 2, 3, deepest first: as many as the WideResNet-50-2's layers
/// of the same number have.
const DEPTHS: [usize; 3] = [3, 4, 6];
/// Blocks of the bottleneck's `bn_layer`.
const DEPTH: usize = 3;

/// What determines the student's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StudentShape {
    /// Channels c₁, c₂, c₃ of the encoder's features, finest first.
    pub channels: [i64; 3],
    /// Which of them are never negative. The decoder's feature is rectified where the encoder's is.
    pub rectified: [bool; 3],
    /// Width w of the bottleneck's blocks.
    pub width: i64,
}

const POINT: Op = Op::Conv {
    kernel: 1,
    stride: 1,
};
const SAME: Op = Op::Conv {
    kernel: 3,
    stride: 1,
};
const HALVE: Op = Op::Conv {
    kernel: 3,
    stride: 2,
};

/// How a unit convolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// k×k, this stride, padding (k − 1)/2.
    Conv { kernel: i64, stride: i64 },
    /// Transposed 2×2 of stride 2: doubles height and width.
    Double,
}

/// A convolution without bias, batch normalisation, and ReLU unless `relu` is false.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub conv: String,
    pub norm: String,
    pub input: i64,
    pub output: i64,
    pub op: Op,
    pub relu: bool,
}

impl Unit {
    pub(crate) fn weight_shape(&self) -> [i64; 4] {
        match self.op {
            Op::Conv { kernel, .. } => [self.output, self.input, kernel, kernel],
            Op::Double => [self.input, self.output, 2, 2],
        }
    }

    /// The convolution alone.
    pub(crate) fn convolve(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, NnError> {
        match self.op {
            Op::Conv { kernel, stride } => {
                let padding = (kernel - 1) / 2;
                conv2d(x, weight, bias, stride, [padding; 2], 1)
            }
            Op::Double => conv_transpose2d(x, weight, bias, 2),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let list = [
            (&self.conv, "weight", self.weight_shape().to_vec(), true),
            (&self.norm, "weight", vec![self.output], true),
            (&self.norm, "bias", vec![self.output], true),
            (&self.norm, "running_mean", vec![self.output], false),
            (&self.norm, "running_var", vec![self.output], false),
        ];
        list.into_iter()
            .map(|(module, part, shape, trainable)| Parameter {
                name: format!("{module}.{part}"),
                shape,
                trainable,
            })
            .collect()
    }
}

/// ReLU(main(x) + shortcut(x)); the numbers are positions in [`Architecture::units`].
#[derive(Clone, Debug)]
struct Block {
    main: [usize; 3],
    /// `None`: x itself.
    shortcut: Option<usize>,
    /// Whether the sum is rectified.
    relu: bool,
}

/// One-class bottleneck embedding and decoder.
#[derive(Clone, Debug)]
pub(crate) struct Architecture {
    pub units: Vec<Unit>,
    /// conv1, conv2 on the first feature.
    first: [usize; 2],
    /// conv3 on the second.
    second: usize,
    bn_layer: Vec<Block>,
    decoder: [Vec<Block>; 3],
    shape: StudentShape,
}

/// Runs units: with batch statistics and gradients, or folded.
pub(crate) trait RunUnits {
    /// Convolution, normalisation and, if the unit has one, ReLU. The result shares its memory with
    /// no other tensor, so the caller may overwrite it.
    fn unit(&self, index: usize, x: &Tensor) -> Result<Tensor, NnError>;
}

/// Lists units, and hands out their positions.
#[derive(Default)]
struct Builder {
    units: Vec<Unit>,
}

impl Builder {
    fn unit(
        &mut self,
        conv: String,
        norm: String,
        [input, output]: [i64; 2],
        op: Op,
        relu: bool,
    ) -> usize {
        self.units.push(Unit {
            conv,
            norm,
            input,
            output,
            op,
            relu,
        });
        self.units.len() - 1
    }

    /// The n-th convolution and normalisation of a module, under PyTorch's usual names.
    fn numbered(
        &mut self,
        module: &str,
        n: usize,
        channels: [i64; 2],
        op: Op,
        relu: bool,
    ) -> usize {
        let conv = format!("{module}.conv{n}");
        self.unit(conv, format!("{module}.bn{n}"), channels, op, relu)
    }

    /// 1×1, `middle`, 1×1, with a shortcut that changes the size as `middle` does.
    fn block(
        &mut self,
        name: &str,
        [input, width, output]: [i64; 3],
        middle: Op,
        relu: bool,
    ) -> Block {
        let main = [
            self.numbered(name, 1, [input, width], POINT, true),
            self.numbered(name, 2, [width, width], middle, true),
            // Rectified only once the shortcut is added.
            self.numbered(name, 3, [width, output], POINT, false),
        ];
        let resize = match middle {
            Op::Double => Some(("upsample", Op::Double)),
            Op::Conv { stride: 1, .. } => None,
            Op::Conv { stride, .. } => Some(("downsample", Op::Conv { kernel: 1, stride })),
        };
        let shortcut = resize.map(|(kind, op)| {
            let conv = format!("{name}.{kind}.0");
            let norm = format!("{name}.{kind}.1");
            self.unit(conv, norm, [input, output], op, false)
        });
        Block {
            main,
            shortcut,
            relu,
        }
    }
}

impl Architecture {
    pub(crate) fn new(shape: StudentShape) -> Self {
        let [c1, c2, c3] = shape.channels;
        let mut builder = Builder::default();
        let first = [
            builder.numbered("bottleneck", 1, [c1, c2], HALVE, true),
            builder.numbered("bottleneck", 2, [c2, c3], HALVE, true),
        ];
        let second = builder.numbered("bottleneck", 3, [c2, c3], HALVE, true);
        let mut bn_layer = Vec::with_capacity(DEPTH);
        for b in 0..DEPTH {
            // The first block takes all three features at once, 3·c₃ channels.
            let (input, middle) = if b == 0 { (3, HALVE) } else { (2, SAME) };
            let channels = [input * c3, shape.width, 2 * c3];
            let name = format!("bottleneck.bn_layer.{b}");
            bn_layer.push(builder.block(&name, channels, middle, true));
        }
        let mut input = 2 * c3;
        // The decoder goes from the coarsest feature to the finest.
        let decoder = [2, 1, 0].map(|level| {
            let layer = 2 - level;
            let output = shape.channels[level];
            let mut blocks = Vec::with_capacity(DEPTHS[layer]);
            for b in 0..DEPTHS[layer] {
                let last = b + 1 == DEPTHS[layer];
                let relu = !last || shape.rectified[level];
                let channels = [input, output / 2, output];
                let middle = if b == 0 { Op::Double } else { SAME };
                let name = format!("decoder.layer{}.{b}", layer + 1);
                blocks.push(builder.block(&name, channels, middle, relu));
                input = output;
            }
            blocks
        });
        Self {
            units: builder.units,
            first,
            second,
            bn_layer,
            decoder,
            shape,
        }
    }

    /// The state, in the order of the units.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        self.units.iter().flat_map(Unit::parameters).collect()
    }

    /// The state of conv4 and bn4, which published files contain and no forward pass uses.
    pub(crate) fn unused(&self) -> Vec<Parameter> {
        let c3 = self.shape.channels[2];
        let mut builder = Builder::default();
        builder.numbered("bottleneck", 4, [4 * c3, 2 * c3], POINT, true);
        builder.units.iter().flat_map(Unit::parameters).collect()
    }

    /// N×2c₃×h×w from the encoder's features, h and w half of those of the coarsest.
    pub(crate) fn embed(
        &self,
        run: &impl RunUnits,
        features: &[Tensor; 3],
    ) -> Result<Tensor, NnError> {
        // All three features come down to the size of the coarsest.
        let h1 = run.unit(self.first[1], &run.unit(self.first[0], &features[0])?)?;
        let h2 = run.unit(self.second, &features[1])?;
        let x = Tensor::f_cat(&[h1, h2, features[2].shallow_clone()], 1)?;
        run_blocks(run, &self.bn_layer, x)
    }

    /// The three features, of the encoder's shapes and in its order, from the embedding.
    pub(crate) fn decode(
        &self,
        run: &impl RunUnits,
        embedding: Tensor,
    ) -> Result<[Tensor; 3], NnError> {
        let c = run_blocks(run, &self.decoder[0], embedding)?;
        let b = run_blocks(run, &self.decoder[1], c.shallow_clone())?;
        let a = run_blocks(run, &self.decoder[2], b.shallow_clone())?;
        Ok([a, b, c])
    }
}

fn run_blocks(run: &impl RunUnits, blocks: &[Block], mut x: Tensor) -> Result<Tensor, NnError> {
    for block in blocks {
        let mut y = run.unit(block.main[0], &x)?;
        y = run.unit(block.main[1], &y)?;
        y = run.unit(block.main[2], &y)?;
        // In place: nobody else has y, and no gradient needs its value.
        let mut sum = match block.shortcut {
            Some(unit) => y.f_add_(&run.unit(unit, &x)?)?,
            None => y.f_add_(&x)?,
        };
        x = if block.relu { sum.f_relu_()? } else { sum };
    }
    Ok(x)
}

#[cfg(test)]
mod tests;
