//! Thresholds with a guaranteed error rate.
//!
//! A threshold at the order statistic that leaves k of n good scores above it has, whatever the
//! distribution, a false-alarm rate that follows Beta(k + 1, n − k) at most; the one-sided
//! Clopper–Pearson bound of "k of n" is the quantile of just that law. So the bound holds although
//! the threshold was chosen on the very scores it is counted on (Wilks 1941), as long as images to
//! come are like these. The same for bad images and misses. Where several images show one piece, n
//! counts pieces, and a piece's worst image stands for it; then at most the guaranteed share of
//! pieces, and so of images, is wrong.

use crate::error::{ProductError, Result};
use crate::judged::{Judged, Part};
use crate::units::unit_counts;
use segad_core::Label;
use segad_metrics::{MetricError, OperatingPoint, Rate, Scores, percent, short};
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

/// A share with its two-sided interval: Clopper and Pearson's, where images that belong together
/// count as fewer (Korn and Graubard).
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
    /// In words, of images of this label: `3 of 12 good images, 25.0 % (95 % interval 5.5 to 57.2
    /// %)`.
    pub fn describe(&self, label: Label, level: f64) -> String {
        format!(
            "{} of {} {label} images, {} % ({} % interval {} to {} %)",
            self.hits,
            self.total,
            percent(self.rate),
            short(100.0 * level, 1),
            percent(self.low),
            percent(self.high)
        )
    }

    /// The share of hits among images of these groups, with the interval at a confidence of `level`.
    ///
    /// # Errors
    /// [`ProductError::Metric`] without an image, unless each has a group, and unless 0 < `level` <
    /// 1.
    pub fn of_groups(hits: &[bool], groups: &[usize], level: f64) -> Result<Self> {
        let rate = Rate {
            hits: hits.iter().filter(|&&h| h).count() as u64,
            total: hits.len() as u64,
        };
        // Pictures of one piece are alike: counted one by one they would promise too much.
        let interval = Rate::korn_graubard(hits, groups, level)?;
        Ok(Self {
            hits: rate.hits,
            total: rate.total,
            rate: rate.value(),
            low: interval.low,
            high: interval.high,
        })
    }

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

/// A threshold, and what thresholds chosen in the same way on the other folds did to images that no
/// part of the model had seen. An image is called bad
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

/// What a rule asks of scores, once it is known what they can support.
enum Wanted {
    /// The largest share of units with a good image that may hold a false alarm.
    FalseAlarms(f64),
    /// The largest share of units with a bad image that may hold a miss.
    Misses(f64),
    Cost {
        false_alarm: f64,
        miss: f64,
        prevalence: f64,
    },
}

impl Wanted {
    fn new(judged: &Judged<'_>, rule: Rule, level: f64) -> Result<Self> {
        let [good, bad] = unit_counts(judged.labels, judged.units).map(|n| n as u64);
        Ok(match rule {
            Rule::MaxFalseAlarm { rate } => {
                let allowed = allowed("false alarms", Label::Good, good, rate, level)?;
                // The share itself, as the metric divides it, so that no rounding costs an image.
                Self::FalseAlarms(allowed as f64 / good as f64)
            }
            Rule::MaxMiss { rate } => {
                let allowed = allowed("misses", Label::Bad, bad, rate, level)?;
                Self::Misses(allowed as f64 / bad as f64)
            }
            Rule::Cost {
                false_alarm,
                miss,
                prevalence,
            } => Self::Cost {
                false_alarm,
                miss,
                prevalence,
            },
        })
    }

    fn threshold(&self, part: &Part) -> Result<f64> {
        let scores = part.scores()?;
        // A piece counts once, by its worst picture: one alarm on it is a false alarm of the piece.
        let point = match *self {
            Self::FalseAlarms(share) => {
                part.by_highest_good()?.threshold_for_false_alarms(share)?
            }
            Self::Misses(share) => part.by_lowest_bad()?.threshold_for_misses(share)?,
            Self::Cost {
                false_alarm,
                miss,
                prevalence,
            } => {
                let prevalence = Some(prevalence);
                scores.threshold_for_cost(false_alarm, miss, prevalence)?.0
            }
        };
        Ok(middle(&scores, &point))
    }
}

/// Chooses a threshold on all scores, by models that had not seen the images. What is told of it
/// comes from thresholds that were chosen without the image's fold, since one that was chosen on an
/// image is kinder to it than to those to come.
///
/// # Errors
/// [`ProductError::Promise`] if there are too few units for it, saying how many more it takes;
/// [`ProductError::Setting`] for a rate outside 0 to 1.
pub(crate) fn choose(judged: &Judged<'_>, rule: Rule, level: f64) -> Result<Operating> {
    let wanted = Wanted::new(judged, rule, level)?;
    let threshold = wanted.threshold(&judged.part(|_| true))?;
    // Each fold is judged by a threshold that its own images had no part in.
    let folds = judged.folds.iter().max().map_or(0, |last| last + 1);
    let mut thresholds = Vec::with_capacity(folds);
    for fold in 0..folds {
        let others = judged.part(|i| judged.folds[i] != fold);
        // Where the other folds lack a label, nothing can be chosen there.
        let is_one_sided = others.good.is_empty() || others.bad.is_empty();
        thresholds.push(if is_one_sided {
            threshold
        } else {
            wanted.threshold(&others)?
        });
    }
    let wrong = |label: Label| {
        let mut hits = Vec::new();
        let mut units = Vec::new();
        for i in (0..judged.scores.len()).filter(|&i| judged.labels[i] == label) {
            let called_bad = f64::from(judged.scores[i]) >= thresholds[judged.folds[i]];
            hits.push(called_bad != label.is_bad());
            units.push(judged.units[i]);
        }
        RateEstimate::of_groups(&hits, &units, level)
    };
    Ok(Operating {
        rule,
        threshold,
        false_alarms: wrong(Label::Good)?,
        misses: wrong(Label::Bad)?,
        level,
    })
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

/// The smallest rate that this many groups can guarantee: the upper bound with none on the wrong
/// side.
pub fn least_promise(groups: u64, level: f64) -> f64 {
    1.0 - (1.0 - level).powf(1.0 / groups as f64)
}

/// Whether the counts alone rule a promise out, before anything is fitted.
///
/// # Errors
/// [`ProductError::Promise`] and [`ProductError::Setting`], as when a threshold is chosen.
pub fn check(rule: Rule, good: usize, bad: usize, level: f64) -> Result<()> {
    match rule {
        Rule::MaxFalseAlarm { rate } => {
            allowed("false alarms", Label::Good, good as u64, rate, level).map(drop)
        }
        Rule::MaxMiss { rate } => allowed("misses", Label::Bad, bad as u64, rate, level).map(drop),
        Rule::Cost { .. } => Ok(()),
    }
}

/// How many errors a guaranteed rate allows.
fn allowed(what: &'static str, label: Label, groups: u64, limit: f64, level: f64) -> Result<u64> {
    if !(limit > 0.0 && limit < 1.0) {
        return Err(ProductError::Setting {
            name: match label {
                Label::Good => "max-false-alarm",
                Label::Bad => "max-miss",
            },
            value: limit.to_string(),
            expected: "a share above 0 and below 1".to_owned(),
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
    let bound = upper_bound(0, groups, level)?;
    if bound > limit {
        // With no error at all, the bound is 1 − (1 − level)^(1/n); solved for n.
        let needed = ((1.0 - level).ln() / (1.0 - limit).ln()).ceil() as u64;
        let more = needed.saturating_sub(groups).max(1);
        return Err(ProductError::Promise {
            what,
            limit,
            label,
            groups,
            bound,
            level,
            more,
        });
    }
    // The bound rises with the number of errors, so bisection finds the last one that holds.
    let mut holds = 0;
    let mut fails = groups;
    while fails - holds > 1 {
        let middle = holds.midpoint(fails);
        if upper_bound(middle, groups, level)? <= limit {
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
        // JSON has no infinity; half as far again above the highest score is never reached either.
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

    /// Each image a unit of its own, in five folds.
    fn choose_alone(good: &[f32], bad: &[f32], rule: Rule) -> Result<Operating> {
        let units: Vec<usize> = (0..good.len() + bad.len()).collect();
        choose_grouped(good, bad, &units, rule)
    }

    fn choose_grouped(good: &[f32], bad: &[f32], units: &[usize], rule: Rule) -> Result<Operating> {
        let labels: Vec<Label> = (0..units.len())
            .map(|i| {
                if i < good.len() {
                    Label::Good
                } else {
                    Label::Bad
                }
            })
            .collect();
        let folds: Vec<usize> = units.iter().map(|u| u % 5).collect();
        let judged = Judged {
            scores: &[good, bad].concat(),
            labels: &labels,
            units,
            folds: &folds,
        };
        choose(&judged, rule, 0.95)
    }

    fn scores(good: usize, bad: usize) -> [Vec<f32>; 2] {
        let good: Vec<f32> = (0..good).map(|i| i as f32 / good as f32).collect();
        let bad: Vec<f32> = (0..bad).map(|i| 0.9 + i as f32 / bad as f32).collect();
        [good, bad]
    }

    fn choose_of(good: usize, bad: usize, rule: Rule) -> Result<Operating> {
        let [good, bad] = scores(good, bad);
        choose_alone(&good, &bad, rule)
    }

    #[test]
    fn promises_that_the_data_cannot_support_are_refused() {
        // 1 − 0.05^(1/59) = 0.0495: 59 images promise 5 %, 58 do not.
        assert!(choose_of(59, 5, Rule::MaxFalseAlarm { rate: 0.05 }).is_ok());
        let e = choose_of(58, 5, Rule::MaxFalseAlarm { rate: 0.05 }).unwrap_err();
        let ProductError::Promise {
            more: 1,
            groups: 58,
            label: Label::Good,
            ..
        } = e
        else {
            panic!("{e}")
        };
        let e = choose_of(400, 20, Rule::MaxMiss { rate: 0.05 }).unwrap_err();
        assert!(
            e.to_string().contains("39 more bad images of other pieces"),
            "{e}"
        );
        assert!((least_promise(20, 0.95) - 0.13911).abs() < 1e-5);
        assert!(choose_of(400, 20, Rule::MaxMiss { rate: 0.14 }).is_ok());
    }

    #[test]
    fn as_many_errors_as_the_bound_allows() {
        // Bound of 4 of 181 at 95 %: 0.04990; of 5: 0.0572 (published tables: n = 181, c = 4 for
        // 95/95).
        let at = choose_of(181, 20, Rule::MaxFalseAlarm { rate: 0.05 }).unwrap();
        let [good, bad] = scores(181, 20);
        let all = Scores::split(&good, &bad).unwrap();
        let again = super::at(&all, at.threshold, at.rule, 0.95).unwrap();
        assert_eq!(again.false_alarms.hits, 4, "{again:?}");
        assert_eq!(allowed("", Label::Good, 181, 0.05, 0.95).unwrap(), 4);
        assert_eq!(allowed("", Label::Good, 180, 0.05, 0.95).unwrap(), 3);
    }

    /// The promise holds for thresholds chosen on the scores themselves: 4000 draws of 100 uniform
    /// good scores, of which at most 5 % may break it.
    #[test]
    fn the_promise_is_kept() {
        use rand::Rng;
        let mut rng = segad_core::Seed(7).rng();
        let mut broken = 0;
        for _ in 0..4000 {
            let mut uniform = |_| (rng.next_u32() >> 8) as f32 / 16_777_216.0;
            let good: Vec<f32> = (0..100).map(&mut uniform).collect();
            let bad: Vec<f32> = (0..30).map(&mut uniform).collect();
            let at = choose_alone(&good, &bad, Rule::MaxFalseAlarm { rate: 0.06 }).unwrap();
            // The true false-alarm rate of a threshold t on uniform scores is 1 − t.
            broken += usize::from(1.0 - at.threshold > 0.06);
        }
        assert!((1..=200).contains(&broken), "{broken} of 4000");
    }

    /// Twenty pieces in five pictures each: the promise counts pieces, and so does the interval.
    #[test]
    fn groups_count_once() {
        let [good, bad] = [0, 50].map(|from| {
            let piece = |i: usize| (from + i / 5) as f32 + i as f32 / 1e3;
            (0..100).map(piece).collect::<Vec<f32>>()
        });
        let units: Vec<usize> = (0..200).map(|i| i / 5).collect();
        let rule = Rule::MaxMiss { rate: 0.05 };
        assert!(choose_alone(&good, &bad, rule).is_ok());
        let e = choose_grouped(&good, &bad, &units, rule).unwrap_err();
        assert!(
            matches!(
                e,
                ProductError::Promise {
                    groups: 20,
                    more: 39,
                    ..
                }
            ),
            "{e}"
        );
        let rule = Rule::default();
        let alone = choose_alone(&good, &bad, rule).unwrap();
        let grouped = choose_grouped(&good, &bad, &units, rule).unwrap();
        assert_eq!(alone.threshold, grouped.threshold);
        // 1 − 0.025^(1/20), the exact bound for none of 20.
        assert_eq!(grouped.misses.hits, 0);
        assert!((grouped.misses.high - 0.16843).abs() < 1e-5, "{grouped:?}");
        assert!(alone.misses.high < 0.04, "{alone:?}");
    }

    /// The threshold of least cost passes between the two classes, so in sample there is no error;
    /// without the fold of the lowest bad image it is too high for it.
    #[test]
    fn an_image_is_judged_by_what_the_other_folds_choose() {
        let good = [0.0, 0.1, 0.2, 0.3, 0.35];
        let bad = [0.5, 3.0, 3.1, 3.2, 3.3];
        let at = choose_alone(&good, &bad, Rule::default()).unwrap();
        let all = Scores::split(&good, &bad).unwrap();
        assert_eq!(
            super::at(&all, at.threshold, at.rule, 0.95)
                .unwrap()
                .misses
                .hits,
            0
        );
        assert_eq!((at.misses.hits, at.false_alarms.hits), (1, 0));
    }

    #[test]
    fn thresholds_are_finite_and_lie_between_scores() {
        let all = Scores::split(&[1.0f32, 5.0], &[2.0, 3.0]).unwrap();
        let at_cost = |false_alarm: f64, miss: f64| {
            let rule = Rule::Cost {
                false_alarm,
                miss,
                prevalence: 0.5,
            };
            let chosen = choose_alone(&[1.0, 5.0], &[2.0, 3.0], rule).unwrap();
            super::at(&all, chosen.threshold, rule, 0.95).unwrap()
        };
        let nothing = at_cost(9.0, 0.0);
        assert_eq!((nothing.false_alarms.hits, nothing.misses.hits), (0, 2));
        assert!(nothing.threshold.is_finite() && nothing.threshold > 5.0);
        let most = at_cost(0.1, 9.0);
        assert_eq!(
            (most.threshold, most.false_alarms.hits, most.misses.hits),
            (1.5, 1, 0)
        );
    }
}
