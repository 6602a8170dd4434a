//! How verdicts compare with labels.

use super::super::fit::failure;
use segad_core::{Key, Label};
use segad_metrics::{Scores, percent};
use segad_product::{Card, RateEstimate};
use segad_runner::Failure;
use std::collections::HashMap;

/// Scores of labelled images, such that no image is measured by a model that was fitted on it.
pub(super) struct Comparison<'a> {
    card: &'a Card,
    /// Scores of the images that the model was fitted on, by models that had not seen them.
    out_of_fold: HashMap<Key, f32>,
    judged: Vec<(f32, Label)>,
    /// Images that the model was fitted on.
    fitted: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(card: &'a Card) -> Self {
        let images = card.images.iter();
        Self {
            card,
            out_of_fold: images.filter_map(|i| Some((i.pixels?, i.score))).collect(),
            judged: Vec::new(),
            fitted: 0,
        }
    }

    /// Adds an image with its score by the model.
    pub(super) fn add(&mut self, pixels: &Key, score: f32, label: Label) {
        let out_of_fold = self.out_of_fold.get(pixels);
        self.fitted += usize::from(out_of_fold.is_some());
        self.judged.push((*out_of_fold.unwrap_or(&score), label));
    }

    /// What people should know, one statement per line.
    pub(super) fn describe(&self) -> Result<String, Failure> {
        let mut lines = Vec::new();
        if self.card.images.iter().any(|i| i.pixels.is_none()) {
            lines.push(
                "note: the model is of an earlier version, which does not say which images it was \
                 fitted on; on those, the figures below are too good"
                    .to_owned(),
            );
        }
        if self.fitted > 0 {
            lines.push(format!(
                "warning: the model was fitted on {} of these {} images; the figures below use their \
                 out-of-fold scores",
                self.fitted,
                self.judged.len()
            ));
        }
        let of = |label: Label| {
            let own = self.judged.iter().filter(move |(_, own)| *own == label);
            own.map(|(score, _)| *score).collect::<Vec<f32>>()
        };
        let (good, bad) = (of(Label::Good), of(Label::Bad));
        let operating = &self.card.operating;
        if !good.is_empty() && !bad.is_empty() {
            let scores = Scores::split(&good, &bad).map_err(Failure::input)?;
            let estimate = scores.auroc_delong();
            let interval = estimate.interval(operating.level)?;
            lines.push(format!(
                "AUROC {} % ({} to {} %)",
                percent(estimate.auroc),
                percent(interval.low),
                percent(interval.high),
            ));
        }
        // A threshold is compared in the precision of the score, as verdicts are.
        let is_bad = |score: &f32| f64::from(*score) >= operating.threshold;
        for (what, label, scores, is_wrong) in [
            ("false alarms", Label::Good, good, true),
            ("misses", Label::Bad, bad, false),
        ] {
            if scores.is_empty() {
                lines.push(format!(
                    "no {label} images, so the rate of {what} is unknown"
                ));
                continue;
            }
            let wrong = scores.iter().filter(|s| is_bad(s) == is_wrong).count();
            let rate = RateEstimate::of(wrong as u64, scores.len() as u64, operating.level);
            let rate = rate.map_err(failure)?.describe(label, operating.level);
            lines.push(format!("{what}: {rate}"));
        }
        Ok(lines.join("\n"))
    }
}
