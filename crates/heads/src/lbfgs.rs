//! Minimisation by limited-memory BFGS (Nocedal & Wright, algorithm 7.5), with steps halved until
//! the value falls by enough (Armijo's rule).

use std::collections::VecDeque;

/// When to stop, and what to remember.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Steps, at most.
    pub steps: usize,
    /// Pairs of steps and changes of the gradient that are remembered.
    pub memory: usize,
    /// The largest part of the gradient that counts as zero, relative to the largest at the start.
    pub tolerance: f64,
}

/// Where minimisation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The unknowns.
    pub at: Vec<f64>,
    /// The largest part of the gradient there.
    pub gradient: f64,
    /// What [`Limits::tolerance`] came to.
    pub tolerance: f64,
    /// Steps done.
    pub steps: usize,
}

/// Minimises from `start`. `objective` gives value and gradient. Ends early where rounding hides
/// any further descent: compare [`Minimum::gradient`] with [`Minimum::tolerance`].
pub fn minimise(
    start: Vec<f64>,
    objective: impl Fn(&[f64]) -> (f64, Vec<f64>),
    limits: &Limits,
) -> Minimum {
    let mut at = start;
    let (mut value, mut gradient) = objective(&at);
    // Relative to the start: gradients scale with weights and the number of rows.
    let tolerance = limits.tolerance * largest(&gradient).max(1e-300);
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    let mut steps = 0;
    while steps < limits.steps && largest(&gradient) > tolerance {
        let direction = direction(&gradient, &memory);
        // Without a memory the direction is the gradient, whose length says nothing about how far
        // to go: the first step has length 1.
        let first = if memory.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt()
        } else {
            1.0
        };
        // Rounding hides any further descent: as near as f64 comes.
        let slope = dot(&direction, &gradient);
        let Some((next, v, g)) = descend(&objective, &at, value, slope, &direction, first) else {
            break;
        };
        let s: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = g.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        // Halved steps do not ensure positive curvature; without it the inverse Hessian would no
        // longer be positive definite, so such a pair is left out.
        if curvature > 1e-12 * dot(&y, &y) {
            if memory.len() == limits.memory {
                memory.pop_front();
            }
            memory.push_back((s, y, 1.0 / curvature));
        }
        (at, value, gradient) = (next, v, g);
        steps += 1;
    }
    Minimum {
        at,
        gradient: largest(&gradient),
        tolerance,
        steps,
    }
}

/// The first of the steps `step`, `step`/2, … whose value falls by a small share of what the slope
/// promises, with value and gradient there.
fn descend(
    objective: &impl Fn(&[f64]) -> (f64, Vec<f64>),
    at: &[f64],
    value: f64,
    slope: f64,
    direction: &[f64],
    mut step: f64,
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    loop {
        let moved = at.iter().zip(direction).map(|(a, d)| a + step * d);
        let next: Vec<f64> = moved.collect();
        let (v, g) = objective(&next);
        if v <= value + 1e-4 * step * slope {
            return Some((next, v, g));
        }
        step /= 2.0;
        if step < 1e-20 {
            return None;
        }
    }
}

/// The two-loop recursion: minus the gradient times the inverse Hessian that the memory implies.
fn direction(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let alpha = rho * dot(s, &q);
        for (q, y) in q.iter_mut().zip(y) {
            *q -= alpha * y;
        }
        alphas.push(alpha);
    }
    // The latest pair sets the scale of the unknown rest of the Hessian.
    if let Some((_, y, rho)) = memory.back() {
        let scale = 1.0 / (rho * dot(y, y));
        for q in &mut q {
            *q *= scale;
        }
    }
    for ((s, y, rho), alpha) in memory.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * dot(y, &q);
        for (q, s) in q.iter_mut().zip(s) {
            *q += (alpha - beta) * s;
        }
    }
    q
}

/// ln(1 + e⁻ᵐ) of a margin m, and how much of its slope is left: 1/(1 + eᵐ). No exponential
/// overflows.
pub fn logistic_loss(margin: f64) -> (f64, f64) {
    // Never the exponential of a large number.
    let small = (-margin.abs()).exp();
    let loss = small.ln_1p() + (-margin).max(0.0);
    let away = if margin > 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    };
    (loss, away)
}

/// a·b, summed from the front.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(gradient: &[f64]) -> f64 {
    gradient.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        steps: 500,
        memory: 10,
        tolerance: 1e-9,
    };

    #[test]
    fn rosenbrocks_valley_is_followed_to_its_end() {
        let rosenbrock = |p: &[f64]| {
            let (x, y) = (p[0], p[1]);
            let away = y - x * x;
            let gradient = vec![-2.0 * (1.0 - x) - 400.0 * x * away, 200.0 * away];
            ((1.0 - x).powi(2) + 100.0 * away * away, gradient)
        };
        let found = minimise(vec![-1.2, 1.0], rosenbrock, &LIMITS);
        assert!(found.gradient <= found.tolerance, "{found:?}");
        assert!(found.at.iter().all(|x| (x - 1.0).abs() < 1e-6), "{found:?}");
        let few = minimise(vec![-1.2, 1.0], rosenbrock, &Limits { steps: 3, ..LIMITS });
        assert_eq!(few.steps, 3);
        assert!(few.gradient > few.tolerance);
    }

    #[test]
    fn losses_do_not_overflow() {
        assert_eq!(logistic_loss(0.0), (std::f64::consts::LN_2, 0.5));
        assert_eq!(logistic_loss(-1000.0), (1000.0, 1.0));
        assert_eq!(logistic_loss(1000.0), (0.0, 0.0));
    }
}
