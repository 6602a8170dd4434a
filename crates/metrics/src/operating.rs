use crate::error::check;
use crate::scores::quantile_sorted;
use crate::{MetricError, Rate, Scores};

/// A threshold and what it does to the scores it was chosen on. An image is called bad if its score
/// ≥ the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// One of the scores, or +∞ to call nothing bad.
    pub threshold: f64,
    /// Good images called bad (false alarms).
    pub false_alarms: Rate,
    /// Bad images called bad (recall).
    pub recall: Rate,
}

impl Scores {
    /// FPR@95TPR as the authors compute it: the threshold is the 5 % quantile of the bad scores
    /// (pandas, linear), and a good image at or above it is a false positive. The quantile may fall
    /// between two scores, so the true positive rate is not exactly 95 % (85 of 90 for 90 bad
    /// images). For `f32` scores the threshold is rounded to `f32` before the comparison, as pandas
    /// does.
    pub fn fpr95tpr(&self) -> f64 {
        let mut threshold = self.threshold95tpr();
        if self.single {
            threshold = f64::from(threshold as f32);
        }
        let below = self.good.partition_point(|&s| s < threshold);
        // The authors' expression, so that the last bit agrees too.
        1.0 - below as f64 / self.good.len() as f64
    }

    /// The threshold of [`Scores::fpr95tpr`]: the 5 % quantile of the bad scores, before rounding
    /// to `f32`.
    pub fn threshold95tpr(&self) -> f64 {
        quantile_sorted(&self.bad, 0.05, self.single)
    }

    /// Strict FPR@95TPR: the smallest FPR of all ROC points with TPR ≥ 0.95.
    pub fn fpr95tpr_strict(&self) -> f64 {
        self.fpr_at_tpr_strict(0.95)
            .expect("0.95 is above 0 and at most 1")
    }

    /// As [`Scores::fpr95tpr_strict`] for any recall.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `tpr` ≤ 1.
    pub fn fpr_at_tpr_strict(&self, tpr: f64) -> Result<f64, MetricError> {
        check("tpr", tpr, "above 0, at most 1", tpr > 0.0 && tpr <= 1.0)?;
        let p = self.bad.len();
        let enough = (1..p).find(|&k| k as f64 / p as f64 >= tpr).unwrap_or(p);
        Ok(self.at(self.bad[p - enough]).false_alarms.value())
    }

    /// What a given threshold does.
    pub fn at(&self, threshold: f64) -> OperatingPoint {
        OperatingPoint {
            threshold,
            false_alarms: share_from(&self.good, threshold),
            recall: share_from(&self.bad, threshold),
        }
    }

    /// The lowest threshold with at most this share of false alarms among the good images: the best
    /// recall under that limit.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 ≤ `rate` ≤ 1.
    pub fn threshold_for_false_alarms(&self, rate: f64) -> Result<OperatingPoint, MetricError> {
        check(
            "false-alarm rate",
            rate,
            "0 to 1",
            (0.0..=1.0).contains(&rate),
        )?;
        Ok(self
            .points()
            .take_while(|p| p.false_alarms.value() <= rate)
            .last()
            .expect("the first point calls nothing bad"))
    }

    /// The highest threshold that misses at most this share of the bad images: the fewest false
    /// alarms under that limit.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 ≤ `rate` ≤ 1.
    pub fn threshold_for_misses(&self, rate: f64) -> Result<OperatingPoint, MetricError> {
        check("miss rate", rate, "0 to 1", (0.0..=1.0).contains(&rate))?;
        let enough = |p: &OperatingPoint| {
            (p.recall.total - p.recall.hits) as f64 / p.recall.total as f64 <= rate
        };
        Ok(self
            .points()
            .find(enough)
            .expect("the last point calls everything bad and misses nothing"))
    }

    /// The threshold with the least expected cost of an image, (1 − π)·FPR·`false_alarm` + π·(1 −
    /// TPR)·`miss`, and that cost. `prevalence` π is the expected share of bad images; `None` takes
    /// the share among these scores. Of equals, the highest threshold.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] for a cost that is negative or not finite, or a prevalence
    /// outside 0 to 1.
    pub fn threshold_for_cost(
        &self,
        false_alarm: f64,
        miss: f64,
        prevalence: Option<f64>,
    ) -> Result<(OperatingPoint, f64), MetricError> {
        for (name, cost) in [
            ("cost of a false alarm", false_alarm),
            ("cost of a miss", miss),
        ] {
            check(
                name,
                cost,
                "a finite number, at least 0",
                cost.is_finite() && cost >= 0.0,
            )?;
        }
        let share = self.bad.len() as f64 / (self.good.len() + self.bad.len()) as f64;
        let share = prevalence.unwrap_or(share);
        check("prevalence", share, "0 to 1", (0.0..=1.0).contains(&share))?;
        let mut best: Option<(OperatingPoint, f64)> = None;
        for point in self.points() {
            let cost = (1.0 - share) * point.false_alarms.value() * false_alarm
                + share * (1.0 - point.recall.value()) * miss;
            if best.is_none_or(|(_, least)| cost < least) {
                best = Some((point, cost));
            }
        }
        Ok(best.expect("there is the point that calls nothing bad"))
    }

    /// All operating points from "nothing is bad" to "everything is bad".
    fn points(&self) -> impl Iterator<Item = OperatingPoint> + '_ {
        let good = self.good.len() as u64;
        let bad = self.bad.len() as u64;
        let mut fp = 0;
        let mut tp = 0;
        std::iter::once(self.at(f64::INFINITY)).chain(self.steps().map(
            move |(threshold, more_good, more_bad)| {
                fp += more_good as u64;
                tp += more_bad as u64;
                OperatingPoint {
                    threshold,
                    false_alarms: Rate {
                        hits: fp,
                        total: good,
                    },
                    recall: Rate {
                        hits: tp,
                        total: bad,
                    },
                }
            },
        ))
    }
}

/// How many of some ascending scores are at or above a threshold.
fn share_from(scores: &[f64], threshold: f64) -> Rate {
    Rate {
        hits: (scores.len() - scores.partition_point(|&s| s < threshold)) as u64,
        total: scores.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let good: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let bad: Vec<f32> = (5..25).map(|i| i as f32).collect();
        Scores::split(&good, &bad).unwrap()
    }

    #[test]
    fn both_conventions_by_hand() {
        let s = scores();
        // 5 % of 19 steps: 0.95 above the lowest bad score of 5; good 6…9 lie at or above 5.95.
        assert!((s.threshold95tpr() - 5.95).abs() < 1e-12);
        assert!((s.fpr95tpr() - 0.4).abs() < 1e-15);
        // 19 of 20 bad lie at or above 6, and so do four good.
        assert_eq!(s.fpr95tpr_strict(), 0.4);
        assert_eq!(s.fpr_at_tpr_strict(1.0).unwrap(), 0.5);
        assert!(s.fpr_at_tpr_strict(0.0).is_err());
    }

    #[test]
    fn ties_at_the_threshold_are_false_positives() {
        let s = Scores::split(&[0.0f32; 7], &[0.0, 1.0, 1.0]).unwrap();
        assert_eq!((s.fpr95tpr(), s.fpr95tpr_strict()), (0.0, 1.0)); // the quantile 0.1 lies above every good score
        let floor = Scores::split(&[0.0f32; 7], &[0.0, 0.0, 1.0]).unwrap();
        assert_eq!((floor.fpr95tpr(), floor.fpr95tpr_strict()), (1.0, 1.0));
    }

    #[test]
    fn thresholds_by_hand() {
        let s = scores();
        let p = s.threshold_for_false_alarms(0.25).unwrap();
        assert_eq!(
            (p.threshold, p.false_alarms.hits, p.recall.hits),
            (8.0, 2, 17)
        );
        assert_eq!(s.threshold_for_false_alarms(0.0).unwrap().threshold, 10.0);
        let p = s.threshold_for_misses(0.1).unwrap();
        assert_eq!(
            (p.threshold, p.false_alarms.hits, p.recall.hits),
            (7.0, 3, 18)
        );
        assert_eq!(
            s.threshold_for_misses(1.0).unwrap().threshold,
            f64::INFINITY
        );
        // A false alarm costs nothing: call everything down to the lowest bad score.
        assert_eq!(
            s.threshold_for_cost(0.0, 1.0, None).unwrap().0.threshold,
            5.0
        );
        let (p, cost) = s.threshold_for_cost(1.0, 0.0, None).unwrap();
        assert_eq!((p.threshold, cost), (f64::INFINITY, 0.0));
        // π = ½: at 10, misses 5/20 · ½ = .125; at 5, alarms 5/10 · ½ = .25.
        let (p, cost) = s.threshold_for_cost(1.0, 1.0, Some(0.5)).unwrap();
        assert_eq!((p.threshold, cost), (10.0, 0.125));
        assert!(s.threshold_for_cost(-1.0, 1.0, None).is_err());
        assert!(s.threshold_for_cost(1.0, 1.0, Some(2.0)).is_err());
    }
}
