//! What a teacher is distilled from: PatchCore's patch features, 384 per place.

use crate::pdn::CHANNELS;
use crate::{DistillParams, EfficientAdError};
use segad_core::{Device, Image, Precision};
use segad_nn::model::Extractor;
use segad_nn::{NnError, Weights, from_slice};
use tch::Tensor;

/// Channels that each layer's patches are averaged to before they are joined.
const WIDTH: usize = 1024;

/// `adaptive_avg_pool1d` as weights: output j is the mean of the inputs ⌊j·n/m⌋ … ⌈(j+1)·n/m⌉ − 1.
fn bins(n: usize, m: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..m).map(move |j| j * n / m..((j + 1) * n).div_ceil(m))
}

/// What becomes of one layer's features, as the weights of a 3×3 convolution, K×C×3×3.
///
/// Published: unfold 3×3 patches to 9·C values, average them to 1024, join both layers' to 2048,
/// average those to 384. All of it is linear, and each layer ends up in its own half of the 384.
fn kernel(channels: usize, outputs: usize) -> Result<Tensor, NnError> {
    let n = 9 * channels;
    let inner: Vec<_> = bins(n, WIDTH).collect();
    let mut values = vec![0f64; outputs * n];
    // In f64: a weight may be the sum of two bins' shares.
    for (row, outer) in values.chunks_exact_mut(n).zip(bins(WIDTH, outputs)) {
        let share = 1.0 / outer.len() as f64;
        for bin in &inner[outer] {
            for value in &mut row[bin.clone()] {
                *value += share / bin.len() as f64;
            }
        }
    }
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    from_slice(&values, &[outputs as i64, channels as i64, 3, 3])
}

/// The frozen backbone and what follows it.
pub(crate) struct Targets {
    extractor: Extractor,
    kernels: Vec<Tensor>,
}

impl Targets {
    pub(crate) fn new(
        params: &DistillParams,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self, EfficientAdError> {
        // A stride of 8 at twice the side gives one place for each of the teacher's.
        let side = 2 * params.image_size;
        let extractor = Extractor::new(
            params.backbone,
            params.layers(),
            weights,
            side,
            (device, precision),
        )
        .map_err(EfficientAdError::Backbone)?;
        let taps = extractor.backbone().taps();
        let outputs = CHANNELS as usize / taps.len();
        let mut kernels = Vec::with_capacity(taps.len());
        for tap in taps {
            let kernel = kernel(tap.channels as usize, outputs)?;
            kernels.push(kernel.f_to_device(extractor.device())?);
        }
        Ok(Self { extractor, kernels })
    }

    /// N×384×n/4×n/4.
    pub(crate) fn compute(&self, images: &[Image]) -> Result<Tensor, NnError> {
        let features = self.extractor.features(images)?;
        tch::no_grad(|| {
            let mut parts: Vec<Tensor> = Vec::with_capacity(features.len());
            for (feature, kernel) in features.iter().zip(&self.kernels) {
                let part = feature.f_conv2d(kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)?;
                // The first layer is the finer one and gives the grid.
                let side = parts.first().map_or(part.size()[2], |p| p.size()[2]);
                // Published: enlarge, then average. The two commute, since one works along rows and
                // columns, the other along channels, and enlarging is cheaper on fewer channels.
                parts.push(if part.size()[2] == side {
                    part
                } else {
                    part.f_upsample_bilinear2d([side; 2], false, None, None)?
                });
            }
            Ok(Tensor::f_cat(&parts, 1)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::golden;

    /// As published, step by step.
    fn published(features: &[Tensor]) -> Tensor {
        let reference = features[0].size()[2];
        let layers: Vec<Tensor> = features
            .iter()
            .map(|f| {
                let (n, c, h, _) = f.size4().unwrap();
                let patches =
                    f.f_im2col([3, 3], [1, 1], [1, 1], [1, 1])
                        .unwrap()
                        .view([n, c * 9, h, h]);
                let patches = patches.upsample_bilinear2d([reference; 2], false, None, None);
                let rows = patches.permute([0, 2, 3, 1]).reshape([-1, 1, c * 9]);
                rows.adaptive_avg_pool1d(WIDTH as i64)
            })
            .collect();
        let joined = Tensor::cat(&layers, 1)
            .reshape([-1, 1, 2 * WIDTH as i64])
            .adaptive_avg_pool1d(CHANNELS);
        let n = features[0].size()[0];
        joined
            .reshape([n, reference, reference, CHANNELS])
            .permute([0, 3, 1, 2])
    }

    #[test]
    fn a_convolution_equals_the_published_steps() {
        for channels in [[48i64, 120], [130, 256]] {
            let features = [
                golden::input("f2", &[2, channels[0], 6, 6]).unwrap(),
                golden::input("f3", &[2, channels[1], 3, 3]).unwrap(),
            ];
            let parts: Vec<Tensor> = features
                .iter()
                .zip(channels)
                .map(|(f, c)| {
                    let k = kernel(c as usize, 192).unwrap();
                    let y = f.conv2d(&k, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
                    y.upsample_bilinear2d([6, 6], false, None, None)
                })
                .collect();
            let difference = (Tensor::cat(&parts, 1) - published(&features)).abs().max();
            assert!(difference.double_value(&[]) < 2e-6, "{difference:?}");
        }
    }
}
