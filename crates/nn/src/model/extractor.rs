use super::ModelError;
use crate::{Backbone, BackboneKind, NnError, Preprocess, Weights};
use segad_core::{Device, Image, Precision};
use tch::Tensor;

/// From images to the features of a frozen backbone's taps.
pub struct Extractor {
    backbone: Backbone,
    preprocess: Preprocess,
}

impl Extractor {
    /// The taps `layers` of a backbone that sees images of `image_size` squared.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if the weights are another network's or end before the last layer;
    /// an unknown layer or device.
    pub fn new(
        kind: BackboneKind,
        layers: &[impl AsRef<str>],
        weights: &Weights,
        image_size: usize,
        (device, precision): (Device, Precision),
    ) -> Result<Self, ModelError> {
        let backbone = Backbone::new(kind, layers, weights, device, precision)
            .map_err(ModelError::from_weights)?;
        Ok(Self {
            backbone,
            preprocess: kind.preprocess(image_size, image_size),
        })
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Where it runs.
    pub fn device(&self) -> tch::Device {
        self.backbone.device()
    }

    /// C×h×w of each tap's features.
    pub fn shapes(&self) -> Vec<[i64; 3]> {
        let size = self.preprocess.height as i64;
        let taps = self.backbone.taps().iter();
        taps.map(|tap| {
            let side = (size + tap.stride - 1) / tap.stride;
            [tap.channels, side, side]
        })
        .collect()
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    ///
    /// # Errors
    /// [`NnError::EmptyBatch`], [`NnError::Image`], else libtorch's.
    pub fn input(&self, images: &[Image]) -> Result<Tensor, NnError> {
        self.preprocess.batch(images, self.device())
    }

    /// The features of images, N×C×h×w f32, one tensor per tap.
    ///
    /// # Errors
    /// As [`Extractor::input`].
    pub fn features(&self, images: &[Image]) -> Result<Vec<Tensor>, NnError> {
        self.backbone.features(&self.input(images)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Seed;

    #[test]
    fn shapes_are_those_of_the_features() {
        let kind = BackboneKind::Miniature;
        let weights = Weights::random(kind, Some("layer2"), Seed(0)).unwrap();
        let layers = ["layer1", "layer2"];
        let extractor = Extractor::new(kind, &layers, &weights, 40, Default::default()).unwrap();
        let image = Image::from_grey(7, 9, &[100; 63]).unwrap();
        let features = extractor.features(&[image]).unwrap();
        for (shape, feature) in extractor.shapes().iter().zip(&features) {
            assert_eq!(feature.size()[1..], shape[..]);
        }
        assert_eq!(extractor.shapes(), [[8, 10, 10], [16, 5, 5]]);
        let e = Extractor::new(kind, &["layer3"], &weights, 40, Default::default()).err();
        assert!(matches!(e, Some(ModelError::Weights(_))), "{e:?}");
    }
}
