//! Thresholds with a guaranteed error rate.
//!
//! A threshold at the order statistic that leaves k of n good scores above it has, whatever the
//! distribution, a false-alarm rate that follows Beta(k + 1, n − k) at most; the one-sided
//! Clopper–Pearson bound of "k of n" is the quantile of just that law. So the bound holds although
//! the threshold was chosen on the very scores it is counted on (Wilks 1941), as long as images to
//! come are like these. The same for bad images and misses.

use crate::error::{ProductError, Result};
use segad_core::Label;
use segad_metrics::{MetricError, OperatingPoint, Rate, Scores};
use serde::{Deserialize, Serialize};

/// How the threshold is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Rule {
    /// The share of good images called bad stays at or below this, with the stated confidence; of
    /// all such thresholds, the one that finds most.
    MaxFalseAlarm {
        /// Share, 0 to 1.
        rate: f64,
    },
    /// The share of bad images called good stays at or below this, with the stated confidence; of
    /// all such thresholds, the one with the fewest false alarms.
    MaxMiss {
        /// Share, 0 to 1.
        rate: f64,
    },
    /// The least expected cost on the given images. No guarantee.
    Cost {
        /// Cost of calling a good image bad.
        false_alarm: f64,
        /// Cost of calling a bad image good.
        miss: f64,
        /// Share of bad images to come.
        prevalence: f64,
    },
}

impl Default for Rule {
    /// Both errors cost the same, and half of the images are bad: the largest recall − false-alarm
    /// rate.
    fn default() -> Self {
        Self::Cost {
            false_alarm: 1.0,
            miss: 1.0,
            prevalence: 0.5,
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxFalseAlarm { rate } => write!(f, "at most {} % false alarms", 100.0 * rate),
            Self::MaxMiss { rate } => write!(f, "at most {} % misses", 100.0 * rate),
            Self::Cost {
                false_alarm,
                miss,
                prevalence,
            } => write!(
                f,
                "least cost, {false_alarm} for a false alarm and {miss} for a miss, {} % bad",
                100.0 * prevalence
            ),
        }
    }
}

/// A share with its exact interval (Clopper–Pearson, two-sided).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateEstimate {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub total: u64,
    /// The share.
    pub rate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl RateEstimate {
    fn new(rate: Rate, level: f64) -> Result<Self> {
        let interval = rate.clopper_pearson(level)?;
        Ok(Self {
            hits: rate.hits,
            total: rate.total,
            rate: rate.value(),
            low: interval.low,
            high: interval.high,
        })
    }
}

/// A threshold and what it did to images that no part of the model had seen. An image is called bad
/// if its score is at or above the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operating {
    /// How it was chosen.
    #[serde(flatten)]
    pub rule: Rule,
    /// The threshold, finite.
    pub threshold: f64,
    /// Good images called bad.
    pub false_alarms: RateEstimate,
    /// Bad images called good.
    pub misses: RateEstimate,
    /// Confidence of the guarantee and of the intervals.
    pub level: f64,
}

/// Chooses a threshold on scores of images that the model behind them had not seen.
///
/// # Errors
/// [`ProductError::Promise`] if there are too few images for it, saying how many more it takes;
/// [`ProductError::Setting`] for a rate outside 0 to 1.
pub fn choose(scores: &Scores, rule: Rule, level: f64) -> Result<Operating> {
    let good = scores.good().len() as u64;
    let bad = scores.bad().len() as u64;
    let point = match rule {
        Rule::MaxFalseAlarm { rate } => {
            let allowed = allowed("false alarms", Label::Good, good, rate, level)?;
            scores.threshold_for_false_alarms(allowed as f64 / good as f64)?
        }
        Rule::MaxMiss { rate } => {
            let allowed = allowed("misses", Label::Bad, bad, rate, level)?;
            // The share itself, as the metric divides it, so that no rounding costs an image.
            scores.threshold_for_misses(allowed as f64 / bad as f64)?
        }
        Rule::Cost {
            false_alarm,
            miss,
            prevalence,
        } => {
            scores
                .threshold_for_cost(false_alarm, miss, Some(prevalence))?
                .0
        }
    };
    let threshold = middle(scores, &point);
    at(scores, threshold, rule, level)
}

/// What a given threshold does.
///
/// # Errors
/// [`ProductError::Metric`] unless 0 < `level` < 1.
pub fn at(scores: &Scores, threshold: f64, rule: Rule, level: f64) -> Result<Operating> {
    let point = scores.at(threshold);
    let missed = Rate {
        hits: point.recall.total - point.recall.hits,
        total: point.recall.total,
    };
    Ok(Operating {
        rule,
        threshold,
        false_alarms: RateEstimate::new(point.false_alarms, level)?,
        misses: RateEstimate::new(missed, level)?,
        level,
    })
}

/// The smallest rate that this many images can guarantee: the upper bound with no image on the wrong
/// side.
pub fn least_promise(images: u64, level: f64) -> f64 {
    1.0 - (1.0 - level).powf(1.0 / images as f64)
}

/// How many errors a guaranteed rate allows.
fn allowed(what: &'static str, label: Label, images: u64, limit: f64, level: f64) -> Result<u64> {
    if !(limit > 0.0 && limit < 1.0) {
        return Err(ProductError::Setting {
            name: "rate",
            value: limit.to_string(),
            expected: "above 0, below 1".to_owned(),
        });
    }
    if !(level > 0.5 && level < 1.0) {
        let expected = "above 0.5, below 1".to_owned();
        return Err(ProductError::Setting {
            name: "confidence",
            value: level.to_string(),
            expected,
        });
    }
    let bound = upper_bound(0, images, level)?;
    if bound > limit {
        let needed = ((1.0 - level).ln() / (1.0 - limit).ln()).ceil() as u64;
        let more = needed.saturating_sub(images).max(1);
        return Err(ProductError::Promise {
            what,
            limit,
            label,
            images,
            bound,
            level,
            more,
        });
    }
    // The bound rises with the number of errors, so bisection finds the last one that holds.
    let mut holds = 0;
    let mut fails = images;
    while fails - holds > 1 {
        let middle = holds.midpoint(fails);
        if upper_bound(middle, images, level)? <= limit {
            holds = middle
        } else {
            fails = middle
        }
    }
    Ok(holds)
}

/// The rate that is not exceeded with confidence `level`, after this many errors.
fn upper_bound(hits: u64, total: u64, level: f64) -> std::result::Result<f64, MetricError> {
    // The upper end of the two-sided interval at 2·level − 1 is the one-sided bound at `level`.
    let interval = Rate { hits, total }.clopper_pearson(2.0 * level - 1.0)?;
    Ok(interval.high)
}

/// Half-way from the chosen score to the next one below, which changes no verdict on these scores;
/// beyond all scores if nothing is to be called bad.
fn middle(scores: &Scores, point: &OperatingPoint) -> f64 {
    let classes = [scores.good(), scores.bad()];
    let highest = classes.map(|c| c[c.len() - 1]);
    let highest = highest[0].max(highest[1]);
    if point.threshold == f64::INFINITY {
        return highest + 0.5 * highest.abs().max(1e-3);
    }
    let mut next = f64::NEG_INFINITY;
    for class in classes {
        let below = class.partition_point(|&s| s < point.threshold);
        if let Some(last) = below.checked_sub(1) {
            next = next.max(class[last]);
        }
    }
    let middle = next + (point.threshold - next) / 2.0;
    // Between neighbouring floats, or with nothing below, there is no middle.
    if next.is_finite() && middle > next {
        middle
    } else {
        point.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(good: usize, bad: usize) -> Scores {
        let good: Vec<f64> = (0..good).map(|i| i as f64 / good as f64).collect();
        let bad: Vec<f64> = (0..bad).map(|i| 0.9 + i as f64 / bad as f64).collect();
        Scores::split(&good, &bad).unwrap()
    }

    #[test]
    fn promises_that_the_data_cannot_support_are_refused() {
        // 1 − 0.05^(1/59) = 0.0495: 59 images promise 5 %, 58 do not.
        assert!(choose(&scores(59, 5), Rule::MaxFalseAlarm { rate: 0.05 }, 0.95).is_ok());
        let e = choose(&scores(58, 5), Rule::MaxFalseAlarm { rate: 0.05 }, 0.95).unwrap_err();
        let ProductError::Promise {
            more: 1,
            images: 58,
            label: Label::Good,
            ..
        } = e
        else {
            panic!("{e}")
        };
        let e = choose(&scores(400, 20), Rule::MaxMiss { rate: 0.05 }, 0.95).unwrap_err();
        assert!(e.to_string().contains("39 more bad images"), "{e}");
        assert!((least_promise(20, 0.95) - 0.13911).abs() < 1e-5);
        assert!(choose(&scores(400, 20), Rule::MaxMiss { rate: 0.14 }, 0.95).is_ok());
    }

    #[test]
    fn as_many_errors_as_the_bound_allows() {
        // Bound of 4 of 181 at 95 %: 0.04990; of 5: 0.0572 (published tables: n = 181, c = 4 for
        // 95/95).
        let at = choose(&scores(181, 20), Rule::MaxFalseAlarm { rate: 0.05 }, 0.95).unwrap();
        assert!(at.false_alarms.hits <= 4, "{at:?}");
        assert_eq!(allowed("", Label::Good, 181, 0.05, 0.95).unwrap(), 4);
        assert_eq!(allowed("", Label::Good, 180, 0.05, 0.95).unwrap(), 3);
        // Nothing lies between the threshold and the scores that decide it.
        let again = super::at(&scores(181, 20), at.threshold, at.rule, 0.95).unwrap();
        assert_eq!(again, at);
    }

    /// The promise holds for thresholds chosen on the scores themselves: 4000 draws of 100 uniform
    /// good scores, of which at most 5 % may break it.
    #[test]
    fn the_promise_is_kept() {
        use rand::Rng;
        let mut rng = segad_core::Seed(7).rng();
        let mut broken = 0;
        for _ in 0..4000 {
            let good: Vec<f64> = (0..100)
                .map(|_| f64::from(rng.next_u32()) / 4_294_967_296.0)
                .collect();
            let bad: Vec<f64> = (0..30)
                .map(|_| f64::from(rng.next_u32()) / 4_294_967_296.0)
                .collect();
            let scores = Scores::split(&good, &bad).unwrap();
            let at = choose(&scores, Rule::MaxFalseAlarm { rate: 0.06 }, 0.95).unwrap();
            // The true false-alarm rate of a threshold t on uniform scores is 1 − t.
            broken += usize::from(1.0 - at.threshold > 0.06);
        }
        assert!((1..=200).contains(&broken), "{broken} of 4000");
    }

    #[test]
    fn thresholds_are_finite_and_lie_between_scores() {
        let s = Scores::split(&[1.0, 5.0], &[2.0, 3.0]).unwrap();
        let nothing = choose(
            &s,
            Rule::Cost {
                false_alarm: 9.0,
                miss: 0.0,
                prevalence: 0.5,
            },
            0.95,
        )
        .unwrap();
        assert_eq!((nothing.false_alarms.hits, nothing.misses.hits), (0, 2));
        assert!(nothing.threshold.is_finite() && nothing.threshold > 5.0);
        let all = choose(
            &s,
            Rule::Cost {
                false_alarm: 0.1,
                miss: 9.0,
                prevalence: 0.5,
            },
            0.95,
        )
        .unwrap();
        assert_eq!(
            (all.threshold, all.false_alarms.hits, all.misses.hits),
            (1.5, 1, 0)
        );
    }
}
