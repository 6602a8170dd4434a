use crate::error::check;
use crate::{MetricError, Scores};

/// A point of the ROC curve: what happens when every image with score ≥ `threshold` is called bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// The threshold; +∞ at the first point, where nothing is called bad.
    pub threshold: f64,
    /// Share of the good images called bad, 0 to 1.
    pub fpr: f64,
    /// Share of the bad images called bad, 0 to 1.
    pub tpr: f64,
}

impl Scores {
    /// Area under the ROC curve: the chance that a bad image scores above a good one, ties counting
    /// one half.
    pub fn auroc(&self) -> f64 {
        // Twice the number of won pairs, exact in integers.
        let mut won = 0u128;
        let mut bad_above = 0u128;
        for (_, good, bad) in self.steps() {
            won += good as u128 * (2 * bad_above + bad as u128);
            bad_above += bad as u128;
        }
        won as f64 / (2 * self.good.len() as u128 * self.bad.len() as u128) as f64
    }

    /// The ROC curve, one point for each distinct score, thresholds descending from +∞
    /// (scikit-learn's `roc_curve` with `drop_intermediate=False`).
    pub fn roc_curve(&self) -> Vec<RocPoint> {
        let n = self.good.len() as f64;
        let p = self.bad.len() as f64;
        let mut curve = vec![RocPoint {
            threshold: f64::INFINITY,
            fpr: 0.0,
            tpr: 0.0,
        }];
        let mut fp = 0;
        let mut tp = 0;
        curve.extend(self.steps().map(|(threshold, good, bad)| {
            fp += good;
            tp += bad;
            RocPoint {
                threshold,
                fpr: fp as f64 / n,
                tpr: tp as f64 / p,
            }
        }));
        curve
    }

    /// Area under the ROC curve from FPR 0 to `max_fpr`, unscaled: from 0 to `max_fpr`.
    ///
    /// # Errors
    /// [`MetricError::Parameter`] unless 0 < `max_fpr` ≤ 1.
    pub fn partial_area(&self, max_fpr: f64) -> Result<f64, MetricError> {
        let expected = "above 0, at most 1";
        check(
            "max_fpr",
            max_fpr,
            expected,
            max_fpr > 0.0 && max_fpr <= 1.0,
        )?;
        let mut area = 0.0;
        for pair in self.roc_curve().windows(2) {
            let [a, b] = [pair[0], pair[1]];
            if b.fpr <= max_fpr {
                area += (b.fpr - a.fpr) * 0.5 * (a.tpr + b.tpr);
            } else {
                // The limit falls inside this piece: only the part on its left counts.
                let tpr = a.tpr + (b.tpr - a.tpr) * (max_fpr - a.fpr) / (b.fpr - a.fpr);
                area += (max_fpr - a.fpr) * 0.5 * (a.tpr + tpr);
                break;
            }
        }
        Ok(area)
    }

    /// Partial AUROC after McClish (1989), scaled so that chance is ½ and perfection 1
    /// (scikit-learn's `roc_auc_score(max_fpr=…)`).
    ///
    /// # Errors
    /// As [`Scores::partial_area`].
    pub fn partial_auroc(&self, max_fpr: f64) -> Result<f64, MetricError> {
        let area = self.partial_area(max_fpr)?;
        if max_fpr == 1.0 {
            return Ok(self.auroc());
        }
        let chance = 0.5 * max_fpr * max_fpr;
        Ok(0.5 * (1.0 + (area - chance) / (max_fpr - chance)))
    }

    /// Average precision: Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct thresholds, no interpolation
    /// (scikit-learn's definition).
    pub fn average_precision(&self) -> f64 {
        let mut tp = 0;
        let mut called = 0;
        let mut sum = 0.0;
        for (_, good, bad) in self.steps() {
            tp += bad;
            called += good + bad;
            sum += bad as f64 * (tp as f64 / called as f64);
        }
        sum / self.bad.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let s = Scores::split(&[0.1f32, 0.4, 0.35], &[0.4, 0.8]).unwrap();
        // Pairs: .4 beats .1 and .35 and ties .4; .8 beats all three.
        assert_eq!(s.auroc(), 5.5 / 6.0);
        // Called bad at .8: 1 of 1; at .4: 2 of 3.
        assert!((s.average_precision() - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-15);
        let curve = s.roc_curve();
        assert_eq!(curve.len(), 5);
        assert_eq!((curve[2].fpr, curve[2].tpr), (1.0 / 3.0, 1.0));
        assert_eq!((curve[4].fpr, curve[4].tpr), (1.0, 1.0));
        // Up to FPR ⅙ the curve climbs from ½ to ¾.
        assert!((s.partial_area(1.0 / 6.0).unwrap() - 0.625 / 6.0).abs() < 1e-15);
        assert!((s.partial_area(1.0).unwrap() - s.auroc()).abs() < 1e-15);
        assert!(s.partial_auroc(0.0).is_err());
        assert!(s.partial_auroc(f64::NAN).is_err());
    }
}
