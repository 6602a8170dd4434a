//! What must hold for any scores.
#![allow(clippy::unwrap_used, reason = "a test may stop at an error")]

use proptest::prelude::*;
use segad_metrics::{Metric, Scores, kolmogorov_smirnov};

/// Small integers, so that ties are common.
fn data() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let class = || prop::collection::vec((-20i32..20).prop_map(|v| v as f32 / 4.0), 1..60);
    (class(), class())
}

/// AUROC from all pairs.
fn pairs(good: &[f32], bad: &[f32]) -> f64 {
    let won: f64 = bad
        .iter()
        .flat_map(|b| {
            good.iter().map(move |g| {
                if b > g {
                    1.0
                } else if b == g {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    won / (good.len() * bad.len()) as f64
}

proptest! {
    #[test]
    fn auroc_counts_pairs((good, bad) in data()) {
        let s = Scores::split(&good, &bad).unwrap();
        prop_assert!((s.auroc() - pairs(&good, &bad)).abs() < 1e-12);
        prop_assert!((s.partial_area(1.0).unwrap() - s.auroc()).abs() < 1e-12);
        prop_assert!((s.auroc_delong().auroc - s.auroc()).abs() == 0.0);
    }

    #[test]
    fn auroc_is_symmetric_and_sees_only_ranks((good, bad) in data()) {
        let s = Scores::split(&good, &bad).unwrap();
        prop_assert!((s.auroc() + Scores::split(&bad, &good).unwrap().auroc() - 1.0).abs() < 1e-12);
        let map = |v: &[f32]| v.iter().map(|x| (f64::from(*x) * 0.3).exp() - 7.0).collect::<Vec<f64>>();
        let mapped = Scores::split(&map(&good), &map(&bad)).unwrap();
        for m in [Metric::ClAuroc, Metric::Ap, Metric::Pauroc, Metric::Fpr95TprStrict] {
            prop_assert_eq!(m.value(&s), m.value(&mapped));
        }
    }

    #[test]
    fn metrics_stay_in_range((good, bad) in data()) {
        let s = Scores::split(&good, &bad).unwrap();
        for m in Metric::ALL {
            let v = m.value(&s);
            prop_assert!((-1e-12..=1.0 + 1e-12).contains(&v), "{} = {}", m, v);
        }
    }

    #[test]
    fn strict_is_the_best_point_with_the_recall((good, bad) in data(), tpr in 0.01f64..=1.0) {
        let s = Scores::split(&good, &bad).unwrap();
        let best = s.roc_curve().iter().filter(|p| p.tpr >= tpr).map(|p| p.fpr).fold(1.0, f64::min);
        prop_assert_eq!(s.fpr_at_tpr_strict(tpr).unwrap(), best);
    }

    #[test]
    fn thresholds_keep_their_limits((good, bad) in data(), rate in 0.0f64..=1.0, cost in 0.0f64..10.0) {
        let s = Scores::split(&good, &bad).unwrap();
        let (alarms, misses) = (s.threshold_for_false_alarms(rate).unwrap(), s.threshold_for_misses(rate).unwrap());
        prop_assert!(alarms.false_alarms.value() <= rate);
        prop_assert!(1.0 - misses.recall.value() <= rate + 1e-12);
        let (best, price) = s.threshold_for_cost(1.0, cost, Some(0.25)).unwrap();
        for p in s.roc_curve() {
            let at = s.at(p.threshold);
            prop_assert_eq!((at.false_alarms.value(), at.recall.value()), (p.fpr, p.tpr));
            // No point under the limit finds more; no point over the recall has fewer alarms; none
            // is cheaper.
            prop_assert!(p.fpr > rate || p.tpr <= alarms.recall.value());
            prop_assert!(1.0 - p.tpr > rate || p.fpr >= misses.false_alarms.value());
            prop_assert!(0.75 * p.fpr + 0.25 * (1.0 - p.tpr) * cost >= price - 1e-12);
        }
        prop_assert_eq!(s.at(best.threshold), best);
    }

    #[test]
    fn distance_is_that_of_the_roc_curve((good, bad) in data()) {
        let s = Scores::split(&good, &bad).unwrap();
        let widest = s.roc_curve().iter().map(|p| (p.tpr - p.fpr).abs()).fold(0.0, f64::max);
        let ks = kolmogorov_smirnov(s.good(), s.bad()).unwrap();
        prop_assert!((ks.distance - widest).abs() < 1e-12);
        prop_assert!((0.0..=1.0).contains(&ks.p_value));
    }

    #[test]
    fn the_order_of_images_means_nothing((good, bad) in data()) {
        let turned = |v: &[f32]| v.iter().rev().copied().collect::<Vec<_>>();
        let (a, b) = (Scores::split(&good, &bad).unwrap(), Scores::split(&turned(&good), &turned(&bad)).unwrap());
        prop_assert_eq!(&a, &b);
    }
}
