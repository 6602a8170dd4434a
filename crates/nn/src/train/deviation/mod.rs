//! What DevNet and DRA have in common: a score that is trained to deviate from a Gaussian
//! reference, the largest places of a score map, the same image at several sizes, a backbone with
//! heads, and most of their settings.

mod network;
mod origin;
mod settings;

pub use network::{HeadedBackbone, published_parameters};
pub use origin::Origin;
pub use settings::{deviation_plan, expect_common};

use super::focal_loss;
use super::init::normal_factors;
use crate::{NnError, from_slice};
use segad_core::{CacheKey, KeyHasher, Seed};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Scores that the sampled reference draws.
pub const REFERENCE_SAMPLES: usize = 5000;

/// What scores are trained towards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// The deviation loss of DevNet (Pang et al., KDD 2019): good scores at the reference's mean,
    /// bad ones at least `margin` deviations above it.
    #[default]
    Deviation,
    /// Binary cross-entropy, the score taken as a logit.
    Bce,
    /// Focal loss with γ = 2 and without class weights, the score taken as a logit.
    Focal,
}

/// The prior of good scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// Mean and standard deviation (n − 1) of 5000 numbers from N(0, 1), drawn anew at every call,
    /// as published. They are within some ±0.014 of 0 and ±1 % of 1.
    #[default]
    Sampled,
    /// 0 and 1, what the samples stand for.
    Standard,
}

macro_rules! keyed {
    ($t:ty, $($v:ident => $s:literal),*) => {
        impl CacheKey for $t {
            fn feed(&self, hasher: &mut KeyHasher) {
                match self { $(Self::$v => $s),* }.feed(hasher);
            }
        }
    };
}
keyed!(Criterion, Deviation => "deviation", Bce => "bce", Focal => "focal");
keyed!(Reference, Sampled => "sampled", Standard => "standard");

impl Reference {
    /// Mean and standard deviation.
    pub fn moments(self, seed: Seed) -> (f64, f64) {
        match self {
            Self::Standard => (0.0, 1.0),
            Self::Sampled => {
                let n = REFERENCE_SAMPLES as f64;
                let mut rng = seed.rng();
                let mut sum = 0.0;
                let mut square = 0.0;
                for _ in 0..REFERENCE_SAMPLES {
                    let (radius, cosine) = normal_factors(&mut rng);
                    let r = radius * cosine;
                    sum += r;
                    square += r * r;
                }
                // The one-pass variance loses no digits that matter: the mean is near 0.
                let mean = sum / n;
                (mean, ((square - n * mean * mean) / (n - 1.0)).sqrt())
            }
        }
    }
}

/// How a score is judged: the loss of a batch, averaged over its images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Which loss.
    pub criterion: Criterion,
    /// The deviation loss's prior.
    pub reference: Reference,
    /// Deviations above the prior's mean that a bad score must reach.
    pub margin: f64,
}

impl Objective {
    /// The loss of `scores` (B values), `bad` (B) saying which should be high; `seed` draws the
    /// reference.
    ///
    /// Deviation: with d = (y − μ)/σ, the mean of |d| for good and max(0, margin − d) for bad
    /// images.
    ///
    /// # Errors
    /// [`NnError::Shape`] unless there is one label per score and at least one, else libtorch's.
    pub fn loss(&self, scores: &Tensor, bad: &[bool], seed: Seed) -> Result<Tensor, NnError> {
        let n = bad.len() as i64;
        if scores.size() != [n] || n == 0 {
            let expected = format!("[{n}], one score per label, at least one");
            return Err(NnError::Shape {
                what: "scores of a loss",
                actual: scores.size(),
                expected,
            });
        }
        let targets: Vec<f32> = bad.iter().map(|&b| f32::from(u8::from(b))).collect();
        let targets = from_slice(&targets, &[n])?.f_to_device(scores.device())?;
        let scores = scores.f_to_kind(Kind::Float)?;
        match self.criterion {
            Criterion::Deviation => {
                let (mean, deviation) = self.reference.moments(seed);
                let d = scores.f_sub_scalar(mean)?.f_div_scalar(deviation)?;
                let good = d.f_abs()?;
                let short = d.f_neg()?.f_add_scalar(self.margin)?.f_clamp_min(0.0)?;
                // good + (short − good)·target selects one of the two without a branch; both are
                // finite, so the other one's zero weight cannot make NaN.
                let each = good.f_add(&short.f_sub(&good)?.f_mul(&targets)?)?;
                Ok(each.f_mean(Kind::Float)?)
            }
            // Cross-entropy is focal loss with γ = 0; a negative α weights both labels alike.
            Criterion::Bce => focal_loss(&scores, &targets, -1.0, 0.0),
            Criterion::Focal => focal_loss(&scores, &targets, -1.0, 2.0),
        }
    }
}

/// One score per image from score maps N×1×H×W: the mean of the ⌊share·H·W⌋ (at least one) largest
/// absolute values; with a share of 0 the mean of all, signs kept.
///
/// # Errors
/// libtorch's.
pub fn top_mean(maps: &Tensor, share: f64) -> Result<Tensor, NnError> {
    let flat = maps.f_flatten(1, -1)?.f_to_kind(Kind::Float)?;
    let places = flat.size()[1];
    let chosen = if share > 0.0 {
        // Rounded down, as the official code's int(); small maps keep at least one place.
        let k = ((places as f64 * share) as i64).clamp(1, places);
        flat.f_abs()?.f_topk(k, 1, true, true)?.0
    } else {
        flat
    };
    Ok(chosen.f_mean_dim([1i64].as_slice(), false, None)?)
}

/// The input at scale `s`: every 2ˢ-th row and column, which is what nearest-neighbour resizing to
/// 1/2ˢ of a size that 2ˢ divides gives.
///
/// # Errors
/// libtorch's.
pub fn at_scale(images: &Tensor, s: u32) -> Result<Tensor, NnError> {
    if s == 0 {
        return Ok(images.shallow_clone());
    }
    let step = 1i64 << s;
    Ok(images
        .f_slice(2, None, None, step)?
        .f_slice(3, None, None, step)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_vec;

    const STANDARD: Objective = Objective {
        criterion: Criterion::Deviation,
        reference: Reference::Standard,
        margin: 5.0,
    };

    fn close(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 1e-6 * expected.abs().max(1.0),
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn the_deviation_loss_by_hand() {
        // Good: |0.5|, |−2|; bad: 5 − 1, and 0 for one beyond the margin.
        let y = from_slice(&[0.5, -2.0, 1.0, 7.0], &[4])
            .unwrap()
            .set_requires_grad(true);
        let bad = [false, false, true, true];
        let loss = STANDARD.loss(&y, &bad, Seed(1)).unwrap();
        close(loss.double_value(&[]), (0.5 + 2.0 + 4.0 + 0.0) / 4.0);
        let g = Tensor::run_backward(&[&loss], &[&y], false, false).remove(0);
        assert_eq!(to_vec(&g).unwrap(), [0.25, -0.25, -0.25, 0.0]);
        // With a sampled reference: (y − μ)/σ.
        let sampled = Objective {
            reference: Reference::Sampled,
            ..STANDARD
        };
        let (m, s) = Reference::Sampled.moments(Seed(9));
        let expected = ((0.5 - m) / s + (2.0 + m) / s + 5.0 - (1.0 - m) / s) / 4.0;
        close(
            sampled.loss(&y, &bad, Seed(9)).unwrap().double_value(&[]),
            expected,
        );
        assert!(STANDARD.loss(&y, &bad[..3], Seed(1)).is_err());
    }

    #[test]
    fn the_reference_is_drawn_from_a_normal_distribution() {
        let all: Vec<(f64, f64)> = (0..200)
            .map(|s| Reference::Sampled.moments(Seed(s)))
            .collect();
        let spread = |v: &[f64]| {
            let m = v.iter().sum::<f64>() / v.len() as f64;
            (
                m,
                (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / v.len() as f64).sqrt(),
            )
        };
        // Standard errors: 1/√5000 = 0.0141 of a mean, 1/√10000 = 0.01 of a deviation.
        let (m, s) = spread(&all.iter().map(|a| a.0).collect::<Vec<_>>());
        assert!(m.abs() < 0.004 && (0.012..0.0165).contains(&s), "{m} {s}");
        let (m, s) = spread(&all.iter().map(|a| a.1).collect::<Vec<_>>());
        assert!(
            (m - 1.0).abs() < 0.003 && (0.0085..0.0117).contains(&s),
            "{m} {s}"
        );
        assert_eq!(Reference::Sampled.moments(Seed(3)), all[3]);
    }

    #[test]
    fn cross_entropy_and_focal_loss_by_hand() {
        let z = from_slice(&[0.0, 2.0, -60.0], &[3]).unwrap();
        let bad = [true, false, true];
        let p = 1.0 / (1.0 + 2f64.exp());
        let each = [2f64.ln(), -p.ln(), 60.0];
        let of = |criterion| {
            Objective {
                criterion,
                ..STANDARD
            }
            .loss(&z, &bad, Seed(0))
            .unwrap()
            .double_value(&[])
        };
        close(of(Criterion::Bce), each.iter().sum::<f64>() / 3.0);
        close(
            of(Criterion::Focal),
            (0.25 * each[0] + (1.0 - p).powi(2) * each[1] + 60.0) / 3.0,
        );
    }

    #[test]
    fn the_largest_places_count() {
        let map = from_slice(&[1.0, -8.0, 3.0, 2.0, 0.0, 0.0, 0.0, 4.0], &[2, 1, 2, 2]).unwrap();
        assert_eq!(to_vec(&top_mean(&map, 0.5).unwrap()).unwrap(), [5.5, 2.0]);
        assert_eq!(to_vec(&top_mean(&map, 0.1).unwrap()).unwrap(), [8.0, 4.0]);
        assert_eq!(to_vec(&top_mean(&map, 1.0).unwrap()).unwrap(), [3.5, 1.0]);
        assert_eq!(to_vec(&top_mean(&map, 0.0).unwrap()).unwrap(), [-0.5, 1.0]);
        // Numbers of places for inputs of 256, 128, 448 and 224 pixels.
        for (side, k) in [(8, 6), (4, 1), (14, 19), (7, 4)] {
            let n = (side * side) as usize;
            let values: Vec<f32> = (0..n).map(|i| if i < k { 1.0 } else { 0.0 }).collect();
            let score = |v: &[f32]| {
                to_vec(&top_mean(&from_slice(v, &[1, 1, side, side]).unwrap(), 0.1).unwrap())
                    .unwrap()[0]
            };
            assert_eq!(score(&values), 1.0);
            let mut more = values.clone();
            more[0] = 0.0;
            assert!(
                (score(&more) - (k as f32 - 1.0) / k as f32).abs() < 1e-6,
                "{side}"
            );
        }
    }

    #[test]
    fn smaller_scales_are_nearest_neighbours() {
        let x = from_slice(
            &(0..2 * 16).map(|i| i as f32).collect::<Vec<_>>(),
            &[1, 2, 4, 4],
        )
        .unwrap();
        assert_eq!(
            to_vec(&at_scale(&x, 0).unwrap()).unwrap(),
            to_vec(&x).unwrap()
        );
        for s in 1..=2u32 {
            let side = 4 >> s;
            let nearest = x.upsample_nearest2d([side, side], None, None);
            assert_eq!(
                to_vec(&at_scale(&x, s).unwrap()).unwrap(),
                to_vec(&nearest).unwrap()
            );
        }
    }
}
