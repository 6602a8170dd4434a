use crate::layer::{Conv, ConvShape, WeightSource};
use crate::pdn::{CHANNELS, output_side};
use segad_core::Seed;
use segad_nn::NnError;
use segad_nn::train::dropout;
use tch::Tensor;

const DROPOUT: f64 = 0.2;

/// The encoder ends in one place for the whole image; `size` is the input's side, 256 in the paper.
fn encoder(size: usize) -> Vec<ConvShape> {
    let channels = [
        (0, 3, 32),
        (2, 32, 32),
        (4, 32, 64),
        (6, 64, 64),
        (8, 64, 64),
    ];
    let mut list = Vec::from(channels.map(|(index, input, output)| ConvShape {
        index,
        input,
        output,
        kernel: 4,
        stride: 2,
        padding: 1,
        relu: true,
    }));
    list.push(ConvShape {
        index: 10,
        input: 64,
        output: 64,
        kernel: size as i64 / 32,
        stride: 1,
        padding: 0,
        relu: false,
    });
    list
}

/// Each convolution with the side that its input is enlarged to; `None`: the input keeps its size.
fn decoder(size: usize, padded: bool) -> Vec<(Option<i64>, ConvShape)> {
    let n = size as i64;
    let sides = [n / 64 - 1, n / 32, n / 16 - 1, n / 8, n / 4 - 1, n / 2 - 1];
    let mut list = Vec::with_capacity(sides.len() + 2);
    for (i, side) in sides.into_iter().enumerate() {
        let conv = ConvShape {
            index: 12 + 4 * i,
            input: 64,
            output: 64,
            kernel: 4,
            stride: 1,
            padding: 2,
            relu: true,
        };
        list.push((Some(side), conv));
    }
    let last = ConvShape {
        index: 36,
        input: 64,
        output: 64,
        kernel: 3,
        stride: 1,
        padding: 1,
        relu: true,
    };
    list.push((Some(output_side(size, padded) as i64), last));
    let output = ConvShape {
        index: 38,
        output: CHANNELS,
        relu: false,
        ..last
    };
    list.push((None, output));
    list
}

/// Squeezes an image through 64 numbers and predicts the teacher's output: N×3×n×n to N×384×m×m.
pub(crate) struct Autoencoder {
    encoder: Vec<Conv>,
    decoder: Vec<(Option<i64>, Conv)>,
}

impl Autoencoder {
    pub(crate) fn new(
        size: usize,
        padded: bool,
        source: WeightSource<'_>,
    ) -> Result<Self, NnError> {
        let encoder = encoder(size)
            .into_iter()
            .map(|s| Conv::new(s, source))
            .collect::<Result<_, _>>()?;
        let decoder = decoder(size, padded)
            .into_iter()
            .map(|(side, s)| Ok((side, Conv::new(s, source)?)));
        Ok(Self {
            encoder,
            decoder: decoder.collect::<Result<_, NnError>>()?,
        })
    }

    /// `seed` is that of the dropout, which only training has.
    pub(crate) fn forward(&self, x: &Tensor, seed: Option<Seed>) -> Result<Tensor, NnError> {
        let mut x = x.shallow_clone();
        for conv in &self.encoder {
            x = conv.forward(&x)?;
        }
        // As published, the last two convolutions have no dropout.
        let drops = self.decoder.len().saturating_sub(2);
        for (i, (side, conv)) in self.decoder.iter().enumerate() {
            if let Some(side) = side {
                x = x.f_upsample_bilinear2d([*side; 2], false, None, None)?;
            }
            x = conv.forward(&x)?;
            if let Some(seed) = seed
                && i < drops
            {
                x = dropout(&x, DROPOUT, seed.derive(&format!("dropout {i}")))?;
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{Parameter, golden};

    #[test]
    fn parameter_count_and_names() {
        let decoder = decoder(256, true).into_iter().map(|d| d.1);
        let list: Vec<Parameter> = encoder(256)
            .into_iter()
            .chain(decoder)
            .flat_map(|s| s.parameters())
            .collect();
        assert_eq!(list.iter().map(Parameter::numel).sum::<i64>(), 1_096_320);
        let names: Vec<&str> = list
            .iter()
            .step_by(2)
            .map(|p| p.name.trim_end_matches(".weight"))
            .collect();
        let expected = [
            "0", "2", "4", "6", "8", "10", "12", "16", "20", "24", "28", "32", "36", "38",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn sizes_of_the_paper() {
        let sides: Vec<_> = decoder(256, true).iter().map(|d| d.0).collect();
        assert_eq!(
            sides,
            [
                Some(3),
                Some(8),
                Some(15),
                Some(32),
                Some(63),
                Some(127),
                Some(64),
                None
            ]
        );
        assert_eq!(decoder(256, false)[6].0, Some(56));
    }

    #[test]
    fn dropout_is_for_training_only() {
        let network = Autoencoder::new(128, true, &mut golden::parameter).unwrap();
        let x = golden::input("x", &[1, 3, 128, 128]).unwrap();
        tch::no_grad(|| {
            let forward = |seed: Option<u64>| network.forward(&x, seed.map(Seed)).unwrap();
            assert_eq!(forward(None).size(), [1, CHANNELS, 32, 32]);
            assert_eq!(forward(None), forward(None));
            assert_eq!(forward(Some(1)), forward(Some(1)));
            assert_ne!(forward(Some(1)), forward(None));
            assert_ne!(forward(Some(1)), forward(Some(2)));
        });
    }
}
