use crate::NnError;
use tch::{Kind, Reduction, Tensor};

/// The focal loss of Lin et al., mean over the batch: `logits` and `targets` (0 good, 1 bad) are N
/// values each; one value comes back. A negative `alpha` weights both labels alike. torchvision's
/// `sigmoid_focal_loss` gives the same.
///
/// ```
/// use tch::Tensor;
/// // p = 0.8 and 0.4: 0.25·0.2²·0.2231 and 0.75·0.4²·0.5108.
/// let (logits, targets) = (Tensor::from_slice(&[4f32.ln(), -(1.5f32.ln())]), Tensor::from_slice(&[1f32, 0.0]));
/// let loss = segad_nn::train::focal_loss(&logits, &targets, 0.25, 2.0)?;
/// assert!((loss.double_value(&[]) - (0.0022314 + 0.0612990) / 2.0).abs() < 1e-6);
/// # Ok::<(), segad_nn::NnError>(())
/// ```
///
/// # Errors
/// libtorch's, for shapes that do not fit.
pub fn focal_loss(
    logits: &Tensor,
    targets: &Tensor,
    alpha: f64,
    gamma: f64,
) -> Result<Tensor, NnError> {
    let z = logits.f_to_kind(Kind::Float)?;
    // From logits, because σ(z) rounds to 1 in f32 from z ≈ 17 on, and ln(1 − 1) is infinite.
    // −ln pₜ without overflow, and 1 − pₜ = σ(−z) for bad, σ(z) for good.
    let nll = z.f_binary_cross_entropy_with_logits(
        targets,
        None::<&Tensor>,
        None::<&Tensor>,
        Reduction::None,
    )?;
    let away = z
        .f_mul(&targets.f_mul_scalar(-2.0)?.f_add_scalar(1.0)?)?
        .f_sigmoid()?;
    let mut loss = if gamma == 0.0 {
        nll
    } else {
        nll.f_mul(&away.f_pow_tensor_scalar(gamma)?)?
    };
    if alpha >= 0.0 {
        loss = loss.f_mul(
            &targets
                .f_mul_scalar(2.0 * alpha - 1.0)?
                .f_add_scalar(1.0 - alpha)?,
        )?;
    }
    Ok(loss.f_mean(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;

    /// By the formula, in f64.
    fn expected(z: &[f64], t: &[f64], alpha: f64, gamma: f64) -> f64 {
        let one = |(&z, &t): (&f64, &f64)| {
            let p = 1.0 / (1.0 + (-z).exp());
            let (pt, at) = if t == 1.0 {
                (p, alpha)
            } else {
                (1.0 - p, 1.0 - alpha)
            };
            let weight = if alpha < 0.0 { 1.0 } else { at };
            -weight * (1.0 - pt).powf(gamma) * pt.ln()
        };
        z.iter().zip(t).map(one).sum::<f64>() / z.len() as f64
    }

    #[test]
    fn it_is_the_formula() {
        let (z, t) = (
            [-3.0, -0.5, 0.0, 0.7, 2.5, 6.0],
            [0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
        );
        let tensor =
            |v: &[f64]| Tensor::from_slice(&v.iter().map(|&v| v as f32).collect::<Vec<_>>());
        for (alpha, gamma) in [
            (0.25, 2.0),
            (0.5, 0.0),
            (-1.0, 2.0),
            (0.9, 1.0),
            (-1.0, 0.0),
        ] {
            let loss = focal_loss(&tensor(&z), &tensor(&t), alpha, gamma)
                .unwrap()
                .double_value(&[]);
            let expected = expected(&z, &t, alpha, gamma);
            assert!(
                (loss - expected).abs() < 1e-6 * expected.max(1.0),
                "{alpha} {gamma}: {loss} {expected}"
            );
        }
        // torchvision 0.16.2: sigmoid_focal_loss([0.5, -1.5, 2.0], [1, 0, 0], reduction="mean").
        let loss = focal_loss(
            &tensor(&[0.5, -1.5, 2.0]),
            &tensor(&[1.0, 0.0, 0.0]),
            0.25,
            2.0,
        )
        .unwrap();
        let by_hand = (0.25 * 0.377_540_7f64.powi(2) * 0.474_077
            + 0.75 * 0.182_425_5f64.powi(2) * 0.201_413_3
            + 0.75 * 0.880_797_1f64.powi(2) * 2.126_928)
            / 3.0;
        assert!((loss.double_value(&[]) - by_hand).abs() < 1e-6);
    }

    #[test]
    fn far_logits_stay_finite_and_have_gradients() {
        let z = Tensor::from_slice(&[-200f32, 200.0, 200.0, -200.0]).set_requires_grad(true);
        let t = Tensor::from_slice(&[1f32, 0.0, 1.0, 0.0]);
        let loss = focal_loss(&z, &t, 0.25, 2.0).unwrap();
        assert!((loss.double_value(&[]) - (0.25 + 0.75) * 200.0 / 4.0).abs() < 1e-4);
        loss.backward();
        let g = to_vec(&z.grad()).unwrap();
        assert!(
            g[0] < 0.0 && g[1] > 0.0 && g.iter().all(|g| g.is_finite()),
            "{g:?}"
        );
    }
}
