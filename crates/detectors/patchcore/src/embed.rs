use crate::params::{FeatureUpsample, PatchCoreParams};
use segad_core::{Device, Image, Precision};
use segad_nn::model::{Extractor, ModelError};
use segad_nn::{NnError, Weights};
use tch::Tensor;

/// Computes patch embeddings: each layer averaged over 3×3 places (the zeros beyond the border
/// count), coarser layers then enlarged to the finest grid, all channels concatenated.
pub(crate) struct Embedder {
    pub extractor: Extractor,
    upsample: FeatureUpsample,
}

impl Embedder {
    pub(crate) fn new(
        params: &PatchCoreParams,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let extractor = Extractor::new(
            params.backbone,
            params.layers(),
            weights,
            params.image_size,
            (device, precision),
        )?;
        Ok(Self {
            extractor,
            upsample: params.upsample,
        })
    }

    /// Length of an embedding.
    pub(crate) fn dim(&self) -> usize {
        let shapes = self.extractor.shapes().into_iter();
        shapes.map(|[channels, ..]| channels as usize).sum()
    }

    /// Places along each side of the patch grid.
    pub(crate) fn side(&self) -> usize {
        let finest = self.extractor.shapes()[0];
        finest[1] as usize
    }

    /// Patches of an image.
    pub(crate) fn patches(&self) -> usize {
        self.side() * self.side()
    }

    /// N·side·side rows of `dim` values, in the order image, y, x.
    pub(crate) fn rows(&self, images: &[Image]) -> Result<Tensor, NnError> {
        self.rows_of(&self.extractor.input(images)?)
    }

    /// As [`Embedder::rows`], from the network input.
    pub(crate) fn rows_of(&self, input: &Tensor) -> Result<Tensor, NnError> {
        tch::no_grad(|| {
            let features = self.extractor.backbone().features(input)?;
            Ok(embedding(&features, self.upsample)?
                .f_permute([0, 2, 3, 1])?
                .f_contiguous()?
                .f_view([-1, self.dim() as i64])?)
        })
    }
}

/// N×ΣC×h×w from the layers' features, the first of which gives the grid.
fn embedding(features: &[Tensor], upsample: FeatureUpsample) -> Result<Tensor, NnError> {
    let mut grid = None;
    let mut parts = Vec::with_capacity(features.len());
    for f in features {
        let pooled = f.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None::<i64>)?;
        let (_, _, h, w) = pooled.size4()?;
        let size = *grid.get_or_insert([h, w]);
        parts.push(match upsample {
            _ if size == [h, w] => pooled,
            FeatureUpsample::Bilinear => pooled.f_upsample_bilinear2d(size, false, None, None)?,
            FeatureUpsample::Nearest => pooled.f_upsample_nearest2d(size, None, None)?,
        });
    }
    Ok(Tensor::f_cat(&parts, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::model::Settings;
    use segad_nn::{Backbone, BackboneKind, golden, to_vec};

    #[test]
    fn known_embedding() {
        let kind = BackboneKind::WideResnet50_2;
        let weights = Weights::golden(kind, Some("layer3")).unwrap();
        let taps = ["layer2", "layer3"];
        let backbone = Backbone::new(kind, &taps, &weights, Device::Cpu, Precision::F32).unwrap();
        let features = backbone
            .features(&golden::input("input", &[2, 3, 64, 64]).unwrap())
            .unwrap();
        let at = |e: &Tensor, y: i64, x: i64| e.double_value(&[0, 517, y, x]);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-4 * 79.7, "{a} is not {b}");

        let e = embedding(&features, FeatureUpsample::Bilinear).unwrap();
        assert_eq!(e.size(), [2, 1536, 8, 8]);
        let v = to_vec(&e).unwrap();
        close(
            v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64,
            79.705895,
        );
        close(v[0].into(), 0.0);
        close(v[v.len() / 2].into(), 0.0);
        close(v[v.len() - 1].into(), 114.90719);
        for (y, x, expected) in [(0, 0, 0.0), (3, 3, 73.463097), (4, 5, 109.457748)] {
            close(at(&e, y, x), expected);
        }
        let e = embedding(&features, FeatureUpsample::Nearest).unwrap();
        for (y, x, expected) in [(0, 0, 0.0), (3, 3, 58.753242), (4, 5, 101.455147)] {
            close(at(&e, y, x), expected);
        }
    }

    #[test]
    fn rows_run_over_image_y_x() {
        let params = crate::PatchCoreSettings {
            backbone: BackboneKind::Resnet18,
            image_size: 40,
            ..Default::default()
        };
        let params = params.checked().unwrap();
        let weights =
            Weights::random(BackboneKind::Resnet18, Some("layer3"), segad_core::Seed(1)).unwrap();
        let e = Embedder::new(&params, &weights, Device::Cpu, Precision::F32).unwrap();
        assert_eq!((e.dim(), e.side()), (384, 5));
        let grey: Vec<u8> = (0..1600u32).map(|i| (i * 37 % 251) as u8).collect();
        let a = Image::from_grey(40, 40, &grey).unwrap();
        let b = Image::from_grey(40, 40, &grey.iter().rev().copied().collect::<Vec<_>>()).unwrap();
        let both = to_vec(&e.rows(&[a, b.clone()]).unwrap()).unwrap();
        let alone = to_vec(&e.rows(&[b]).unwrap()).unwrap();
        assert_eq!(both.len(), 2 * 25 * 384);
        let worst = both[25 * 384..]
            .iter()
            .zip(&alone)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
    }
}
