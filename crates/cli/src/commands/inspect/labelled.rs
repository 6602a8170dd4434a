//! How verdicts compare with labels.

use super::super::fit::failure;
use segad_core::{Key, Label};
use segad_metrics::{ClusteredInterval, clustered_auroc, percent};
use segad_product::{Card, RateEstimate, group_by};
use segad_runner::Failure;
use std::collections::{HashMap, HashSet};

/// What is known of an image before it is judged.
pub(super) struct Known {
    pub label: Label,
    /// Its group, where a list names one.
    pub group: Option<String>,
}

/// Scores of labelled images, such that no image is measured by a model that was fitted on it.
pub(super) struct Comparison<'a> {
    card: &'a Card,
    /// Of the images that the model was fitted on: scores by models that had not seen them, and
    /// their groups.
    fitted: HashMap<Key, (f32, usize)>,
    scores: Vec<f32>,
    labels: Vec<Label>,
    common: Vec<Vec<Common>>,
    /// Images that the model was fitted on.
    seen: usize,
}

/// What makes images of one group: they would be right or wrong together.
#[derive(PartialEq, Eq, Hash)]
enum Common {
    /// A group that a list names.
    Named(String),
    /// A group of the images that the model was fitted on.
    Fitted(usize),
    /// Equal pixels.
    Pixels(Key),
}

impl<'a> Comparison<'a> {
    pub(super) fn new(card: &'a Card) -> Self {
        let images = card.images.iter();
        Self {
            card,
            fitted: images
                .filter_map(|i| Some((i.pixels?, (i.score, i.unit))))
                .collect(),
            scores: Vec::new(),
            labels: Vec::new(),
            common: Vec::new(),
            seen: 0,
        }
    }

    /// Adds an image with its score by the model.
    pub(super) fn add(&mut self, pixels: Key, score: f32, known: &Known) {
        let mut common = vec![Common::Pixels(pixels)];
        common.extend(known.group.clone().map(Common::Named));
        let mut score = score;
        if let Some(&(out_of_fold, group)) = self.fitted.get(&pixels) {
            self.seen += 1;
            score = out_of_fold;
            common.push(Common::Fitted(group));
        }
        self.scores.push(score);
        self.labels.push(known.label);
        self.common.push(common);
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
        if self.seen > 0 {
            lines.push(format!(
                "warning: the model was fitted on {} of these {} images; the figures below use their \
                 out-of-fold scores",
                self.seen,
                self.scores.len()
            ));
        }
        let groups = group_by(&self.common);
        let count = groups.iter().collect::<HashSet<_>>().len();
        if count < groups.len() {
            lines.push(format!(
                "intervals count {count} groups of images, of one name or with the same pixels"
            ));
        }
        let has = |label| self.labels.contains(&label);
        if has(Label::Good) && has(Label::Bad) {
            lines.push(self.auroc(&groups)?);
        }
        for (what, label) in [("false alarms", Label::Good), ("misses", Label::Bad)] {
            let rate = match has(label) {
                true => self.rate(label, &groups)?,
                false => format!("unknown, without {label} images"),
            };
            lines.push(format!("{what}: {rate}"));
        }
        Ok(lines.join("\n"))
    }

    fn auroc(&self, groups: &[usize]) -> Result<String, Failure> {
        let estimate = clustered_auroc(&self.scores, &self.labels, groups)?;
        let interval = estimate.interval(self.card.operating.level)?;
        let auroc = percent(estimate.auroc);
        Ok(match interval {
            None => format!("AUROC {auroc} % (a single group tells nothing of its uncertainty)"),
            Some(ClusteredInterval { interval, floored }) => {
                let widened = if floored {
                    "; few groups, so at least as wide as for as many single images"
                } else {
                    ""
                };
                format!(
                    "AUROC {auroc} % ({} to {} %{widened})",
                    percent(interval.low),
                    percent(interval.high)
                )
            }
        })
    }

    /// How many images of this label are on the wrong side of the threshold.
    fn rate(&self, label: Label, groups: &[usize]) -> Result<String, Failure> {
        let operating = &self.card.operating;
        let (mut wrong, mut of) = (Vec::new(), Vec::new());
        for ((&score, &own), &group) in self.scores.iter().zip(&self.labels).zip(groups) {
            if own == label {
                // A threshold is compared in the precision of the score, as verdicts are.
                let called_bad = f64::from(score) >= operating.threshold;
                wrong.push(called_bad != label.is_bad());
                of.push(group);
            }
        }
        let rate = RateEstimate::of_groups(&wrong, &of, operating.level).map_err(failure)?;
        Ok(rate.describe(label, operating.level))
    }
}
