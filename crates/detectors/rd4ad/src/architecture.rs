//! The student as data: one description lists its parameters, trains, and runs with batch
//! normalisation folded in.

use segad_nn::{NnError, Parameter, conv_transpose2d, conv2d};
use tch::Tensor;

/// Blocks of the decoder's layers, deepest first: those of the WideResNet-50-2's layers 3, 2, 1
/// turned round.
const DEPTHS: [usize; 3] = [3, 4, 6];
/// Blocks of the bottleneck's `bn_layer`.
const DEPTH: usize = 3;

/// What the student's sizes follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Channels c₁, c₂, c₃ of the encoder's features, finest first.
    pub channels: [i64; 3],
    /// Which of them are never negative. The decoder's feature is rectified where the encoder's is.
    pub rectified: [bool; 3],
    /// Width w of the bottleneck's blocks.
    pub width: i64,
}

/// How a unit convolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// k×k, this stride, padding (k − 1)/2.
    Conv { kernel: i64, stride: i64 },
    /// Transposed 2×2 of stride 2: doubles height and width.
    Double,
}

/// A convolution without bias, batch normalisation, perhaps ReLU.
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
    pub fn weight_shape(&self) -> [i64; 4] {
        match self.op {
            Op::Conv { kernel, .. } => [self.output, self.input, kernel, kernel],
            Op::Double => [self.input, self.output, 2, 2],
        }
    }

    /// The convolution alone.
    pub fn convolve(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, NnError> {
        match self.op {
            Op::Conv { kernel, stride } => {
                let p = (kernel - 1) / 2;
                conv2d(x, weight, bias, stride, [p, p], 1)
            }
            Op::Double => conv_transpose2d(x, weight, bias, 2),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let one = |name: String, shape: &[i64], trainable| Parameter {
            name,
            shape: shape.to_vec(),
            trainable,
        };
        let norm =
            |part: &str, trainable| one(format!("{}.{part}", self.norm), &[self.output], trainable);
        vec![
            one(format!("{}.weight", self.conv), &self.weight_shape(), true),
            norm("weight", true),
            norm("bias", true),
            norm("running_mean", false),
            norm("running_var", false),
        ]
    }
}

/// ReLU(main(x) + shortcut(x)); numbers are positions in [`Architecture::units`].
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
    shape: Shape,
}

/// Runs units: with batch statistics and gradients, or folded.
pub(crate) trait Run {
    /// Convolution, normalisation and, if the unit has one, ReLU. The result is nobody else's and
    /// may be overwritten.
    fn unit(&self, index: usize, x: &Tensor) -> Result<Tensor, NnError>;
}

impl Architecture {
    pub fn new(shape: Shape) -> Self {
        let [c1, c2, c3] = shape.channels;
        let mut units = Vec::new();
        let mut unit = |conv: String, norm: String, (input, output): (i64, i64), op, relu| {
            units.push(Unit {
                conv,
                norm,
                input,
                output,
                op,
                relu,
            });
            units.len() - 1
        };
        let halve = Op::Conv {
            kernel: 3,
            stride: 2,
        };
        let mut lead = |n: usize, sizes| {
            unit(
                format!("bottleneck.conv{n}"),
                format!("bottleneck.bn{n}"),
                sizes,
                halve,
                true,
            )
        };
        let first = [lead(1, (c1, c2)), lead(2, (c2, c3))];
        let second = lead(3, (c2, c3));

        let mut block = |name: String, (input, width, output): (i64, i64, i64), middle, relu| {
            let point = Op::Conv {
                kernel: 1,
                stride: 1,
            };
            let mut part = |n: usize, sizes, op| {
                unit(
                    format!("{name}.conv{n}"),
                    format!("{name}.bn{n}"),
                    sizes,
                    op,
                    n < 3,
                )
            };
            let main = [
                part(1, (input, width), point),
                part(2, (width, width), middle),
                part(3, (width, output), point),
            ];
            let change = match middle {
                Op::Double => Some(("upsample", Op::Double)),
                Op::Conv { stride: 2, .. } => Some((
                    "downsample",
                    Op::Conv {
                        kernel: 1,
                        stride: 2,
                    },
                )),
                Op::Conv { .. } => None,
            };
            let shortcut = change.map(|(kind, op)| {
                unit(
                    format!("{name}.{kind}.0"),
                    format!("{name}.{kind}.1"),
                    (input, output),
                    op,
                    false,
                )
            });
            Block {
                main,
                shortcut,
                relu,
            }
        };
        let same = Op::Conv {
            kernel: 3,
            stride: 1,
        };
        let bn_layer = (0..DEPTH)
            .map(|b| {
                let (input, middle) = if b == 0 {
                    (3 * c3, halve)
                } else {
                    (2 * c3, same)
                };
                block(
                    format!("bottleneck.bn_layer.{b}"),
                    (input, shape.width, 2 * c3),
                    middle,
                    true,
                )
            })
            .collect();
        let mut input = 2 * c3;
        let decoder = [2, 1, 0].map(|level| {
            let (layer, output) = (2 - level, shape.channels[level]);
            (0..DEPTHS[layer])
                .map(|b| {
                    let middle = if b == 0 { Op::Double } else { same };
                    let relu = b + 1 < DEPTHS[layer] || shape.rectified[level];
                    let sizes = (std::mem::replace(&mut input, output), output / 2, output);
                    block(
                        format!("decoder.layer{}.{b}", layer + 1),
                        sizes,
                        middle,
                        relu,
                    )
                })
                .collect()
        });
        Self {
            units,
            first,
            second,
            bn_layer,
            decoder,
            shape,
        }
    }

    /// The state, in the order in which the units were made.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.units.iter().flat_map(Unit::parameters).collect()
    }

    /// The state of conv4 and bn4, which published files hold and no forward pass uses.
    pub fn unused(&self) -> Vec<Parameter> {
        let c3 = self.shape.channels[2];
        let (conv, norm) = ("bottleneck.conv4".to_owned(), "bottleneck.bn4".to_owned());
        let op = Op::Conv {
            kernel: 1,
            stride: 1,
        };
        Unit {
            conv,
            norm,
            input: 4 * c3,
            output: 2 * c3,
            op,
            relu: true,
        }
        .parameters()
    }

    /// N×2c₃×h×w from the encoder's features, h and w half of those of the coarsest.
    pub fn embed(&self, run: &impl Run, features: &[Tensor; 3]) -> Result<Tensor, NnError> {
        let h1 = run.unit(self.first[1], &run.unit(self.first[0], &features[0])?)?;
        let h2 = run.unit(self.second, &features[1])?;
        let x = Tensor::f_cat(&[h1, h2, features[2].shallow_clone()], 1)?;
        blocks(run, &self.bn_layer, x)
    }

    /// The three features, of the encoder's shapes and in its order, from the embedding.
    pub fn decode(&self, run: &impl Run, embedding: Tensor) -> Result<[Tensor; 3], NnError> {
        let c = blocks(run, &self.decoder[0], embedding)?;
        let b = blocks(run, &self.decoder[1], c.shallow_clone())?;
        let a = blocks(run, &self.decoder[2], b.shallow_clone())?;
        Ok([a, b, c])
    }
}

fn blocks(run: &impl Run, blocks: &[Block], mut x: Tensor) -> Result<Tensor, NnError> {
    for block in blocks {
        let mut y = run.unit(block.main[0], &x)?;
        y = run.unit(block.main[1], &y)?;
        y = run.unit(block.main[2], &y)?;
        let mut sum = match block.shortcut {
            Some(unit) => y.f_add_(&run.unit(unit, &x)?)?,
            None => y.f_add_(&x)?,
        };
        x = if block.relu { sum.f_relu_()? } else { sum };
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(shape: Shape, prefix: &str) -> i64 {
        let all = Architecture::new(shape).parameters();
        all.iter()
            .filter(|p| p.trainable && p.name.starts_with(prefix))
            .map(Parameter::numel)
            .sum()
    }

    fn wide(width: i64) -> Shape {
        Shape {
            channels: [256, 512, 1024],
            rectified: [true; 3],
            width,
        }
    }

    #[test]
    fn published_parameter_counts() {
        assert_eq!(count(wide(512), "bottleneck."), 30_829_568);
        assert_eq!(count(wide(1024), "bottleneck."), 58_885_120);
        assert_eq!(count(wide(512), "decoder."), 24_917_504);
        for (layer, n) in [(1, 17_840_128), (2, 5_317_632), (3, 1_759_744)] {
            assert_eq!(count(wide(512), &format!("decoder.layer{layer}.")), n);
        }
        let unused = Architecture::new(wide(512)).unused();
        let dead: i64 = unused
            .iter()
            .filter(|p| p.trainable)
            .map(Parameter::numel)
            .sum();
        assert_eq!(dead, 8_392_704);
        assert_eq!(30_829_568 + dead, 39_222_272);
        assert_eq!(58_885_120 + dead, 67_277_824);
    }

    #[test]
    fn published_names() {
        let names: Vec<String> = Architecture::new(wide(512))
            .parameters()
            .into_iter()
            .map(|p| p.name)
            .collect();
        // 3 lead units; 3 blocks of 3 units with one shortcut; 13 decoder blocks with three; 5
        // tensors each.
        assert_eq!(names.len(), 5 * (3 + 9 + 1 + 39 + 3));
        for name in [
            "bottleneck.conv3.weight",
            "bottleneck.bn1.running_mean",
            "bottleneck.bn_layer.0.downsample.1.running_var",
            "bottleneck.bn_layer.2.conv3.weight",
            "decoder.layer1.0.upsample.0.weight",
            "decoder.layer3.5.bn3.bias",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn linear_encoders_have_linear_features() {
        let shape = Shape {
            channels: [24, 48, 120],
            rectified: [true, false, false],
            width: 60,
        };
        let a = Architecture::new(shape);
        let rectified = |layer: usize| a.decoder[layer].iter().map(|b| b.relu).collect::<Vec<_>>();
        assert_eq!(rectified(0), [true, true, false]);
        assert_eq!(rectified(1), [true, true, true, false]);
        assert_eq!(rectified(2), [true; 6]);
        // By hand: 24·48·9 + 48·120·9 twice, and the norms' 2·(48 + 120 + 120).
        let lead: i64 = a.units[..3]
            .iter()
            .flat_map(Unit::parameters)
            .filter(|p| p.trainable)
            .map(|p| p.numel())
            .sum();
        assert_eq!(lead, 10_368 + 2 * 51_840 + 576);
    }
}
