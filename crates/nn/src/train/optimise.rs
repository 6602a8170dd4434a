use super::{Optimiser, TrainError};
use tch::Tensor;

/// An optimiser's memory of one variable.
pub(super) struct Slot {
    /// Adam: mean of gradients. SGD: momentum.
    pub first: Tensor,
    /// Adam: mean of squared gradients.
    pub second: Option<Tensor>,
    /// Updates that this variable has had; a variable without gradient has none in that step, as in
    /// PyTorch.
    pub updates: u64,
}

impl Slot {
    pub(super) fn new(optimiser: &Optimiser, variable: &Tensor) -> Result<Self, TrainError> {
        let second = match optimiser {
            Optimiser::Adam { .. } => Some(variable.f_zeros_like()?),
            Optimiser::Sgd { .. } => None,
        };
        Ok(Self {
            first: variable.f_zeros_like()?,
            second,
            updates: 0,
        })
    }

    /// One update of `variable`; call it under `no_grad`.
    pub(super) fn update(
        &mut self,
        optimiser: &Optimiser,
        rate: f64,
        variable: &mut Tensor,
        gradient: &Tensor,
    ) -> Result<(), TrainError> {
        self.updates += 1;
        match *optimiser {
            Optimiser::Adam {
                betas: (b1, b2),
                epsilon,
                weight_decay,
            } => {
                let g = with_decay(gradient, variable, weight_decay)?;
                let second = self.second.as_mut();
                let second = second.expect("a slot of Adam has both means");
                let _ = self.first.f_lerp_(&g, 1.0 - b1)?;
                let _ = second.f_lerp_(&g.f_square()?, 1.0 - b2)?;
                let t = self.updates as f64;
                let step = rate / (1.0 - b1.powf(t));
                // At the end of a cosine the rate is 0, and 1/step infinite.
                if step > 0.0 {
                    // w − step·m/(√v/√(1−β₂ᵗ) + ε), with the factor −1/step taken into the divisor,
                    // as in PyTorch: one pass over the variable and the same roundings.
                    let scale = -1.0 / ((1.0 - b2.powf(t)).sqrt() * step);
                    let divisor = second
                        .f_sqrt()?
                        .f_mul_scalar_(scale)?
                        .f_add_scalar_(-epsilon / step)?;
                    let _ = variable.f_addcdiv_(&self.first, &divisor)?;
                }
            }
            Optimiser::Sgd {
                momentum,
                weight_decay,
            } => {
                let g = with_decay(gradient, variable, weight_decay)?;
                let _ = self.first.f_mul_scalar_(momentum)?.f_add_(&g)?;
                let _ = variable.f_sub_(&self.first.f_mul_scalar(rate)?)?;
            }
        }
        Ok(())
    }
}

/// The gradient with the L2 penalty's, decay·w.
fn with_decay(gradient: &Tensor, variable: &Tensor, decay: f64) -> Result<Tensor, TrainError> {
    if decay == 0.0 {
        return Ok(gradient.shallow_clone());
    }
    Ok(variable.f_mul_scalar(decay)?.f_add_(gradient)?)
}

/// Scales gradients so that the norm over all of them is at most `limit`: by limit/(norm + 1e-6)
/// where that is below 1.
pub(super) fn clip(gradients: &mut [Option<Tensor>], limit: f64) -> Result<(), TrainError> {
    let mut square = 0.0;
    for g in gradients.iter().flatten() {
        // Summed in f64 on the host: f32 would lose small layers next to large ones.
        square += g.f_norm()?.f_double_value(&[])?.powi(2);
    }
    // The small term is PyTorch's, so that clipped steps are the published ones.
    let scale = limit / (square.sqrt() + 1e-6);
    if scale < 1.0 {
        for g in gradients.iter_mut().flatten() {
            *g = g.f_mul_scalar(scale)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_slice, to_vec};

    const START: [f64; 3] = [0.5, -1.25, 2.0];

    fn gradient(t: usize) -> [f64; 3] {
        let t = t as f64;
        [(t * 0.7).sin(), 100.0 * (t * 1.3).cos(), 1e-4 * (t - 3.0)]
    }

    fn run(optimiser: Optimiser, rate: f64, steps: usize) -> Vec<f32> {
        let mut w = from_slice(&START.map(|v| v as f32), &[3]).unwrap();
        let mut slot = Slot::new(&optimiser, &w).unwrap();
        for t in 1..=steps {
            let g = from_slice(&gradient(t).map(|v| v as f32), &[3]).unwrap();
            slot.update(&optimiser, rate, &mut w, &g).unwrap();
        }
        to_vec(&w).unwrap()
    }

    fn close(actual: &[f32], expected: &[f64]) {
        for (a, e) in actual.iter().zip(expected) {
            assert!(
                (f64::from(*a) - e).abs() < 2e-6 * e.abs().max(0.1),
                "{actual:?} is not {expected:?}"
            );
        }
    }

    #[test]
    fn adam_is_the_papers() {
        let (b1, b2, epsilon, decay, rate) = (0.5, 0.99, 1e-8, 0.01, 0.02);
        let mut w = START;
        let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
        for t in 1..=7 {
            for i in 0..3 {
                let g = gradient(t)[i] + decay * w[i];
                m[i] = b1 * m[i] + (1.0 - b1) * g;
                v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                let m_hat: f64 = m[i] / (1.0 - f64::powi(b1, t as i32));
                let v_hat: f64 = v[i] / (1.0 - f64::powi(b2, t as i32));
                w[i] -= rate * m_hat / (v_hat.sqrt() + epsilon);
            }
        }
        close(
            &run(
                Optimiser::Adam {
                    betas: (b1, b2),
                    epsilon,
                    weight_decay: decay,
                },
                rate,
                7,
            ),
            &w,
        );
        // The first update by hand: m̂ = g, v̂ = g², so each weight moves by the rate against its
        // gradient's sign.
        close(&run(Optimiser::adam(0.0), 0.02, 1), &[0.48, -1.27, 2.02]);
    }

    #[test]
    fn sgd_keeps_its_momentum() {
        let (momentum, decay, rate) = (0.9, 0.01, 0.003);
        let (mut w, mut u) = (START, [0.0; 3]);
        for t in 1..=7 {
            for i in 0..3 {
                u[i] = momentum * u[i] + gradient(t)[i] + decay * w[i];
                w[i] -= rate * u[i];
            }
        }
        close(
            &run(
                Optimiser::Sgd {
                    momentum,
                    weight_decay: decay,
                },
                rate,
                7,
            ),
            &w,
        );
    }

    #[test]
    fn clipping_is_over_all_gradients() {
        let make = || {
            [
                Some(from_slice(&[3.0], &[1]).unwrap()),
                None,
                Some(from_slice(&[4.0], &[1]).unwrap()),
            ]
        };
        let mut g = make();
        clip(&mut g, 10.0).unwrap();
        assert_eq!(to_vec(g[0].as_ref().unwrap()).unwrap(), [3.0]);
        clip(&mut g, 1.0).unwrap();
        close(&to_vec(g[0].as_ref().unwrap()).unwrap(), &[0.6]);
        close(&to_vec(g[2].as_ref().unwrap()).unwrap(), &[0.8]);
    }
}
