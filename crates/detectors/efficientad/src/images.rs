use crate::InputNorm;
use crate::augment;
use segad_core::{BoxError, Image};
use segad_imaging::{grey, resize_bilinear};
use segad_nn::{NnError, channels_last};
use tch::Tensor;

/// Share of penalty images that lose their colour.
const GREY: f64 = 0.3;

/// How images become the networks' input.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    pub size: usize,
    pub norm: InputNorm,
    pub device: tch::Device,
}

fn broken(e: impl Into<BoxError>) -> NnError {
    NnError::Image {
        index: 0,
        source: e.into(),
    }
}

impl Input {
    /// N×3×n×n.
    pub(crate) fn batch(&self, images: &[Image]) -> Result<Tensor, NnError> {
        channels_last(&self.norm.preprocess(self.size).batch(images, self.device)?)
    }

    /// A penalty image: resized to twice the side, sometimes turned grey, cropped to its centre.
    pub(crate) fn penalty(
        &self,
        image: &Image,
        rng: &mut impl rand::Rng,
    ) -> Result<Tensor, NnError> {
        let twice = 2 * self.size;
        let mut large = resize_bilinear(image, twice, twice).map_err(broken)?;
        if augment::draw_unit(rng) < GREY {
            large = grey(&large).map_err(broken)?;
        }
        self.batch(&[augment::centre_crop(&large, self.size).map_err(broken)?])
    }

    /// An image with its brightness, contrast or saturation changed.
    pub(crate) fn jittered(
        &self,
        image: &Image,
        rng: &mut impl rand::Rng,
    ) -> Result<Tensor, NnError> {
        self.batch(&[augment::jitter(image, rng).map_err(broken)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Seed;
    use segad_nn::{Preprocess, to_vec};

    fn input(norm: InputNorm) -> Input {
        Input {
            size: 4,
            norm,
            device: tch::Device::Cpu,
        }
    }

    #[test]
    fn twice_normalised_is_normalised_again() {
        let image = Image::from_rgb(4, 4, (0..48).map(|i| i * 5).collect()).unwrap();
        let once = to_vec(
            &input(InputNorm::Once)
                .batch(std::slice::from_ref(&image))
                .unwrap(),
        )
        .unwrap();
        let twice = to_vec(&input(InputNorm::Twice).batch(&[image]).unwrap()).unwrap();
        let p = Preprocess::imagenet(4, 4);
        for (i, (a, b)) in once.iter().zip(twice).enumerate() {
            assert!(((a - p.mean[i / 16]) / p.std[i / 16] - b).abs() < 1e-5);
        }
    }

    #[test]
    fn penalty_images_show_the_middle_half() {
        // 8×8 with a white 4×4 in the middle: after the crop all is white, grey or not.
        let pixel = |i: usize| {
            if (2..6).contains(&(i / 8)) && (2..6).contains(&(i % 8)) {
                255
            } else {
                0
            }
        };
        let image = Image::from_grey(8, 8, &(0..64).map(pixel).collect::<Vec<u8>>()).unwrap();
        let input = input(InputNorm::Once);
        let white = input
            .batch(&[Image::from_grey(4, 4, &[255; 16]).unwrap()])
            .unwrap();
        for seed in 0..5 {
            let found = input.penalty(&image, &mut Seed(seed).rng()).unwrap();
            assert_eq!(found, white);
        }
        let red = Image::from_rgb(1, 1, vec![200, 0, 0]).unwrap();
        let grey = (0..400)
            .filter(|&s| {
                let x = to_vec(&input.penalty(&red, &mut Seed(s).rng()).unwrap()).unwrap();
                (x[16] - (0.0 - 0.456) / 0.224).abs() > 1e-3
            })
            .count();
        assert!((90..150).contains(&grey), "{grey} of 400 grey");
    }
}
