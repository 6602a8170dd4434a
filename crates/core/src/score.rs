use crate::{ImageId, Label};
use serde::{Deserialize, Serialize};

/// The score of one image in one row, class and seed of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRow {
    /// Row of the experiment, e.g. `PatchCore + Ours`.
    pub row: String,
    /// Class of the experiment, e.g. `candle`.
    pub class: String,
    /// Seed of the run.
    pub seed: u64,
    /// The image.
    pub filepath: ImageId,
    /// Good or bad.
    pub label: Label,
    /// Its group.
    pub group: String,
    /// Its score, raw; larger is more anomalous.
    pub score: f32,
}

/// One statistic and its part in a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The segment; empty for what belongs to the whole image.
    pub segment: String,
    /// The detector or classifier.
    pub detector: String,
    /// The statistic, e.g. `q99.5` or `max`.
    pub statistic: String,
    /// Its value; none where it is missing.
    pub value: Option<f32>,
    /// Where 90 % of good images are, where that is known.
    pub usual: Option<[f32; 2]>,
    /// What it adds to the score; positive is towards bad. For a score that is a map's maximum or
    /// the classifier's: how far the value is above what is usual.
    pub contribution: f64,
}

impl Reason {
    /// In words, e.g. `busbar 1: patchcore q99.5 is 3.2, usually 1.1 to 2.4`.
    pub fn describe(&self) -> String {
        let place = if self.segment.is_empty() {
            "whole image"
        } else {
            &self.segment
        };
        let value = match self.value {
            Some(value) => format!("{value:.3}"),
            None => "missing".to_owned(),
        };
        let usual = match self.usual {
            Some([low, high]) => format!(", usually {low:.3} to {high:.3}"),
            None => String::new(),
        };
        format!(
            "{place}: {} {} is {value}{usual}",
            self.detector, self.statistic
        )
    }
}
