use crate::layer::{Conv, ConvShape, WeightSource};
use segad_core::named;
use segad_nn::model::ModelError;
use segad_nn::{NnError, Parameter};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Channels of the teacher and of the autoencoder.
pub(crate) const CHANNELS: i64 = 384;

/// Which of the two patch description networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PdnSize {
    /// EfficientAD-M, the paper's.
    #[default]
    Medium,
    /// EfficientAD-S, about a third of the work.
    Small,
    /// EfficientAD-S with a sixteenth of the hidden channels, for trying out and tests; only a
    /// distilled teacher has it.
    Miniature,
}

named!(PdnSize by as_str, unknown => ModelError {
    Medium: "medium",
    Small: "small",
    Miniature: "miniature",
});

fn unknown(name: String) -> ModelError {
    ModelError::Setting {
        field: "network",
        value: format!("{name:?}"),
        expected: "medium, small or miniature".into(),
    }
}

impl PdnSize {
    /// The teacher's parameters, with the names of the published `teacher_<size>.pth`.
    pub fn teacher_parameters(self) -> Vec<Parameter> {
        parameters(self, CHANNELS)
    }

    /// File name of a teacher's weights.
    pub fn weights_name(self) -> &'static str {
        match self {
            Self::Medium => "efficientad-teacher-medium",
            Self::Small => "efficientad-teacher-small",
            Self::Miniature => "efficientad-teacher-miniature",
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Conv(ConvShape),
    /// Mean of 2×2 places, stride 2.
    Pool(i64),
}

fn conv(index: usize, [input, output]: [i64; 2], kernel: i64, padding: i64) -> ConvShape {
    ConvShape {
        index,
        input,
        output,
        kernel,
        stride: 1,
        padding,
        relu: true,
    }
}

/// The network as a list, with `output` channels at its end.
fn steps(size: PdnSize, output: i64, padded: bool) -> Vec<Step> {
    // Pooling pads wherever convolutions do, as published.
    let pool = Step::Pool(i64::from(padded));
    let convolutions = match size {
        PdnSize::Medium => vec![
            conv(0, [3, 256], 4, 3),
            conv(3, [256, 512], 4, 3),
            conv(6, [512, 512], 1, 0),
            conv(8, [512, 512], 3, 1),
            conv(10, [512, output], 4, 0),
            conv(12, [output, output], 1, 0),
        ],
        PdnSize::Small | PdnSize::Miniature => {
            let w = if size == PdnSize::Small { 128 } else { 8 };
            vec![
                conv(0, [3, w], 4, 3),
                conv(3, [w, 2 * w], 4, 3),
                conv(6, [2 * w, 2 * w], 3, 1),
                conv(8, [2 * w, output], 4, 0),
            ]
        }
    };
    let last = convolutions.len() - 1;
    let mut steps = Vec::with_capacity(convolutions.len() + 2);
    for (i, shape) in convolutions.into_iter().enumerate() {
        steps.push(Step::Conv(ConvShape {
            padding: if padded { shape.padding } else { 0 },
            // The output imitates features of both signs.
            relu: i < last,
            ..shape
        }));
        if i < 2 {
            steps.push(pool);
        }
    }
    steps
}

/// All parameters in order.
pub(crate) fn parameters(size: PdnSize, output: i64) -> Vec<Parameter> {
    let mut list = Vec::new();
    for step in steps(size, output, true) {
        if let Step::Conv(shape) = step {
            list.extend(shape.parameters());
        }
    }
    list
}

enum Layer {
    Conv(Conv),
    Pool(i64),
}

/// A patch description network: N×3×n×n to N×`output`×m×m, m = n/4 padded, n/4 − 8 unpadded.
pub(crate) struct Pdn(Vec<Layer>);

impl Pdn {
    pub(crate) fn new(
        size: PdnSize,
        output: i64,
        padded: bool,
        source: WeightSource<'_>,
    ) -> Result<Self, NnError> {
        let mut layers = Vec::new();
        for step in steps(size, output, padded) {
            layers.push(match step {
                Step::Conv(shape) => Layer::Conv(Conv::new(shape, source)?),
                Step::Pool(padding) => Layer::Pool(padding),
            });
        }
        Ok(Self(layers))
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let mut x = x.shallow_clone();
        for layer in &self.0 {
            x = match layer {
                Layer::Conv(conv) => conv.forward(&x)?,
                // The zeros beyond the border count, as published: they damp the border.
                Layer::Pool(padding) => {
                    x.f_avg_pool2d([2, 2], [2, 2], [*padding; 2], false, true, None)?
                }
            };
        }
        Ok(x)
    }
}

/// Side of a network's output for an input of side `size`.
pub(crate) fn output_side(size: usize, padded: bool) -> usize {
    if padded { size / 4 } else { size / 4 - 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(list: &[Parameter]) -> i64 {
        list.iter().map(Parameter::numel).sum()
    }

    #[test]
    fn parameter_counts() {
        assert_eq!(count(&PdnSize::Medium.teacher_parameters()), 8_026_624);
        assert_eq!(
            count(&parameters(PdnSize::Medium, 2 * CHANNELS)),
            11_615_488
        );
        assert_eq!(count(&PdnSize::Small.teacher_parameters()), 2_694_144);
        assert_eq!(count(&parameters(PdnSize::Small, 2 * CHANNELS)), 4_267_392);
        // By hand: 384 + 8, 2048 + 16, 2304 + 16, 98304 + 384.
        assert_eq!(count(&PdnSize::Miniature.teacher_parameters()), 103_464);
        let names: Vec<String> = PdnSize::Medium
            .teacher_parameters()
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert_eq!(names[..4], ["0.weight", "0.bias", "3.weight", "3.bias"]);
        assert_eq!(names[10..], ["12.weight", "12.bias"]);
    }

    #[test]
    fn output_sizes() {
        let mut zeros = |_: &str, shape: &[i64]| {
            Ok(Tensor::f_zeros(
                shape,
                (tch::Kind::Float, tch::Device::Cpu),
            )?)
        };
        for size in [128, 256] {
            for padded in [true, false] {
                let network = Pdn::new(PdnSize::Small, 4, padded, &mut zeros).unwrap();
                let image = Tensor::zeros([1, 3, size, size], (tch::Kind::Float, tch::Device::Cpu));
                let side = output_side(size as usize, padded) as i64;
                assert_eq!(
                    tch::no_grad(|| network.forward(&image)).unwrap().size(),
                    [1, 4, side, side]
                );
            }
        }
        assert_eq!((output_side(256, true), output_side(256, false)), (64, 56));
    }

    #[test]
    fn names_read_back() {
        for size in [PdnSize::Medium, PdnSize::Small, PdnSize::Miniature] {
            assert_eq!(size.as_str().parse::<PdnSize>().unwrap(), size);
        }
        assert!(
            "large"
                .parse::<PdnSize>()
                .unwrap_err()
                .to_string()
                .contains("medium, small")
        );
    }
}
