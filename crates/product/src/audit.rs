//! How often intervals would hold if the given images were all there is.

use crate::card::{Card, Scored};
use crate::error::Result;
use crate::judged::Judged;
use crate::threshold::{self, RateEstimate};
use crate::units::{below, folds};
use segad_core::Label;
use segad_metrics::{Scores, clustered_auroc};
use std::collections::BTreeMap;

/// How often an interval held in simulated samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Samples whose interval contained the truth.
    pub covered: usize,
    /// Samples that promised too much: the truth was worse than the worse end.
    pub broken: usize,
}

/// Coverage of a model's intervals by simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// Samples drawn.
    pub draws: usize,
    /// The level that the intervals state.
    pub level: f64,
    /// Of the AUROC.
    pub auroc: Coverage,
    /// Of the rate of false alarms.
    pub false_alarms: Coverage,
    /// Of the rate of misses.
    pub misses: Coverage,
}

impl Coverage {
    fn count(&mut self, low: f64, high: f64, truth: f64, is_broken: bool) {
        self.covered += usize::from(low <= truth && truth <= high);
        self.broken += usize::from(is_broken);
    }

    fn rate(&mut self, told: &RateEstimate, truth: f64) {
        self.count(told.low, told.high, truth, truth > told.high);
    }
}

impl std::fmt::Display for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |n: usize| 100.0 * n as f64 / self.draws as f64;
        writeln!(
            f,
            "Audit: {} samples of as many of these groups, as if they were all there is; intervals \
             state {:.0} %",
            self.draws,
            100.0 * self.level
        )?;
        for (name, coverage) in [
            ("AUROC", self.auroc),
            ("false alarms", self.false_alarms),
            ("misses", self.misses),
        ] {
            writeln!(
                f,
                "  {name:12}  the interval holds in {:.1} %, the truth is worse in {:.1} %",
                share(coverage.covered),
                share(coverage.broken)
            )?;
        }
        Ok(())
    }
}

/// Draws groups of images with replacement, as many with bad images and as many others as there
/// are, states intervals from each draw as [`crate::fit`] does, and compares them with the truth:
/// what all images say.
///
/// # Errors
/// Those of thresholds and metrics.
pub fn audit(card: &Card, draws: usize) -> Result<Audit> {
    let mut groups: BTreeMap<usize, Vec<&Scored>> = BTreeMap::new();
    for image in &card.images {
        groups.entry(image.unit).or_default().push(image);
    }
    let groups: Vec<Vec<&Scored>> = groups.into_values().collect();
    let holds_bad = |g: &&Vec<&Scored>| g.iter().any(|s| s.label.is_bad());
    let bad: Vec<&Vec<&Scored>> = groups.iter().filter(holds_bad).collect();
    let good: Vec<&Vec<&Scored>> = groups.iter().filter(|g| !holds_bad(g)).collect();
    let scores: Vec<f32> = card.images.iter().map(|s| s.score).collect();
    let labels: Vec<Label> = card.images.iter().map(|s| s.label).collect();
    let truth = Scores::new(&scores, &labels)?;
    let mut audit = Audit {
        draws,
        level: card.operating.level,
        auroc: Coverage::default(),
        false_alarms: Coverage::default(),
        misses: Coverage::default(),
    };
    for draw in 0..draws {
        let mut rng = card.seed.derive(&format!("audit {draw}")).rng();
        let mut sample = Sample::default();
        for side in [&bad, &good] {
            for _ in side {
                sample.push(side[below(&mut rng, side.len())]);
            }
        }
        sample.judge(card, draw, &truth, &mut audit)?;
    }
    Ok(audit)
}

/// Groups that were drawn; one that was drawn twice counts as two.
#[derive(Default)]
struct Sample {
    scores: Vec<f32>,
    labels: Vec<Label>,
    units: Vec<usize>,
    groups: usize,
}

impl Sample {
    fn push(&mut self, group: &[&Scored]) {
        for image in group {
            self.scores.push(image.score);
            self.labels.push(image.label);
            self.units.push(self.groups);
        }
        self.groups += 1;
    }

    fn judge(&self, card: &Card, draw: usize, truth: &Scores, audit: &mut Audit) -> Result<()> {
        let level = card.operating.level;
        let auroc = truth.auroc();
        let told = clustered_auroc(&self.scores, &self.labels, &self.units)?.interval(level)?;
        let [low, high] = told.map_or([0.0, 1.0], |t| [t.interval.low, t.interval.high]);
        audit.auroc.count(low, high, auroc, auroc < low);
        let seed = card.seed.derive(&format!("audit folds {draw}"));
        let (folds, _) = folds(&self.labels, &self.units, card.data.folds.max(2), seed);
        let judged = Judged {
            scores: &self.scores,
            labels: &self.labels,
            units: &self.units,
            folds: &folds,
        };
        let operating = threshold::choose(&judged, card.operating.rule, level)?;
        let at = truth.at(operating.threshold);
        let false_alarms = at.false_alarms.value();
        audit
            .false_alarms
            .rate(&operating.false_alarms, false_alarms);
        audit
            .misses
            .rate(&operating.misses, 1.0 - at.recall.value());
        Ok(())
    }
}
