//! A small made-up experiment: two protocols or classes, three seeds, three groups.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod png;

use segad_core::{ImageId, Label};
use segad_report::{Experiment, Failure, GroupKind, GroupSpec, Metric, MetricValue, ScoreRow};

pub(crate) const AUROC: Metric = Metric::ClAuroc;
pub(crate) const FPR: Metric = Metric::Fpr95Tpr;

pub(crate) fn groups() -> Vec<GroupSpec> {
    vec![
        GroupSpec::new("good", "good", GroupKind::Good),
        GroupSpec::new("p100", "bad", GroupKind::Seen),
        GroupSpec::new("p33", "bad, p = 0.33", GroupKind::Unseen),
    ]
}

/// A cheap generator with the same stream everywhere.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in 0 … 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal: the sum of twelve uniforms less six.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// `n` good, n/2 bad and n/4 borderline images in each cell; rows further down separate better.
pub(crate) fn synthetic(experiment: &Experiment, seeds: &[u64], n: usize) -> Vec<ScoreRow> {
    let mut rows = Vec::new();
    for (r, row) in experiment.rows.iter().enumerate() {
        for (c, class) in experiment.classes.iter().enumerate() {
            for &seed in seeds {
                let mut noise = Noise::new(seed * 1000 + (r * 10 + c) as u64 + 1);
                let gap = 1.2 + 0.5 * r as f64 + 0.4 * c as f64;
                let sets = [
                    ("good", Label::Good, n, 0.0),
                    ("p100", Label::Bad, n / 2, gap),
                    ("p33", Label::Bad, n / 4, 0.6 * gap),
                ];
                for (group, label, count, shift) in sets {
                    for i in 0..count {
                        rows.push(ScoreRow {
                            row: row.name.clone(),
                            class: class.clone(),
                            seed,
                            filepath: ImageId::new(format!("{group}/{i:04}.png")),
                            label,
                            group: group.to_owned(),
                            score: (1.0 + 0.2 * (shift + noise.normal())) as f32,
                        });
                    }
                }
            }
        }
    }
    rows
}

pub(crate) fn value(row: &str, class: &str, seed: u64, metric: &str, value: f64) -> MetricValue {
    MetricValue {
        row: row.into(),
        class: class.into(),
        seed,
        metric: metric.into(),
        value,
    }
}

pub(crate) fn failure(row: &str, class: &str, seed: u64, reason: &str) -> Failure {
    Failure {
        row: row.into(),
        class: class.into(),
        seed,
        reason: reason.into(),
    }
}
