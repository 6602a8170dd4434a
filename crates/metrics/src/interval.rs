use crate::error::{check, finite};
use crate::scores::quantile_sorted;
use crate::special::{beta_quantile, normal_quantile, student_t};
use crate::{MetricError, Scores};
use rand::Rng;
use segad_core::Seed;

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// `hits` of `total`, e.g. bad images found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub total: u64,
}

impl Rate {
    /// The share, 0 to 1; NaN for none of none.
    pub fn value(self) -> f64 {
        self.hits as f64 / self.total as f64
    }

    /// Wilson's score interval at a two-sided level, e.g. 0.95. Ends lie within 0 to 1.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `level` < 1, [`MetricError::Empty`] for a total of 0.
    pub fn wilson(self, level: f64) -> Result<Interval, MetricError> {
        self.checked(level)?;
        let (n, p) = (self.total as f64, self.value());
        let z = normal_quantile(0.5 + level / 2.0);
        let z2 = z * z;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let low = if self.hits == 0 {
            0.0
        } else {
            (centre - half).max(0.0)
        };
        let high = if self.hits == self.total {
            1.0
        } else {
            (centre + half).min(1.0)
        };
        Ok(Interval { low, high })
    }

    /// The exact interval of Clopper and Pearson at a two-sided level.
    ///
    /// # Errors
    /// As [`Rate::wilson`].
    pub fn clopper_pearson(self, level: f64) -> Result<Interval, MetricError> {
        self.checked(level)?;
        Ok(clopper_pearson(self.hits as f64, self.total as f64, level))
    }

    fn checked(self, level: f64) -> Result<(), MetricError> {
        expect_level(level)?;
        if self.total == 0 {
            return Err(MetricError::Empty {
                what: "images of a rate",
            });
        }
        let expected = "hits of at most the total";
        check("hits", self.hits as f64, expected, self.hits <= self.total)
    }
}

/// Clopper and Pearson's interval for `hits` of `total`, which need not be whole.
pub(crate) fn clopper_pearson(hits: f64, total: f64, level: f64) -> Interval {
    let tail = (1.0 - level) / 2.0;
    let low = if hits == 0.0 {
        0.0
    } else {
        beta_quantile(hits, total - hits + 1.0, tail)
    };
    // 1 − quantile of the mirrored problem keeps the tail small instead of 1 − tail.
    let high = if hits == total {
        1.0
    } else {
        1.0 - beta_quantile(total - hits, hits + 1.0, tail)
    };
    Interval { low, high }
}

pub(crate) fn expect_level(level: f64) -> Result<(), MetricError> {
    let holds = level > 0.0 && level < 1.0;
    check("confidence level", level, "between 0 and 1", holds)
}

impl Interval {
    /// Student's interval of a mean at a two-sided level: mean ± t·s/√n with n − 1 degrees of
    /// freedom. For differences of two methods pair them by seed first.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `level` < 1 and there are at least 2 values;
    /// [`MetricError::NotFinite`].
    pub fn of_mean(values: &[f64], level: f64) -> Result<Self, MetricError> {
        expect_level(level)?;
        check(
            "values of a mean",
            values.len() as f64,
            "at least 2",
            values.len() >= 2,
        )?;
        finite("values of a mean", values)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student_t(level, n - 1.0) * (variance / n).sqrt();
        Ok(Self {
            low: mean - half,
            high: mean + half,
        })
    }
}

impl Scores {
    /// Percentile bootstrap interval of any metric: good and bad images are resampled each among
    /// themselves (stratified), `resamples` times. The same seed gives the same interval, whatever
    /// the order of the images.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless `resamples` ≥ 1 and 0 < `level` < 1.
    pub fn bootstrap(
        &self,
        metric: impl Fn(&Self) -> f64,
        resamples: usize,
        level: f64,
        seed: Seed,
    ) -> Result<Interval, MetricError> {
        check("resamples", resamples as f64, "at least 1", resamples >= 1)?;
        expect_level(level)?;
        let mut rng = seed.derive("bootstrap").rng();
        let mut drawn = self.clone();
        let mut counts = Vec::new();
        let mut values = Vec::with_capacity(resamples);
        for _ in 0..resamples {
            resample(&self.good, &mut drawn.good, &mut counts, &mut rng);
            resample(&self.bad, &mut drawn.bad, &mut counts, &mut rng);
            values.push(metric(&drawn));
        }
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - level) / 2.0;
        Ok(Interval {
            low: quantile_sorted(&values, tail, false),
            high: quantile_sorted(&values, 1.0 - tail, false),
        })
    }
}

/// Draws with replacement; counting keeps the sample sorted without sorting.
fn resample(from: &[f64], into: &mut Vec<f64>, counts: &mut Vec<u32>, rng: &mut impl Rng) {
    counts.clear();
    counts.resize(from.len(), 0);
    for _ in 0..from.len() {
        // The high half of a widening product is uniform to within 2⁻⁶⁴ · n, and stable across
        // versions of `rand`.
        let index = (u128::from(rng.next_u64()) * from.len() as u128) >> 64;
        counts[index as usize] += 1;
    }
    into.clear();
    for (&value, &count) in from.iter().zip(&*counts) {
        into.extend(std::iter::repeat_n(value, count as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_need_a_total() {
        let none = Rate { hits: 0, total: 0 };
        assert!(matches!(none.wilson(0.95), Err(MetricError::Empty { .. })));
        let ten = Rate { hits: 1, total: 10 };
        assert!(ten.wilson(1.0).is_err());
        assert!(ten.clopper_pearson(f64::NAN).is_err());
        assert!(Rate { hits: 3, total: 2 }.wilson(0.9).is_err());
    }

    #[test]
    fn means_have_students_interval() {
        // scipy 1.10.1: stats.t.interval(0.95, 4, mean, stats.sem) of these five
        let five = [1.0, 2.0, -1.0, 3.0, 3.0];
        let found = Interval::of_mean(&five, 0.95).unwrap();
        assert!(
            (found.low - -0.47770126736713925).abs() < 1e-9
                && (found.high - 3.6777012673671394).abs() < 1e-9,
            "{found:?}"
        );
        // Two values: t(0.95, 1) = 12.706…
        let two = Interval::of_mean(&[0.0, 2.0], 0.95).unwrap();
        assert!((two.high - 13.706204736432095).abs() < 1e-9, "{two:?}");
        assert!(Interval::of_mean(&[1.0], 0.95).is_err());
        assert!(Interval::of_mean(&five, 1.0).is_err());
        assert!(Interval::of_mean(&[1.0, f64::NAN], 0.9).is_err());
    }

    #[test]
    fn bootstrap_repeats_and_covers() {
        let good: Vec<f32> = (0..60).map(|i| (i * 37 % 60) as f32).collect();
        let bad: Vec<f32> = (0..40).map(|i| (i * 17 % 40) as f32 + 30.0).collect();
        let s = Scores::split(&good, &bad).unwrap();
        let a = s.bootstrap(Scores::auroc, 500, 0.95, Seed(1)).unwrap();
        assert_eq!(a, s.bootstrap(Scores::auroc, 500, 0.95, Seed(1)).unwrap());
        assert_ne!(a, s.bootstrap(Scores::auroc, 500, 0.95, Seed(2)).unwrap());
        assert!(a.low < s.auroc() && s.auroc() < a.high);
        // DeLong's standard error gives about the same width.
        let wide = s.auroc_delong().interval(0.95).unwrap();
        let ratio = (a.high - a.low) / (wide.high - wide.low);
        assert!((0.8..1.2).contains(&ratio), "{ratio}");
        assert!(s.bootstrap(Scores::auroc, 0, 0.95, Seed(1)).is_err());
    }
}
