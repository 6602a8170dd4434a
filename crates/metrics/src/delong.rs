use crate::interval::{clopper_pearson, expect_level};
use crate::special::{normal_cdf, normal_quantile};
use crate::{Interval, MetricError, Score, Scores};
use segad_core::Label;

/// An AUROC with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AurocEstimate {
    /// The AUROC, 0 to 1.
    pub auroc: f64,
    /// Its standard error after DeLong; NaN with fewer than two good or two bad images.
    pub std_error: f64,
    /// Good images.
    pub good: usize,
    /// Bad images.
    pub bad: usize,
}

impl AurocEstimate {
    /// The normal interval at a two-sided level, cut to 0 to 1. A standard error of 0, as where all
    /// bad images score higher than all good ones, is no certainty: then, and below two good or two
    /// bad images, it is the exact interval of a share of as many draws as the smaller class has
    /// images, which varies at least as much.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `level` < 1.
    pub fn interval(self, level: f64) -> Result<Interval, MetricError> {
        expect_level(level)?;
        if self.std_error.is_nan() || self.std_error == 0.0 {
            let draws = self.good.min(self.bad) as f64;
            return Ok(clopper_pearson(self.auroc * draws, draws, level));
        }
        let half = normal_quantile(0.5 + level / 2.0) * self.std_error;
        Ok(Interval {
            low: (self.auroc - half).max(0.0),
            high: (self.auroc + half).min(1.0),
        })
    }
}

/// The difference of two AUROCs on the same images, and how surprising it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AurocDifference {
    /// First minus second.
    pub difference: f64,
    /// Standard error of the difference.
    pub std_error: f64,
    /// Two-sided p-value of "no difference"; 1 if the two rank alike, NaN with fewer than two good
    /// or two bad images.
    pub p_value: f64,
}

impl Scores {
    /// AUROC and its standard error (DeLong, DeLong and Clarke-Pearson 1988).
    pub fn auroc_delong(&self) -> AurocEstimate {
        let bad = self.bad.iter().map(|&s| placement(self, Label::Bad, s));
        let bad: Vec<f64> = bad.collect();
        let good = self.good.iter().map(|&s| placement(self, Label::Good, s));
        let good: Vec<f64> = good.collect();
        let variance = covariance(&bad, &bad) / bad.len() as f64
            + covariance(&good, &good) / good.len() as f64;
        AurocEstimate {
            auroc: self.auroc(),
            std_error: variance.sqrt(),
            good: good.len(),
            bad: bad.len(),
        }
    }
}

/// Compares the AUROCs of two sets of scores of the same images (DeLong's paired test).
///
/// # Errors
/// As [`Scores::new`], for either.
pub fn delong_test<S: Score>(
    first: &[S],
    second: &[S],
    labels: &[Label],
) -> Result<AurocDifference, MetricError> {
    let a = Scores::new(first, labels)?;
    let b = Scores::new(second, labels)?;
    let mut variance = 0.0;
    for label in [Label::Bad, Label::Good] {
        let x = placements(first, &a, labels, label);
        let y = placements(second, &b, labels, label);
        variance +=
            (covariance(&x, &x) + covariance(&y, &y) - 2.0 * covariance(&x, &y)) / x.len() as f64;
    }
    let std_error = root(variance);
    let difference = a.auroc() - b.auroc();
    // 0/0: two equal scores are no evidence of a difference.
    let alike = difference == 0.0 && std_error == 0.0;
    let p_value = if alike {
        1.0
    } else {
        2.0 * normal_cdf(-(difference / std_error).abs())
    };
    Ok(AurocDifference {
        difference,
        std_error,
        p_value,
    })
}

/// For each image with this label, in order: the share of the other label's images that it is
/// ranked right against.
fn placements<S: Score>(scores: &[S], sorted: &Scores, labels: &[Label], label: Label) -> Vec<f64> {
    let own = scores.iter().zip(labels).filter(|(_, l)| **l == label);
    own.map(|(&score, _)| placement(sorted, label, score.into()))
        .collect()
}

/// The share of the other label's images that an image is ranked right against.
pub(crate) fn placement(sorted: &Scores, label: Label, score: f64) -> f64 {
    match label {
        Label::Bad => beaten(&sorted.good, score),
        Label::Good => 1.0 - beaten(&sorted.bad, score),
    }
}

/// Standard error of a variance. Rounding may leave one just below 0; too few images or groups
/// leave NaN, which must stay.
pub(crate) fn root(variance: f64) -> f64 {
    if variance < 0.0 { 0.0 } else { variance.sqrt() }
}

/// Share of `sorted` below `score`, ties counting one half.
fn beaten(sorted: &[f64], score: f64) -> f64 {
    let below = sorted.partition_point(|&v| v < score);
    let upto = sorted.partition_point(|&v| v <= score);
    0.5 * (below + upto) as f64 / sorted.len() as f64
}

/// Sample covariance (ddof 1).
fn covariance(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let mean_x = x.iter().sum::<f64>() / n;
    let mean_y = y.iter().sum::<f64>() / n;
    let pairs = x.iter().zip(y);
    let products = pairs.map(|(a, b)| (a - mean_x) * (b - mean_y));
    products.sum::<f64>() / (n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases() {
        let labels = [Label::Good, Label::Good, Label::Bad, Label::Bad];
        let same = delong_test(&[0.0f32, 2.0, 1.0, 3.0], &[0.0, 2.0, 1.0, 3.0], &labels).unwrap();
        assert_eq!((same.difference, same.p_value), (0.0, 1.0));
        // Bad beats: ½ and 1; good is beaten: 1 and ½. Each variance ⅛, over two images: ⅛ in all.
        let s = Scores::new(&[0.0f32, 2.0, 1.0, 3.0], &labels)
            .unwrap()
            .auroc_delong();
        assert_eq!(s.auroc, 0.75);
        assert!((s.std_error - 0.125f64.sqrt()).abs() < 1e-15);
        let one = delong_test(&[0.0f32, 1.0], &[1.0, 0.0], &labels[1..3]).unwrap();
        assert!(one.p_value.is_nan() && one.std_error.is_nan());
    }

    /// Scores of five good and three bad images.
    fn interval(scores: [f32; 8]) -> (f64, Interval) {
        let labels = [[Label::Good; 5].as_slice(), &[Label::Bad; 3]].concat();
        let estimate = Scores::new(&scores, &labels).unwrap().auroc_delong();
        (estimate.auroc, estimate.interval(0.95).unwrap())
    }

    #[test]
    fn a_perfect_separation_is_no_certainty() {
        // All of three: the lower end is the cube root of 0.025.
        let (auroc, found) = interval([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!((auroc, found.high), (1.0, 1.0));
        assert!((found.low - 0.025f64.cbrt()).abs() < 1e-9, "{found:?}");
        let (auroc, found) = interval([7.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!((auroc, found.low), (0.0, 0.0));
        assert!((found.high - (1.0 - 0.025f64.cbrt())).abs() < 1e-9);
        // Equal scores rank nothing, and say so by a wide interval.
        let (auroc, found) = interval([1.0; 8]);
        assert!(
            auroc == 0.5 && found.low < 0.1 && found.high > 0.9,
            "{found:?}"
        );
        // One pair the wrong way round has a standard error.
        let (_, found) = interval([0.0, 1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 7.0]);
        assert!(found.low > 0.7 && found.high == 1.0, "{found:?}");
    }

    #[test]
    fn a_single_bad_image_has_an_interval() {
        let labels = [Label::Good, Label::Good, Label::Bad];
        let scores = Scores::new(&[0.0f32, 1.0, 2.0], &labels).unwrap();
        let found = scores.auroc_delong().interval(0.95).unwrap();
        assert!(
            (found.low - 0.025).abs() < 1e-9 && found.high == 1.0,
            "{found:?}"
        );
    }
}
