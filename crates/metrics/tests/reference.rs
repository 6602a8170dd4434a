//! Agreement with scikit-learn 1.5.0, pandas 2.0.3, numpy 1.24.4 and scipy 1.10.1;
//! `fixtures/make_metrics.py` made the figures.
#![allow(clippy::unwrap_used, reason = "a test may stop at an error")]

use segad_core::Label;
use segad_metrics::{Rate, Score, Scores, delong_test, kolmogorov_smirnov};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

fn close(what: &str, got: f64, want: &Value, tolerance: f64) {
    let want = want.as_f64().unwrap();
    assert!(
        (got - want).abs() <= tolerance,
        "{what}: {got} instead of {want}"
    );
}

fn labels(v: &Value) -> Vec<Label> {
    numbers(v)
        .iter()
        .map(|&l| if l == 1.0 { Label::Bad } else { Label::Good })
        .collect()
}

fn check<S: Score>(case: &Value, scores: &[S], labels: &[Label]) {
    let s = Scores::new(scores, labels).unwrap();
    close("AUROC", s.auroc(), &case["auroc"], 1e-12);
    close("AP", s.average_precision(), &case["ap"], 1e-12);
    for (max_fpr, want) in case["pauroc"].as_object().unwrap() {
        close(
            "partial AUROC",
            s.partial_auroc(max_fpr.parse().unwrap()).unwrap(),
            want,
            1e-12,
        );
    }
    assert_eq!(s.threshold95tpr(), case["threshold95"].as_f64().unwrap());
    assert_eq!(s.fpr95tpr(), case["fpr95"].as_f64().unwrap());
    assert_eq!(s.fpr95tpr_strict(), case["fpr95_strict"].as_f64().unwrap());
    if let Some(roc) = case.get("roc") {
        let curve = s.roc_curve();
        assert_eq!(
            curve.iter().map(|p| p.fpr).collect::<Vec<_>>(),
            numbers(&roc["fpr"])
        );
        assert_eq!(
            curve.iter().map(|p| p.tpr).collect::<Vec<_>>(),
            numbers(&roc["tpr"])
        );
        assert_eq!(curve[0].threshold, f64::INFINITY);
        assert_eq!(
            curve[1..].iter().map(|p| p.threshold).collect::<Vec<_>>(),
            numbers(&roc["thresholds"])
        );
    }
    if let Some(other) = case.get("other") {
        close(
            "DeLong",
            s.auroc_delong().std_error,
            &case["delong_se"],
            1e-13,
        );
        let wide: Vec<f64> = scores.iter().map(|&v| v.into()).collect();
        let p = delong_test(&wide, &numbers(other), labels).unwrap().p_value;
        close("DeLong p", p, &case["delong_p"], 1e-12);
    }
}

#[test]
fn scores_agree() {
    let cases = json(include_str!("fixtures/metrics.json"));
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (scores, labels) = (numbers(&case["scores"]), labels(&case["labels"]));
        if case["type"] == "f32" {
            check(
                case,
                &scores.iter().map(|&v| v as f32).collect::<Vec<_>>(),
                &labels,
            );
        } else {
            check(case, &scores, &labels);
        }
    }
}

#[test]
fn the_type_of_the_scores_decides() {
    // The threshold 0.05 · 0.1 + 0.95 · 0 is no f32; the good score is its rounding.
    let good = [0.005f32];
    let (single, double) = (
        Scores::split(&good, &[0.0f32, 0.1]),
        Scores::split(&[0.005f64], &[0.0f64, f64::from(0.1f32)]),
    );
    assert_eq!(
        (single.unwrap().fpr95tpr(), double.unwrap().fpr95tpr()),
        (1.0, 0.0)
    );
}

#[test]
fn intervals_agree() {
    for row in json(include_str!("fixtures/special.json"))["rates"]
        .as_array()
        .unwrap()
    {
        let v = numbers(row);
        let rate = Rate {
            hits: v[0] as u64,
            total: v[1] as u64,
        };
        let exact = rate.clopper_pearson(v[2]).unwrap();
        close("Clopper–Pearson, low", exact.low, &row[5], 1e-10);
        close("Clopper–Pearson, high", exact.high, &row[6], 1e-10);
    }
}

#[test]
fn drift_agrees() {
    let special = json(include_str!("fixtures/special.json"));
    for sample in special["samples"].as_array().unwrap() {
        let ks = kolmogorov_smirnov(&numbers(&sample["a"]), &numbers(&sample["b"])).unwrap();
        close("distance", ks.distance, &sample["distance"], 1e-14);
        let want = sample["p"].as_f64().unwrap();
        assert!(
            (ks.p_value / want - 1.0).abs() < 1e-9,
            "{} instead of {want}",
            ks.p_value
        );
    }
}

/// U(name) of the published vectors: a hash of name and position, from −½ to ½.
fn uniform(name: &str, j: u32) -> f64 {
    let seed = name.bytes().fold(0x811c_9dc5u32, |h, b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    });
    let mut h = j.wrapping_mul(2_654_435_761).wrapping_add(seed);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    f64::from(h ^ (h >> 16)) / 4_294_967_296.0 - 0.5
}

#[test]
fn known_vectors() {
    assert!((uniform("conv1.weight", 0) - 0.454418841).abs() < 1e-9);
    let labels: Vec<Label> = (0..50)
        .map(|i| {
            if uniform("labels", i) > 0.1 {
                Label::Bad
            } else {
                Label::Good
            }
        })
        .collect();
    assert_eq!(labels.iter().filter(|l| l.is_bad()).count(), 22);
    let rounded: Vec<f64> = (0..50)
        .map(|i| ((uniform("scores", i) + 0.5) * 10.0).round() / 10.0)
        .collect();
    let plain: Vec<f64> = (0..50).map(|i| uniform("scores2", i)).collect();
    for (scores, auroc, threshold, fpr) in [
        (rounded, 0.4512987013, 0.005, 0.9642857143),
        (plain, 0.6087662338, -0.2942667305469513, 0.8928571429),
    ] {
        // pandas 2.0.3 on f32 scores.
        let single: Vec<f32> = scores.iter().map(|&v| v as f32).collect();
        let s = Scores::new(&single, &labels).unwrap();
        for (got, want) in [
            (s.auroc(), auroc),
            (s.threshold95tpr(), threshold),
            (s.fpr95tpr(), fpr),
        ] {
            assert!((got - want).abs() < 1e-10, "{got} instead of {want}");
        }
        let double = Scores::new(&scores, &labels).unwrap();
        assert!((double.auroc() - auroc).abs() < 1e-10 && (double.fpr95tpr() - fpr).abs() < 1e-10);
    }
}
