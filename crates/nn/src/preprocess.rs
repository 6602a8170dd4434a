use crate::NnError;
use segad_core::Image;
use segad_imaging::{Filter, resize};
use tch::{Kind, Tensor};

/// Mean of ImageNet's channels, in units of full scale.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's channels.
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// From 8-bit images to a network's input: Pillow's antialiased resize straight to the size (the
/// aspect is not kept, nothing is cropped), then (x/255 − mean)/std per channel in f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Mean of R, G, B in units of full scale.
    pub mean: [f32; 3],
    /// Standard deviation of R, G, B in units of full scale.
    pub std: [f32; 3],
    /// How images are resized.
    pub filter: Filter,
}

impl Preprocess {
    /// With ImageNet's mean and standard deviation and the bilinear filter, as torchvision's
    /// networks want it.
    pub fn imagenet(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            filter: Filter::Bilinear,
        }
    }

    /// Pixels from 0 to 1, by the bilinear filter.
    pub fn unit(height: usize, width: usize) -> Self {
        Self {
            mean: [0.0; 3],
            std: [1.0; 3],
            ..Self::imagenet(height, width)
        }
    }

    /// N×3×H×W, f32, on `device`.
    ///
    /// # Errors
    /// [`NnError::EmptyBatch`], [`NnError::Image`] for an image that cannot be resized, else
    /// libtorch's.
    pub fn batch(&self, images: &[Image], device: tch::Device) -> Result<Tensor, NnError> {
        if images.is_empty() {
            return Err(NnError::EmptyBatch);
        }
        let mut bytes = Vec::with_capacity(images.len() * self.height * self.width * 3);
        for (index, image) in images.iter().enumerate() {
            // Pillow returns an image of the right size unchanged, too.
            if (image.height(), image.width()) == (self.height, self.width) {
                bytes.extend_from_slice(image.rgb());
            } else {
                let small = resize(image, self.height, self.width, self.filter);
                let small = small.map_err(|e| NnError::Image {
                    index,
                    source: e.into(),
                })?;
                bytes.extend_from_slice(small.rgb());
            }
        }
        let shape = [
            images.len() as i64,
            self.height as i64,
            self.width as i64,
            3,
        ];
        // Bytes, not floats, cross to the device: a quarter of the traffic.
        let x = Tensor::f_from_slice(&bytes)?
            .f_view(shape)?
            .f_to_device(device)?
            .f_to_kind(Kind::Float)?;
        let mean = Tensor::f_from_slice(&self.mean)?.f_to_device(device)?;
        let std = Tensor::f_from_slice(&self.std)?.f_to_device(device)?;
        let x = x.f_div_scalar(255.0)?.f_sub(&mean)?.f_div(&std)?;
        Ok(x.f_permute([0, 3, 1, 2])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;

    #[test]
    fn channels_and_rows_stay_in_place() {
        let a = Image::from_rgb(1, 2, vec![0, 51, 255, 102, 204, 153]).unwrap();
        let b = Image::from_rgb(1, 2, vec![255; 6]).unwrap();
        let p = Preprocess::imagenet(1, 2);
        let x = p.batch(&[a, b], tch::Device::Cpu).unwrap();
        assert_eq!(x.size(), [2, 3, 1, 2]);
        let expect = |v: f32, c: usize| (v - IMAGENET_MEAN[c]) / IMAGENET_STD[c];
        let values = to_vec(&x).unwrap();
        for (i, (v, c)) in [(0.0, 0), (0.4, 0), (0.2, 1), (0.8, 1), (1.0, 2), (0.6, 2)]
            .into_iter()
            .enumerate()
        {
            assert!((values[i] - expect(v, c)).abs() < 1e-6, "{i}");
        }
        assert!((values[6] - expect(1.0, 0)).abs() < 1e-6);
        assert!(matches!(
            p.batch(&[], tch::Device::Cpu),
            Err(NnError::EmptyBatch)
        ));
    }

    #[test]
    fn other_sizes_are_resized() {
        let image = Image::from_grey(2, 2, &[0, 100, 100, 200]).unwrap();
        let p = Preprocess::unit(1, 1);
        let x = to_vec(&p.batch(&[image], tch::Device::Cpu).unwrap()).unwrap();
        assert!(x.iter().all(|v| (v - 100.0 / 255.0).abs() < 1e-6), "{x:?}");
    }
}
