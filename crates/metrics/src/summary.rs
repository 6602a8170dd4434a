use crate::MetricError;
use crate::error::finite;

/// Mean and spread of a metric over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation with ddof 0 (numpy's default): the one that tables show.
    pub std_population: f64,
    /// Standard deviation with ddof 1 (pandas' default); none for a single value.
    pub std_sample: Option<f64>,
}

impl Summary {
    /// Mean and both standard deviations.
    ///
    /// # Errors
    /// [`MetricError::Empty`] or [`MetricError::NotFinite`].
    pub fn new(values: &[f64]) -> Result<Self, MetricError> {
        if values.is_empty() {
            return Err(MetricError::Empty { what: "values" });
        }
        finite("values", values)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        Ok(Self {
            count: values.len(),
            mean,
            std_population: (squares / n).sqrt(),
            std_sample: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        })
    }

    /// Mean and spread of `first − second`, seed by seed: whether one method beats another on the
    /// same splits.
    ///
    /// # Errors
    /// As [`Summary::new`], and [`MetricError::Length`] unless both have one value a seed.
    pub fn of_differences(first: &[f64], second: &[f64]) -> Result<Self, MetricError> {
        if first.len() != second.len() {
            let what = "scores of the other method";
            return Err(MetricError::Length {
                scores: first.len(),
                what,
                other: second.len(),
            });
        }
        Self::new(
            &first
                .iter()
                .zip(second)
                .map(|(a, b)| a - b)
                .collect::<Vec<_>>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let s = Summary::new(&[2.0, 4.0, 6.0]).unwrap();
        assert_eq!((s.count, s.mean, s.std_sample), (3, 4.0, Some(2.0)));
        assert!((s.std_population - (8.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let one = Summary::new(&[5.0]).unwrap();
        assert_eq!((one.std_population, one.std_sample), (0.0, None));
        assert_eq!(
            Summary::of_differences(&[3.0, 4.0], &[1.0, 2.0])
                .unwrap()
                .mean,
            2.0
        );
        assert!(Summary::new(&[]).is_err());
        assert!(matches!(
            Summary::new(&[1.0, f64::NAN]),
            Err(MetricError::NotFinite { index: 1, .. })
        ));
        assert!(Summary::of_differences(&[1.0], &[]).is_err());
    }
}
