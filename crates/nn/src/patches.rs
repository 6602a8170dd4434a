use crate::{Backbone, BackboneKind, NnError, Preprocess, Weights, from_slice, to_vec};
use rand::Rng;
use segad_core::{Device, Image, Precision, Seed};
use tch::Tensor;

/// Features of patches: several taps of a frozen backbone, each averaged over 3×3 places, brought
/// to the grid of the first tap (linearly), and projected to few channels by random signs, which
/// keeps distances (Achlioptas 2003).
pub struct PatchFeatures {
    backbone: Backbone,
    preprocess: Preprocess,
    projection: Option<Tensor>,
    channels: usize,
}

impl PatchFeatures {
    /// `layers` empty: the backbone's default taps. Images are resized to `side` squared.
    ///
    /// # Errors
    /// Those of [`Backbone::new`].
    pub fn new(
        kind: BackboneKind,
        layers: &[String],
        weights: &Weights,
        side: usize,
        channels: usize,
        seed: Seed,
        (device, precision): (Device, Precision),
    ) -> Result<Self, NnError> {
        let layers = if layers.is_empty() {
            kind.default_taps().map(str::to_owned).to_vec()
        } else {
            layers.to_vec()
        };
        let backbone = Backbone::new(kind, &layers, weights, device, precision)?;
        let all: usize = backbone.taps().iter().map(|t| t.channels as usize).sum();
        let channels = channels.min(all);
        // Projecting to as many channels would only blur.
        let projection = if channels < all {
            let signs = random_signs(all, channels, seed.derive("patch projection"))?;
            Some(signs.f_to_device(backbone.device())?)
        } else {
            None
        };
        Ok(Self {
            preprocess: kind.preprocess(side, side),
            backbone,
            projection,
            channels,
        })
    }

    /// Channels of a feature.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Places along each side of the grid.
    pub fn side(&self) -> usize {
        self.preprocess.height.div_ceil(
            self.backbone
                .taps()
                .first()
                .map_or(1, |t| t.stride as usize),
        )
    }

    /// Features of each image: side × side places, row-major, channels innermost.
    ///
    /// # Errors
    /// Those of [`Preprocess::batch`] and libtorch's.
    pub fn of(&self, images: &[Image]) -> Result<Vec<Vec<f32>>, NnError> {
        tch::no_grad(|| {
            let input = self.preprocess.batch(images, self.backbone.device())?;
            let grid = [self.side() as i64; 2];
            let mut parts = Vec::new();
            for f in self.backbone.features(&input)? {
                // Zeros beyond the border are counted, as in PatchCore.
                let pooled = f.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None::<i64>)?;
                let (_, _, h, w) = pooled.size4()?;
                let same = [h, w] == grid;
                parts.push(if same {
                    pooled
                } else {
                    pooled.f_upsample_bilinear2d(grid, false, None, None)?
                });
            }
            // Channels innermost, so that a place's feature is one row of the product.
            let all = Tensor::f_cat(&parts, 1)?
                .f_permute([0, 2, 3, 1])?
                .f_contiguous()?;
            let rows = all.f_flatten(0, 2)?;
            let rows = match &self.projection {
                Some(matrix) => rows.f_matmul(matrix)?,
                None => rows,
            };
            let values = to_vec(&rows)?;
            Ok(values
                .chunks_exact(values.len() / images.len())
                .map(<[f32]>::to_vec)
                .collect())
        })
    }
}

/// A matrix `from`×`to` of ±1/√to, which keeps lengths on average.
fn random_signs(from: usize, to: usize, seed: Seed) -> Result<Tensor, NnError> {
    let mut rng = seed.rng();
    let size = (to as f32).sqrt().recip();
    let mut values = Vec::with_capacity(from * to);
    for _ in 0..from * to {
        let positive = rng.next_u64() >> 63 == 0;
        values.push(if positive { size } else { -size });
    }
    from_slice(&values, &[from as i64, to as i64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_and_channels() {
        let kind = BackboneKind::Resnet18;
        let weights = Weights::random(kind, Some("layer3"), Seed(1)).unwrap();
        let of = |channels| {
            let place = (Device::Cpu, Precision::F32);
            PatchFeatures::new(kind, &[], &weights, 64, channels, Seed(2), place).unwrap()
        };
        let grey: Vec<u8> = (0..4096u32).map(|i| (i * 37 % 251) as u8).collect();
        let images = [
            Image::from_grey(64, 64, &grey).unwrap(),
            Image::from_grey(8, 8, &[9; 64]).unwrap(),
        ];
        let (few, all) = (of(16), of(9999));
        assert_eq!((few.side(), few.channels(), all.channels()), (8, 16, 384));
        let (few, all) = (few.of(&images).unwrap(), all.of(&images).unwrap());
        assert_eq!(
            (few.len(), few[0].len(), all[1].len()),
            (2, 8 * 8 * 16, 8 * 8 * 384)
        );
        // Projections keep distances, roughly: here within a factor of two on average.
        let apart = |v: &[f32], c: usize| -> f32 {
            let square = |i: usize| (v[i] - v[40 * c + i]).powi(2);
            (0..c).map(square).sum::<f32>().sqrt()
        };
        let ratio = apart(&few[0], 16) / apart(&all[0], 384);
        assert!((0.5..2.0).contains(&ratio), "{ratio}");
    }
}
