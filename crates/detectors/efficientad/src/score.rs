use crate::loss::{autoencoder_half, teacher_half};
use crate::quantile::quantile;
use crate::{EfficientAdError, EfficientAdParams, NAME, QuantileMaps};
use segad_nn::model::ModelError;
use segad_nn::{MapOperator, NnError, Upsample, to_vec};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Value that the upper quantile is brought to.
const HIGH: f64 = 0.1;

/// A linear scale: `low` becomes 0, `high` becomes 0.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The lower quantile of the hold-out's values.
    pub low: f32,
    /// The upper quantile of the hold-out's values.
    pub high: f32,
}

impl Scale {
    fn new(
        map: &'static str,
        values: &mut [f32],
        images: usize,
        params: &EfficientAdParams,
    ) -> Result<Self, EfficientAdError> {
        let low = quantile(values, params.quantile_low);
        let high = quantile(values, params.quantile_high);
        let (Some(low), Some(high)) = (low, high) else {
            return Err(EfficientAdError::Model(ModelError::TooFewImages {
                method: NAME,
                what: "hold-out images",
                actual: 0,
                expected: 1,
            }));
        };
        // A plain `high <= low` would let NaN through.
        if high.partial_cmp(&low) != Some(std::cmp::Ordering::Greater) {
            return Err(EfficientAdError::ConstantMaps {
                map,
                value: low,
                images,
            });
        }
        Ok(Self { low, high })
    }

    fn apply(self, map: &Tensor) -> Result<Tensor, NnError> {
        let range = f64::from(self.high - self.low);
        Ok(map
            .f_sub_scalar(f64::from(self.low))?
            .f_mul_scalar(HIGH)?
            .f_div_scalar(range)?)
    }
}

/// How the two maps of an image are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Of the differences between student and teacher.
    pub student: Scale,
    /// Of the differences between student and autoencoder.
    pub autoencoder: Scale,
}

/// The two maps of a batch, N×m×m each: mean squared differences over channels, between teacher
/// (normalised) and student, and between autoencoder and student.
pub(crate) struct Pair {
    pub student: Tensor,
    pub autoencoder: Tensor,
}

impl Pair {
    pub(crate) fn new(
        teacher: &Tensor,
        student: &Tensor,
        autoencoder: &Tensor,
    ) -> Result<Self, NnError> {
        let autoencoder = autoencoder.f_to_kind(Kind::Float)?;
        Ok(Self {
            student: mean_difference(teacher, &teacher_half(student)?)?,
            autoencoder: mean_difference(&autoencoder, &autoencoder_half(student)?)?,
        })
    }
}

/// Squared, over channels.
fn mean_difference(a: &Tensor, b: &Tensor) -> Result<Tensor, NnError> {
    Ok(a.f_sub(b)?
        .f_square_()?
        .f_mean_dim([1i64].as_slice(), false, Kind::Float)?)
}

/// From pairs to maps.
pub(crate) struct Combiner {
    operator: MapOperator,
    /// Zeros put around a map before it is enlarged: 4 where the networks do not pad.
    border: i64,
    maps: QuantileMaps,
}

impl Combiner {
    pub(crate) fn new(params: &EfficientAdParams, device: tch::Device) -> Result<Self, NnError> {
        let from = params.image_size / 4;
        let to = params.map_size();
        let operator = MapOperator::new(
            (from, from),
            (to, to),
            Upsample::Bilinear {
                align_corners: false,
            },
            None,
            device,
        )?;
        Ok(Self {
            operator,
            border: if params.padding { 0 } else { 4 },
            maps: params.quantile_maps,
        })
    }

    fn enlarge(&self, map: &Tensor) -> Result<Tensor, NnError> {
        if self.border == 0 {
            return self.operator.apply(map);
        }
        self.operator
            .apply(&map.f_constant_pad_nd([self.border; 4])?)
    }

    /// What the quantiles are taken from, of the student and of the autoencoder.
    pub(crate) fn values(&self, pair: &Pair) -> Result<(Vec<f32>, Vec<f32>), NnError> {
        match self.maps {
            QuantileMaps::Native => Ok((to_vec(&pair.student)?, to_vec(&pair.autoencoder)?)),
            QuantileMaps::Enlarged => Ok((
                to_vec(&self.enlarge(&pair.student)?)?,
                to_vec(&self.enlarge(&pair.autoencoder)?)?,
            )),
        }
    }

    /// N×n×n, half of each map on its scale.
    pub(crate) fn combine(&self, pair: &Pair, scales: &Normalisation) -> Result<Tensor, NnError> {
        let Pair {
            student,
            autoencoder,
        } = pair;
        // Scaling and enlarging commute but for the border of zeros.
        match self.maps {
            QuantileMaps::Native => self.enlarge(&average(student, autoencoder, scales)?),
            QuantileMaps::Enlarged => {
                average(&self.enlarge(student)?, &self.enlarge(autoencoder)?, scales)
            }
        }
    }
}

/// Half of each map on its scale.
pub(crate) fn average(
    student: &Tensor,
    autoencoder: &Tensor,
    scales: &Normalisation,
) -> Result<Tensor, NnError> {
    let sum = scales
        .student
        .apply(student)?
        .f_add(&scales.autoencoder.apply(autoencoder)?)?;
    Ok(sum.f_mul_scalar(0.5)?)
}

/// The scales of all hold-out images' values.
pub(crate) fn normalisation(
    mut student: Vec<f32>,
    mut autoencoder: Vec<f32>,
    images: usize,
    params: &EfficientAdParams,
) -> Result<Normalisation, EfficientAdError> {
    Ok(Normalisation {
        student: Scale::new("student", &mut student, images, params)?,
        autoencoder: Scale::new("autoencoder", &mut autoencoder, images, params)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EfficientAdSettings;
    use segad_nn::from_slice;
    use segad_nn::model::Settings;

    fn params(settings: EfficientAdSettings) -> EfficientAdParams {
        EfficientAdSettings {
            image_size: 128,
            ..settings
        }
        .checked()
        .unwrap()
    }

    fn pair(side: i64) -> Pair {
        let map = |name| segad_nn::golden::input(name, &[2, side, side]).unwrap() + 2.5;
        Pair {
            student: map("st"),
            autoencoder: map("ae"),
        }
    }

    const SCALES: Normalisation = Normalisation {
        student: Scale {
            low: 1.0,
            high: 2.0,
        },
        autoencoder: Scale {
            low: 0.5,
            high: 4.5,
        },
    };

    #[test]
    fn maps_are_put_on_one_scale_and_halved() {
        let p = params(EfficientAdSettings::default());
        let map = Combiner::new(&p, tch::Device::Cpu)
            .unwrap()
            .combine(&pair(32), &SCALES)
            .unwrap();
        assert_eq!(map.size(), [2, 128, 128]);
        let first = |t: &Tensor| t.double_value(&[0, 0, 0]);
        let expected = 0.05 * (first(&pair(32).student) - 1.0)
            + 0.05 * (first(&pair(32).autoencoder) - 0.5) / 4.0;
        assert!((first(&map) - expected).abs() < 1e-6);
    }

    #[test]
    fn where_quantiles_come_from_does_not_matter_when_padded() {
        let combined = |quantile_maps, padding, side| {
            let p = params(EfficientAdSettings {
                quantile_maps,
                padding,
                ..Default::default()
            });
            let c = Combiner::new(&p, tch::Device::Cpu).unwrap();
            let values = c.values(&pair(side)).unwrap().0.len();
            (c.combine(&pair(side), &SCALES).unwrap(), values)
        };
        let (native, few) = combined(QuantileMaps::Native, true, 32);
        let (enlarged, many) = combined(QuantileMaps::Enlarged, true, 32);
        assert_eq!((few, many), (2 * 32 * 32, 2 * 128 * 128));
        assert!((native - enlarged).abs().max().double_value(&[]) < 1e-6);
        // Without padding zeros are put around what is scaled already, or around what is not yet.
        let border = |t: &Tensor| t.double_value(&[0, 0, 0]);
        let (native, _) = combined(QuantileMaps::Native, false, 24);
        let (enlarged, _) = combined(QuantileMaps::Enlarged, false, 24);
        assert_eq!((native.size()[1], border(&native)), (128, 0.0));
        assert!((border(&enlarged) - (-0.05 - 0.05 * 0.125)).abs() < 1e-6);
    }

    #[test]
    fn constant_maps_are_errors() {
        let p = params(EfficientAdSettings::default());
        let e =
            normalisation((0..99).map(|i| i as f32).collect(), vec![2.0; 99], 3, &p).unwrap_err();
        assert!(
            matches!(
                e,
                EfficientAdError::ConstantMaps {
                    map: "autoencoder",
                    value: 2.0,
                    images: 3
                }
            ),
            "{e}"
        );
        assert!(
            normalisation(vec![], vec![], 0, &p)
                .unwrap_err()
                .to_string()
                .contains("hold-out")
        );
    }

    #[test]
    fn pairs_are_means_over_channels() {
        let full = |v: f32, c: i64| from_slice(&vec![v; 4 * c as usize], &[1, c, 2, 2]).unwrap();
        let student = Tensor::cat(&[full(1.0, 384), full(5.0, 384)], 1);
        let pair = Pair::new(&full(3.0, 384), &student, &full(2.0, 384)).unwrap();
        assert_eq!(to_vec(&pair.student).unwrap(), [4.0; 4]);
        assert_eq!(to_vec(&pair.autoencoder).unwrap(), [9.0; 4]);
    }
}
