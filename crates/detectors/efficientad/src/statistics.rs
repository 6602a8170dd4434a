use crate::EfficientAdError;
use segad_nn::{NnError, from_slice};
use tch::{Kind, Tensor};

/// Mean and population standard deviation of each channel over all places of all images, in one
/// pass in f64.
///
/// Equal to the mean over images of each image's mean, and the root of the mean over images of each
/// image's mean squared distance to it, since all images have as many places.
pub(crate) struct ChannelStatistics {
    sum: Tensor,
    /// Sum of squares.
    square: Tensor,
    count: f64,
    images: usize,
}

impl ChannelStatistics {
    pub(crate) fn new(channels: i64, device: tch::Device) -> Result<Self, NnError> {
        let sum = Tensor::f_zeros([channels], (Kind::Double, device))?;
        Ok(Self {
            square: sum.f_zeros_like()?,
            sum,
            count: 0.0,
            images: 0,
        })
    }

    /// Adds N×C×h×w.
    pub(crate) fn add(&mut self, x: &Tensor) -> Result<(), NnError> {
        tch::no_grad(|| {
            let (n, _, h, w) = x.size4()?;
            // In f64 the difference of mean square and squared mean keeps enough digits.
            let x = x.f_to_kind(Kind::Double)?;
            let square = x.f_square()?;
            let over: &[i64] = &[0, 2, 3];
            self.sum = self.sum.f_add(&x.f_sum_dim_intlist(over, false, None)?)?;
            self.square = self
                .square
                .f_add(&square.f_sum_dim_intlist(over, false, None)?)?;
            self.count += (n * h * w) as f64;
            self.images += n as usize;
            Ok(())
        })
    }

    /// Of a teacher that is to be normalised: every channel must vary.
    ///
    /// # Errors
    /// [`EfficientAdError::ConstantChannel`].
    pub(crate) fn finish(self) -> Result<Channels, EfficientAdError> {
        let moments = self.moments()?;
        if let Some(channel) = moments.iter().position(Moments::is_constant) {
            return Err(EfficientAdError::ConstantChannel {
                channel,
                value: moments[channel].mean,
                images: self.images,
            });
        }
        self.channels(&moments)
    }

    /// Of a backbone that a teacher learns from: a channel that never varies (backbones have some)
    /// becomes 0, unless none varies.
    ///
    /// # Errors
    /// [`EfficientAdError::ConstantChannel`] if all are constant.
    pub(crate) fn finish_some(self) -> Result<Channels, EfficientAdError> {
        let moments = self.moments()?;
        if moments.iter().all(Moments::is_constant) {
            return self.finish();
        }
        self.channels(&moments)
    }

    fn moments(&self) -> Result<Vec<Moments>, NnError> {
        let sum = self.sum.f_to_device(tch::Device::Cpu)?;
        let square = self.square.f_to_device(tch::Device::Cpu)?;
        let mut moments = Vec::with_capacity(sum.numel());
        for i in 0..sum.numel() as i64 {
            let mean = sum.f_double_value(&[i])? / self.count;
            let square = square.f_double_value(&[i])? / self.count;
            moments.push(Moments {
                mean,
                // Rounding may take the variance of a constant below zero.
                deviation: (square - mean * mean).max(0.0).sqrt(),
            });
        }
        Ok(moments)
    }

    fn channels(&self, moments: &[Moments]) -> Result<Channels, EfficientAdError> {
        let means: Vec<f32> = moments.iter().map(|m| m.mean as f32).collect();
        let mut deviations = Vec::with_capacity(moments.len());
        for m in moments {
            // A constant less its mean is 0, whatever it is divided by.
            let deviation = if m.is_constant() { 1.0 } else { m.deviation };
            deviations.push(deviation as f32);
        }
        let shape = [1, moments.len() as i64, 1, 1];
        Channels::new(
            &from_slice(&means, &shape)?,
            &from_slice(&deviations, &shape)?,
            self.sum.device(),
        )
    }
}

struct Moments {
    mean: f64,
    deviation: f64,
}

impl Moments {
    /// What f32 rounding leaves of a constant's deviation is about 1e-7 of it. NaN counts as
    /// constant.
    fn is_constant(&self) -> bool {
        let varies = self.deviation > 1e-6 * self.mean.abs();
        !varies
    }
}

/// Mean and deviation of each channel, 1×C×1×1 and f32 each.
pub(crate) struct Channels {
    pub mean: Tensor,
    pub deviation: Tensor,
}

impl Channels {
    pub(crate) fn new(
        mean: &Tensor,
        deviation: &Tensor,
        device: tch::Device,
    ) -> Result<Self, EfficientAdError> {
        Ok(Self {
            mean: mean.f_to_device(device)?,
            deviation: deviation.f_to_device(device)?,
        })
    }

    /// With mean 0 and deviation 1, f32.
    pub(crate) fn normalise(&self, x: &Tensor) -> Result<Tensor, NnError> {
        Ok(x.f_to_kind(Kind::Float)?
            .f_sub(&self.mean)?
            .f_div(&self.deviation)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{golden, to_vec};

    #[test]
    fn one_pass_equals_two() {
        let images: Vec<Tensor> = (0..3)
            .map(|i| golden::input(&format!("s{i}"), &[1, 4, 5, 6]).unwrap() + 100.0)
            .collect();
        let mut one = ChannelStatistics::new(4, tch::Device::Cpu).unwrap();
        one.add(&Tensor::cat(&images[..2], 0)).unwrap();
        one.add(&images[2]).unwrap();
        let Channels { mean, deviation } = one.finish().unwrap();
        assert_eq!(mean.size(), [1, 4, 1, 1]);

        // As published: means over images of each image's.
        let double = |t: &Tensor| t.to_kind(Kind::Double);
        let over = |f: &dyn Fn(&Tensor) -> Tensor| {
            let each: Vec<Tensor> = images.iter().map(|t| f(&double(t))).collect();
            Tensor::stack(&each, 0).mean_dim(0, false, None)
        };
        let places = [2i64, 3];
        let m = over(&|t| t.mean_dim(places.as_slice(), true, None));
        let s = over(&|t| (t - &m).square().mean_dim(places.as_slice(), true, None)).sqrt();
        for (found, expected) in [(mean, m), (deviation, s)] {
            for (a, b) in to_vec(&found)
                .unwrap()
                .into_iter()
                .zip(to_vec(&expected).unwrap())
            {
                assert!((a - b).abs() <= 1e-6 * b.abs(), "{a} {b}");
            }
        }
    }

    #[test]
    fn constant_channels_are_named() {
        let varying = golden::input("v", &[1, 1, 8, 8]).unwrap();
        let constant = Tensor::full([1, 1, 8, 8], 0.1, (Kind::Float, tch::Device::Cpu));
        let of = |parts: [&Tensor; 2]| {
            let mut s = ChannelStatistics::new(2, tch::Device::Cpu).unwrap();
            s.add(&Tensor::cat(&parts, 1)).unwrap();
            s
        };
        let e = of([&varying, &constant]).finish().err().unwrap();
        assert!(
            matches!(
                e,
                EfficientAdError::ConstantChannel {
                    channel: 1,
                    images: 1,
                    ..
                }
            ),
            "{e}"
        );
        let some = of([&varying, &constant]).finish_some().unwrap();
        let normalised = some
            .normalise(&Tensor::cat(&[&varying, &constant], 1))
            .unwrap();
        assert!(
            to_vec(&normalised).unwrap()[64..]
                .iter()
                .all(|v| v.abs() < 1e-6)
        );
        assert!(of([&constant, &constant]).finish_some().is_err());
    }
}
