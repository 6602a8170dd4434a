use crate::MetricError;
use crate::error::{check, finite};
use crate::special::{beta_quantile, student_t};

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

    /// The exact interval of Clopper and Pearson at a two-sided level.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `level` < 1 and the hits are at most the total;
    /// [`MetricError::Empty`] for a total of 0.
    pub fn clopper_pearson(self, level: f64) -> Result<Interval, MetricError> {
        expect_level(level)?;
        if self.total == 0 {
            return Err(MetricError::Empty {
                what: "images of a rate",
            });
        }
        let expected = "hits of at most the total";
        check("hits", self.hits as f64, expected, self.hits <= self.total)?;
        Ok(clopper_pearson(self.hits as f64, self.total as f64, level))
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
        // Student's, as the spread is estimated from the same few values.
        let half = student_t(level, n - 1.0) * (variance / n).sqrt();
        Ok(Self {
            low: mean - half,
            high: mean + half,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_need_a_total() {
        let none = Rate { hits: 0, total: 0 };
        assert!(matches!(
            none.clopper_pearson(0.95),
            Err(MetricError::Empty { .. })
        ));
        let ten = Rate { hits: 1, total: 10 };
        assert!(ten.clopper_pearson(1.0).is_err());
        assert!(ten.clopper_pearson(f64::NAN).is_err());
        assert!(Rate { hits: 3, total: 2 }.clopper_pearson(0.9).is_err());
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
}
