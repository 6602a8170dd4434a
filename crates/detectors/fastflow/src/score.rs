use segad_nn::model::ModelError;
use tch::Tensor;

/// Anomaly maps, N×1×size×size, from the flows' outputs, N×C×H×W per scale: −exp(−½·mean over
/// channels of z²), in (−1, 0), enlarged to `size` squared (bilinear, corners not aligned) and
/// averaged over the scales.
pub(crate) fn maps(hidden: &[Tensor], size: usize) -> Result<Tensor, ModelError> {
    let size = [size as i64, size as i64];
    let mut scales = Vec::with_capacity(hidden.len());
    for z in hidden {
        let mean = z.f_square()?.f_mean_dim([1i64].as_slice(), true, None)?;
        // The mean rather than the sum: the likelihood of hundreds of channels would underflow.
        let unlikely = mean.f_mul_scalar(-0.5)?.f_exp()?.f_neg()?;
        scales.push(unlikely.f_upsample_bilinear2d(size, false, None, None)?);
    }
    Ok(Tensor::f_stack(&scales, 0)?.f_mean_dim([0i64].as_slice(), false, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{from_slice, to_vec};

    #[test]
    fn unlikely_places_are_near_zero() {
        let likely = from_slice(&[0.0; 8], &[1, 2, 2, 2]).unwrap();
        let far = from_slice(&[3.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[1, 2, 2, 2]).unwrap();
        let m = to_vec(&maps(&[likely, far], 2).unwrap()).unwrap();
        let expected = [-0.5 - 0.5 * (-2.5f32).exp(), -1.0, -1.0, -1.0];
        for (a, e) in m.iter().zip(expected) {
            assert!((a - e).abs() < 1e-6, "{m:?}");
        }
        // 2 → 4: the outer rows repeat, the inner ones mix 3:1.
        let line = from_slice(&[0.0, 2.0], &[1, 1, 1, 2]).unwrap();
        let m = to_vec(&maps(&[line], 4).unwrap()).unwrap();
        let p = (-2f32).exp();
        for (a, e) in m.iter().zip([-1.0, -0.75 - 0.25 * p, -0.25 - 0.75 * p, -p]) {
            assert!((a - e).abs() < 1e-6, "{m:?}");
        }
    }
}
