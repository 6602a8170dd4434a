use crate::MetricError;
use crate::error::finite;
use segad_core::Label;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A type of score: `f32` as a forest or a map gives, `f64` as pandas reads from a CSV. The
/// authors' FPR@95TPR rounds its threshold to the type of the scores, so the type matters.
pub trait Score: Copy + Into<f64> + sealed::Sealed {
    /// True for `f32`.
    const SINGLE: bool;
}

impl Score for f32 {
    const SINGLE: bool = true;
}

impl Score for f64 {
    const SINGLE: bool = false;
}

/// Checked scores of good and bad images, larger is more anomalous: both present, all finite. Every
/// metric is a method of this type and cannot fail on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Ascending.
    pub(crate) good: Vec<f64>,
    /// Ascending.
    pub(crate) bad: Vec<f64>,
    pub(crate) single: bool,
}

impl Scores {
    /// Scores with one label each.
    ///
    /// # Errors
    /// [`MetricError::Length`], [`MetricError::Empty`], [`MetricError::NotFinite`] with the
    /// position of the first such score, or [`MetricError::OneClass`].
    pub fn new<S: Score>(scores: &[S], labels: &[Label]) -> Result<Self, MetricError> {
        if scores.len() != labels.len() {
            return Err(MetricError::Length {
                scores: scores.len(),
                what: "labels",
                other: labels.len(),
            });
        }
        finite("scores", scores)?;
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for (&score, label) in scores.iter().zip(labels) {
            match label {
                Label::Good => good.push(score),
                Label::Bad => bad.push(score),
            }
        }
        Self::split(&good, &bad)
    }

    /// Scores of good images and scores of bad images.
    ///
    /// # Errors
    /// As [`Scores::new`]; positions count within the slice that the message names.
    pub fn split<S: Score>(good: &[S], bad: &[S]) -> Result<Self, MetricError> {
        let count = good.len() + bad.len();
        if count == 0 {
            return Err(MetricError::Empty { what: "scores" });
        }
        for (missing, class) in [(Label::Good, good), (Label::Bad, bad)] {
            if class.is_empty() {
                return Err(MetricError::OneClass { missing, count });
            }
        }
        finite("scores of good images", good)?;
        finite("scores of bad images", bad)?;
        Ok(Self {
            good: sorted(good),
            bad: sorted(bad),
            single: S::SINGLE,
        })
    }

    /// Scores of the good images, ascending.
    pub fn good(&self) -> &[f64] {
        &self.good
    }

    /// Scores of the bad images, ascending.
    pub fn bad(&self) -> &[f64] {
        &self.bad
    }

    /// Distinct scores, descending, each with the number of good and bad images that have it.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (f64, usize, usize)> + '_ {
        // How many of each are still to come; both lists ascend, so they are used from the end.
        let mut g = self.good.len();
        let mut b = self.bad.len();
        std::iter::from_fn(move || {
            let top = match (g, b) {
                (0, 0) => return None,
                (0, _) => self.bad[b - 1],
                (_, 0) => self.good[g - 1],
                _ => self.good[g - 1].max(self.bad[b - 1]),
            };
            let g0 = g;
            let b0 = b;
            while g > 0 && self.good[g - 1] == top {
                g -= 1;
            }
            while b > 0 && self.bad[b - 1] == top {
                b -= 1;
            }
            Some((top, g0 - g, b0 - b))
        })
    }
}

fn sorted<S: Score>(class: &[S]) -> Vec<f64> {
    // Adding 0 turns −0 into 0: the two are one score, also for binary searches.
    let mut values: Vec<f64> = class.iter().map(|&s| s.into() + 0.0).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// numpy's linear quantile of ascending values. With `single` the difference of the two neighbours
/// is rounded to `f32`, as numpy 1.x does for `f32` data; the result is `f64` either way.
pub(crate) fn quantile_sorted(values: &[f64], q: f64, single: bool) -> f64 {
    let last = values.len() - 1;
    let position = last as f64 * q;
    let below = (position.floor() as usize).min(last);
    let a = values[below];
    let b = values[(below + 1).min(last)];
    let fraction = position - below as f64;
    let step = if single {
        f64::from((b - a) as f32)
    } else {
        b - a
    };
    // numpy steps from the nearer neighbour; from the other one the last bit may differ.
    if fraction < 0.5 {
        a + step * fraction
    } else {
        b - step * (1.0 - fraction)
    }
}

/// The linear quantile of any values, numpy's default.
///
/// # Errors
/// [`MetricError::Empty`], [`MetricError::NotFinite`], or [`MetricError::Parameter`] unless 0 ≤ `q`
/// ≤ 1.
pub fn quantile(values: &[f64], q: f64) -> Result<f64, MetricError> {
    crate::error::check("quantile", q, "0 to 1", (0.0..=1.0).contains(&q))?;
    if values.is_empty() {
        return Err(MetricError::Empty { what: "values" });
    }
    finite("values", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(quantile_sorted(&sorted, q, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    #[test]
    fn bad_input_is_named() {
        let empty: [f32; 0] = [];
        assert_eq!(
            Scores::new(&empty, &[]),
            Err(MetricError::Empty { what: "scores" })
        );
        assert!(matches!(
            Scores::new(&[1.0f32], &[]),
            Err(MetricError::Length {
                scores: 1,
                other: 0,
                ..
            })
        ));
        let one = Scores::new(&[1.0f32, 2.0], &[Bad, Bad]);
        assert_eq!(
            one,
            Err(MetricError::OneClass {
                missing: Good,
                count: 2
            })
        );
        let nan = Scores::new(&[1.0f64, 2.0, f64::NAN], &[Good, Bad, Bad]).unwrap_err();
        assert!(matches!(nan, MetricError::NotFinite { index: 2, .. }));
        assert!(nan.to_string().contains("NaN at position 2"), "{nan}");
        assert!(matches!(
            Scores::split(&[0.0f32], &[0.0, f32::INFINITY]),
            Err(MetricError::NotFinite { index: 1, .. })
        ));
    }

    #[test]
    fn quantiles_follow_numpy() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0, 4.0], 0.5).unwrap(), 2.5);
        assert_eq!(quantile(&[7.0], 0.05).unwrap(), 7.0);
        assert_eq!(quantile(&[1.0, 2.0], 1.0).unwrap(), 2.0);
        assert!(quantile(&[1.0], 1.5).is_err());
        assert!(quantile(&[], 0.5).is_err());
    }

    #[test]
    fn steps_merge_ties() {
        let s = Scores::split(&[1.0f32, 2.0, 2.0, -0.0], &[2.0, 3.0, 0.0]).unwrap();
        assert_eq!(
            s.steps().collect::<Vec<_>>(),
            [(3.0, 0, 1), (2.0, 2, 1), (1.0, 1, 0), (0.0, 1, 1)]
        );
    }
}
