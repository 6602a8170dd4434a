//! From scores to probabilities, after the fact and without changing their order.

use crate::error::ProductError;
use segad_core::{Label, named};
use serde::{Deserialize, Serialize};

/// How scores become probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationKind {
    /// A logistic curve with smoothed targets (Platt 2000; Newton's method after Lin, Lin and Weng
    /// 2007). For few images.
    #[default]
    Platt,
    /// The best non-decreasing steps (pool adjacent violators), linear between their middles. For
    /// many images.
    Isotonic,
}

named!(CalibrationKind by name, unknown => ProductError {
    Platt: "platt",
    Isotonic: "isotonic",
});

fn unknown(name: String) -> ProductError {
    ProductError::Setting {
        name: "calibration",
        value: name,
        expected: "platt or isotonic".to_owned(),
    }
}

/// A non-decreasing curve from a raw score to the probability of "bad" among images mixed as those
/// it was fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Calibration {
    /// 1/(1 + exp(−(slope·score + offset))), slope ≥ 0.
    Platt {
        /// Slope.
        slope: f64,
        /// Offset.
        offset: f64,
    },
    /// Straight lines between points, constant beyond the outer ones.
    Isotonic {
        /// Scores, ascending.
        scores: Vec<f64>,
        /// Probabilities, not descending.
        probabilities: Vec<f64>,
    },
}

impl Calibration {
    /// Fits a curve of this kind. One score and label an image.
    pub fn fit(kind: CalibrationKind, scores: &[f64], labels: &[Label]) -> Self {
        match kind {
            CalibrationKind::Platt => platt(scores, labels),
            CalibrationKind::Isotonic => isotonic(scores, labels),
        }
    }

    /// The probability that an image of this score is bad.
    pub fn probability(&self, score: f64) -> f64 {
        match self {
            Self::Platt { slope, offset } => sigmoid(slope * score + offset),
            Self::Isotonic {
                scores,
                probabilities,
            } => {
                let above = scores.partition_point(|&s| s <= score);
                match above {
                    0 => probabilities.first().copied().unwrap_or(f64::NAN),
                    n if n == scores.len() => probabilities[n - 1],
                    n => {
                        // Straight between blocks: steps would call equal what the score tells
                        // apart.
                        let share = (score - scores[n - 1]) / (scores[n] - scores[n - 1]);
                        probabilities[n - 1] + share * (probabilities[n] - probabilities[n - 1])
                    }
                }
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// ln(1 + eˣ).
fn softplus(x: f64) -> f64 {
    if x > 0.0 {
        // The exponential of a positive number may overflow, hence the two forms.
        x + (-x).exp().ln_1p()
    } else {
        x.exp().ln_1p()
    }
}

/// The cross-entropy of the targets.
fn loss(points: &[(f64, f64)], a: f64, b: f64) -> f64 {
    points
        .iter()
        .map(|&(x, t)| softplus(a * x + b) - t * (a * x + b))
        .sum()
}

fn platt(scores: &[f64], labels: &[Label]) -> Calibration {
    let n = scores.len() as f64;
    // Standardised, or Newton's steps would depend on the scale of the scores.
    let mean = scores.iter().sum::<f64>() / n;
    let spread = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if spread > 0.0 { spread } else { 1.0 };
    let bad = labels.iter().filter(|l| l.is_bad()).count() as f64;
    // Platt's targets stay off 0 and 1, so that a clean split has no infinite slope.
    let high = (bad + 1.0) / (bad + 2.0);
    let low = 1.0 / (n - bad + 2.0);
    let points: Vec<(f64, f64)> = scores
        .iter()
        .zip(labels)
        .map(|(s, l)| ((s - mean) / scale, if l.is_bad() { high } else { low }))
        .collect();
    let mut a = 0.0;
    let mut b = (bad + 1.0).ln() - (n - bad + 1.0).ln();
    for _ in 0..100 {
        let mut gradient = [0.0, 0.0];
        // A little on the diagonal, so that the matrix can be inverted where all p are 0 or 1.
        let mut hessian = [1e-12, 0.0, 1e-12];
        for &(x, t) in &points {
            let p = sigmoid(a * x + b);
            let residual = p - t;
            let curvature = p * (1.0 - p);
            gradient[0] += residual * x;
            gradient[1] += residual;
            hessian[0] += curvature * x * x;
            hessian[1] += curvature * x;
            hessian[2] += curvature;
        }
        let [ga, gb] = gradient;
        if ga.abs() < 1e-10 && gb.abs() < 1e-10 {
            break;
        }
        // Newton's step, halved until the loss falls by enough (Armijo).
        let [haa, hab, hbb] = hessian;
        let det = haa * hbb - hab * hab;
        let da = -(hbb * ga - hab * gb) / det;
        let db = -(haa * gb - hab * ga) / det;
        let before = loss(&points, a, b);
        let slope = ga * da + gb * db;
        let mut step = 1.0;
        while step > 1e-10
            && loss(&points, a + step * da, b + step * db) > before + 1e-4 * step * slope
        {
            step /= 2.0;
        }
        a += step * da;
        b += step * db;
    }
    // Scores that point the wrong way must not turn the order round: then the score says nothing.
    if a < 0.0 {
        let share = (bad + 1.0) / (n + 2.0);
        return Calibration::Platt {
            slope: 0.0,
            offset: (share / (1.0 - share)).ln(),
        };
    }
    Calibration::Platt {
        slope: a / scale,
        offset: b - a * mean / scale,
    }
}

fn isotonic(scores: &[f64], labels: &[Label]) -> Calibration {
    let mut points: Vec<(f64, f64)> = scores
        .iter()
        .zip(labels)
        .map(|(&s, l)| (s, f64::from(l.as_u8())))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Blocks: sum of scores, sum of labels, count; equal scores are one block from the start.
    let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
    let mut last = f64::NAN;
    for (score, label) in points {
        match blocks.last_mut() {
            Some(block) if score == last => {
                *block = (block.0 + score, block.1 + label, block.2 + 1.0);
            }
            _ => blocks.push((score, label, 1.0)),
        }
        last = score;
    }
    let mut pooled: Vec<(f64, f64, f64)> = Vec::new();
    for block in blocks {
        pooled.push(block);
        while let [.., a, b] = pooled[..] {
            if a.1 / a.2 < b.1 / b.2 {
                break;
            }
            // Blocks out of order become one, and may then be out of order with the one before.
            pooled.truncate(pooled.len() - 2);
            pooled.push((a.0 + b.0, a.1 + b.1, a.2 + b.2));
        }
    }
    // Laplace's rule keeps 0 and 1 for what is impossible.
    Calibration::Isotonic {
        scores: pooled.iter().map(|b| b.0 / b.2).collect(),
        probabilities: smoothed(&pooled),
    }
}

/// (bad + 1)/(count + 2) of each block, made non-decreasing again by a running maximum.
fn smoothed(blocks: &[(f64, f64, f64)]) -> Vec<f64> {
    let mut highest = 0.0f64;
    let mut probabilities = Vec::with_capacity(blocks.len());
    for (_, bad, count) in blocks {
        // Smoothing pulls small blocks more than large ones and may turn the order round.
        highest = highest.max((bad + 1.0) / (count + 2.0));
        probabilities.push(highest);
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    fn data() -> (Vec<f64>, Vec<Label>) {
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i) / 10.0).collect();
        let labels = (0..40)
            .map(|i| if i % 7 == 0 || i > 30 { Bad } else { Good })
            .collect();
        (scores, labels)
    }

    #[test]
    fn curves_never_fall() {
        let (scores, labels) = data();
        for kind in [CalibrationKind::Platt, CalibrationKind::Isotonic] {
            let curve = Calibration::fit(kind, &scores, &labels);
            let p: Vec<f64> = (-20..80)
                .map(|i| curve.probability(f64::from(i) / 10.0))
                .collect();
            assert!(p.windows(2).all(|w| w[0] <= w[1]), "{kind:?} {p:?}");
            assert!(p.iter().all(|p| *p > 0.0 && *p < 1.0));
            assert!(p[75] > 0.6 && p[0] < 0.3, "{kind:?} {} {}", p[75], p[0]);
        }
    }

    /// The gradient of Platt's loss with its smoothed targets vanishes: Σ(p − t) = 0 and Σ(p − t)x
    /// = 0.
    #[test]
    fn platts_curve_is_the_optimum() {
        let (scores, labels) = data();
        let curve = Calibration::fit(CalibrationKind::Platt, &scores, &labels);
        let bad = labels.iter().filter(|l| l.is_bad()).count() as f64;
        let (high, low) = ((bad + 1.0) / (bad + 2.0), 1.0 / (40.0 - bad + 2.0));
        let (mut sum, mut moment) = (0.0, 0.0);
        for (s, l) in scores.iter().zip(&labels) {
            let rest = curve.probability(*s) - if l.is_bad() { high } else { low };
            (sum, moment) = (sum + rest, moment + rest * s);
        }
        assert!(sum.abs() < 1e-8 && moment.abs() < 1e-8, "{sum} {moment}");
    }

    #[test]
    fn scores_that_point_the_wrong_way_say_nothing() {
        let scores = [3.0, 2.0, 1.0, 0.0];
        let labels = [Good, Good, Bad, Bad];
        let curve = Calibration::fit(CalibrationKind::Platt, &scores, &labels);
        assert_eq!(curve.probability(-5.0), curve.probability(5.0));
        assert!((curve.probability(0.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn steps_by_hand() {
        // 0 good; 1 bad and 2 good pool to one half; 3 bad.
        let curve = Calibration::fit(
            CalibrationKind::Isotonic,
            &[0.0, 1.0, 2.0, 3.0],
            &[Good, Bad, Good, Bad],
        );
        let Calibration::Isotonic {
            scores,
            probabilities,
        } = &curve
        else {
            panic!("{curve:?}")
        };
        assert_eq!(scores, &[0.0, 1.5, 3.0]);
        assert_eq!(probabilities, &[1.0 / 3.0, 0.5, 2.0 / 3.0]);
        assert!((curve.probability(0.75) - (1.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
    }
}
