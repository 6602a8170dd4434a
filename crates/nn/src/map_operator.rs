use crate::{NnError, from_slice};
use tch::{Kind, Tensor};

/// How a small map is enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upsample {
    /// Output i takes input ⌊i·from/to⌋.
    Nearest,
    /// Linear between the two neighbours along each axis.
    Bilinear {
        /// True: the corner pixels' centres coincide. False: the corners of the areas do.
        align_corners: bool,
    },
}

/// Enlarging and blurring as one linear map on each axis: out = A_h · D · A_wᵀ, A = blur ·
/// upsample. Equal to doing one after the other up to rounding, and far cheaper (two small matrix
/// products per map).
///
/// The blur is Gaussian with 2·⌊4σ+½⌋+1 taps that sum to 1, and mirrors at the border without
/// repeating the edge (`reflect` in PyTorch; SciPy's `reflect` repeats the edge).
pub struct MapOperator {
    rows: Tensor,
    columns: Tensor,
}

impl MapOperator {
    /// From maps of `from` to maps of `to` (height, width), blurred with `sigma` in output pixels,
    /// if any.
    ///
    /// # Errors
    /// [`NnError::Operator`] for a size of zero, a σ that is not positive, or a blur wider than the
    /// map.
    pub fn new(
        from: (usize, usize),
        to: (usize, usize),
        upsample: Upsample,
        sigma: Option<f64>,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let rows = axis_tensor(from.0, to.0, upsample, sigma)?;
        let columns = axis_tensor(from.1, to.1, upsample, sigma)?;
        Ok(Self {
            rows: rows.f_to_device(device)?,
            columns: columns
                .f_transpose(0, 1)?
                .f_contiguous()?
                .f_to_device(device)?,
        })
    }

    /// Applies it to maps of any leading dimensions: …×h×w to …×H×W, f32.
    ///
    /// # Errors
    /// [`NnError::Shape`] unless the last two dimensions are those it was made for.
    pub fn apply(&self, maps: &Tensor) -> Result<Tensor, NnError> {
        let (size, h, w) = (maps.size(), self.rows.size()[1], self.columns.size()[0]);
        if !matches!(size[..], [.., a, b] if (a, b) == (h, w)) {
            return Err(NnError::Shape {
                what: "map operator",
                actual: size,
                expected: format!("…×{h}×{w}"),
            });
        }
        let maps = maps.f_to_kind(Kind::Float)?;
        Ok(self.rows.f_matmul(&maps)?.f_matmul(&self.columns)?)
    }
}

fn axis_tensor(
    from: usize,
    to: usize,
    upsample: Upsample,
    sigma: Option<f64>,
) -> Result<Tensor, NnError> {
    let matrix = axis_matrix(from, to, upsample, sigma)?;
    let values: Vec<f32> = matrix.into_iter().map(|v| v as f32).collect();
    from_slice(&values, &[to as i64, from as i64])
}

/// blur · upsample for one axis, `to`×`from`, row-major, in f64 so that it is rounded once.
fn axis_matrix(
    from: usize,
    to: usize,
    upsample: Upsample,
    sigma: Option<f64>,
) -> Result<Vec<f64>, NnError> {
    if from == 0 || to == 0 {
        return Err(NnError::Operator(format!(
            "sizes must be at least 1, got {from} to {to}"
        )));
    }
    let enlarge = upsample_matrix(from, to, upsample);
    match sigma {
        None => Ok(enlarge),
        Some(sigma) => blurred(&enlarge, from, to, sigma),
    }
}

fn upsample_matrix(from: usize, to: usize, upsample: Upsample) -> Vec<f64> {
    let mut enlarge = vec![0.0; to * from];
    for (i, row) in enlarge.chunks_exact_mut(from).enumerate() {
        let at = match upsample {
            Upsample::Nearest => {
                row[(i * from / to).min(from - 1)] = 1.0;
                continue;
            }
            // One output pixel has no second corner to align.
            Upsample::Bilinear {
                align_corners: true,
            } if to == 1 => 0.0,
            Upsample::Bilinear {
                align_corners: true,
            } => i as f64 * (from - 1) as f64 / (to - 1) as f64,
            // Centres of pixels lie at ½; what falls outside the first centre repeats it.
            Upsample::Bilinear {
                align_corners: false,
            } => ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
        };
        let low = (at as usize).min(from - 1);
        let part = (at - low as f64).min(1.0);
        row[low] += 1.0 - part;
        row[(low + 1).min(from - 1)] += part;
    }
    enlarge
}

/// The rows of `enlarge` mixed as a Gaussian mixes the pixels that they give.
fn blurred(enlarge: &[f64], from: usize, to: usize, sigma: f64) -> Result<Vec<f64>, NnError> {
    let taps = gaussian(sigma)?;
    let radius = taps.len() / 2;
    if radius >= to {
        return Err(NnError::Operator(format!(
            "a blur of σ = {sigma} reaches {radius} pixels and needs maps of at least {}, got {to}",
            radius + 1
        )));
    }
    let mut out = vec![0.0; to * from];
    for (i, row) in out.chunks_exact_mut(from).enumerate() {
        for (k, tap) in taps.iter().enumerate() {
            // |i + k − radius| reflects at the first pixel, 2·(to − 1) − … at the last.
            let mirrored = (i + k).abs_diff(radius);
            let source = if mirrored >= to {
                2 * (to - 1) - mirrored
            } else {
                mirrored
            };
            for (o, u) in row
                .iter_mut()
                .zip(&enlarge[source * from..(source + 1) * from])
            {
                *o += tap * u;
            }
        }
    }
    Ok(out)
}

/// Taps of a Gaussian with 2·⌊4σ+½⌋+1 places, summing to 1.
fn gaussian(sigma: f64) -> Result<Vec<f64>, NnError> {
    if !(sigma.is_finite() && sigma > 0.0) {
        return Err(NnError::Operator(format!(
            "σ must be positive, got {sigma}"
        )));
    }
    // SciPy's default: cut off at four standard deviations.
    let radius = (4.0 * sigma + 0.5).floor() as i64;
    let taps: Vec<f64> = (-radius..=radius)
        .map(|x| (-(x * x) as f64 / (2.0 * sigma * sigma)).exp())
        .collect();
    let sum: f64 = taps.iter().sum();
    Ok(taps.into_iter().map(|t| t / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, to_vec};

    const ALIGNED: Upsample = Upsample::Bilinear {
        align_corners: true,
    };
    const HALF_PIXEL: Upsample = Upsample::Bilinear {
        align_corners: false,
    };

    fn patch() -> Tensor {
        let values: Vec<f32> = (0..1024)
            .map(|j| (1.0 + golden::uniform("patch", j)) as f32)
            .collect();
        from_slice(&values, &[32, 32]).unwrap()
    }

    fn run(upsample: Upsample, sigma: Option<f64>) -> Vec<f32> {
        let op = MapOperator::new((32, 32), (256, 256), upsample, sigma, tch::Device::Cpu).unwrap();
        to_vec(&op.apply(&patch()).unwrap()).unwrap()
    }

    fn close(a: f32, b: f64) {
        assert!((f64::from(a) - b).abs() < 2e-6, "{a} is not {b}");
    }

    #[test]
    fn known_maps() {
        let m = run(Upsample::Nearest, Some(4.0));
        close(
            (m.iter().map(|&v| f64::from(v)).sum::<f64>() / 65536.0) as f32,
            1.0007305,
        );
        close(m.iter().copied().fold(0.0, f32::max), 1.4023069);
        close(m[0], 1.1862584);
        close(m[100 * 256 + 37], 1.0264087);
        close(m[65535], 0.9732906);

        let max = |m: &[f32]| m.iter().copied().fold(0.0, f32::max);
        let m = run(ALIGNED, None);
        close(m[100 * 256 + 37], 1.0176607);
        close(max(&m), 1.4959073);
        close(run(ALIGNED, Some(4.0))[100 * 256 + 37], 0.9823021);
        let m = run(HALF_PIXEL, None);
        close(m[100 * 256 + 37], 1.0419883);
        close(max(&m), 1.4766304);
        close(run(HALF_PIXEL, Some(4.0))[100 * 256 + 37], 1.0233893);
    }

    /// libtorch's own interpolation, reflecting pad and convolution, on maps that are not square.
    #[test]
    fn agrees_with_the_steps_done_apart() {
        let d = golden::input("steps", &[2, 1, 9, 13]).unwrap();
        let (h, w) = (40, 53);
        for (upsample, big) in [
            (
                Upsample::Nearest,
                d.f_upsample_nearest2d([h, w], None, None).unwrap(),
            ),
            (
                ALIGNED,
                d.f_upsample_bilinear2d([h, w], true, None, None).unwrap(),
            ),
            (
                HALF_PIXEL,
                d.f_upsample_bilinear2d([h, w], false, None, None).unwrap(),
            ),
        ] {
            let taps: Vec<f32> = gaussian(4.0)
                .unwrap()
                .into_iter()
                .map(|t| t as f32)
                .collect();
            assert_eq!(taps.len(), 33);
            let taps = from_slice(&taps, &[1, 1, 33, 1]).unwrap();
            let padded = big.f_reflection_pad2d([16, 16, 16, 16]).unwrap();
            let conv =
                |x: &Tensor, k: &Tensor| x.f_conv2d(k, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
            let apart = conv(&conv(&padded, &taps).unwrap(), &taps.transpose(2, 3)).unwrap();
            let (from, to) = ((9, 13), (h as usize, w as usize));
            let op = MapOperator::new(from, to, upsample, Some(4.0), tch::Device::Cpu).unwrap();
            let at_once = op.apply(&d).unwrap();
            assert_eq!(at_once.size(), apart.size());
            let worst = (at_once - apart).abs().max().double_value(&[]);
            assert!(worst < 3e-6, "{upsample:?}: {worst}");
        }
    }

    #[test]
    fn bad_sizes_are_errors() {
        let make = |from, to, sigma| MapOperator::new(from, to, ALIGNED, sigma, tch::Device::Cpu);
        assert!(make((0, 1), (2, 2), None).is_err());
        assert!(make((2, 2), (16, 32), Some(4.0)).is_err());
        assert!(make((2, 2), (17, 17), Some(4.0)).is_ok());
        assert!(make((2, 2), (32, 32), Some(0.0)).is_err());
        let op = make((2, 2), (4, 4), None).unwrap();
        assert!(matches!(op.apply(&patch()), Err(NnError::Shape { .. })));
        assert!(op.apply(&from_slice(&[1.0], &[1]).unwrap()).is_err());
    }
}
