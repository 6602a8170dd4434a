//! What a model file says about itself, for people and programs.

use crate::calibrate::Calibration;
use crate::threshold::Operating;
use segad_core::{ImageId, Key, Label, Seed};
use segad_features::FeatureParams;
use segad_methods::DetectorSettings;
use segad_methods::frozen::FrozenSettings;
use segad_segments::PortableSegments;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The model card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The product's name.
    pub name: String,
    /// Versions of the program and of the libraries that made the file.
    pub versions: BTreeMap<String, String>,
    /// Everything random was drawn from it.
    pub seed: Seed,
    /// What it was fitted on.
    pub data: DataCard,
    /// The detectors, in order.
    pub detectors: Vec<DetectorCard>,
    /// The classifier, if the score needs one.
    pub classifier: Option<ClassifierCard>,
    /// The segments' source.
    pub segments: PortableSegments,
    /// The segments' names, in the order of their labels.
    pub segment_names: Vec<String>,
    /// Which statistics of the maps.
    pub features: FeatureParams,
    /// For each column of the statistics, the 5 % and 95 % quantiles over good images; none if it
    /// is mostly missing.
    pub usual: Vec<Option<[f32; 2]>>,
    /// All parts and heads, measured on images that they had not seen; the simplest first.
    pub candidates: Vec<Candidate>,
    /// What turns maps into the score.
    #[serde(rename = "head")]
    pub scorer: Scorer,
    /// Kinds of defect that were left out of training one after the other.
    pub unseen: Vec<Unseen>,
    /// The threshold and what to expect at it.
    pub operating: Operating,
    /// From scores to probabilities.
    pub calibration: Calibration,
    /// How much the segments did for the forest: shares of its gain, the largest first; 1 together.
    /// Statistics of the whole image have an empty name.
    pub importance: Vec<Share>,
    /// What the data lacks, in words.
    pub lacks: Vec<String>,
    /// Each image with its score by a model that had not seen it.
    pub images: Vec<Scored>,
}

/// What a model was fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataCard {
    /// Good images.
    pub good: usize,
    /// Bad images.
    pub bad: usize,
    /// Bad images of each kind of defect, where kinds are named.
    pub kinds: BTreeMap<String, usize>,
    /// Groups of images that were kept together, single images among them.
    pub units: usize,
    /// Pictures that are equal, pixel for pixel, to another one.
    pub repeated: usize,
    /// Sizes of the images, height and width, with their number.
    pub sizes: Vec<(usize, usize, usize)>,
    /// Number of folds.
    pub folds: usize,
    /// Digest over all names, labels, groups and pixels.
    pub digest: Key,
}

/// A detector of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorCard {
    /// Its name in columns and reasons.
    pub name: String,
    /// Its settings.
    pub settings: DetectorSettings,
    /// The usual level of its maps on good images (median of their means), and how high good images
    /// get (95 % quantile of their maxima).
    pub scale: [f32; 2],
    /// For each segment, the 5 % and 95 % quantiles of the maximum within it over good images.
    pub usual: Vec<[f32; 2]>,
}

/// The classifier of a model: frozen features of a backbone and what was fitted on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierCard {
    /// Its name in columns and reasons.
    pub name: String,
    /// Its settings.
    pub settings: FrozenSettings,
    /// The 5 % and 95 % quantiles of its logit over good images that it had not seen.
    pub usual: [f32; 2],
}

/// What turns maps into the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Scorer {
    /// The largest value of one detector's map.
    Detector {
        /// Which.
        detector: usize,
    },
    /// The logit of the classifier alone.
    Classifier {
        /// Which of those that were tried.
        classifier: usize,
    },
    /// A boosted random forest over the statistics.
    Forest {
        /// Whether evidence of a defect may only raise the score.
        monotone: bool,
        /// Whether it takes the classifier's logit g too, and which one it was trained on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        g: Option<TrainingG>,
    },
}

/// The classifier's logits of the forest's training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingG {
    /// Of the classifier that was trained on these very images, as in the paper.
    InSample,
    /// Of classifiers that had not seen the image.
    OutOfFold,
}

/// A part or head, and how well it does on images that it had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// How simple it is: 0 is the simplest.
    pub rank: usize,
    /// AUROC, 0 to 1.
    pub auroc: f64,
    /// Lower end of its interval (DeLong, at the level of the threshold's confidence).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// By how much the best one is better.
    pub behind: f64,
    /// Standard error of that difference, of the same images (DeLong).
    pub std_error: f64,
    /// True for the one that was kept.
    pub chosen: bool,
}

/// A kind of defect that was left out of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// The kind.
    pub kind: String,
    /// Its images.
    pub images: usize,
    /// AUROC of good images against these.
    pub auroc: f64,
    /// How many of them the threshold finds.
    pub found: usize,
}

/// A part of a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Of what.
    pub name: String,
    /// The share.
    pub share: f64,
}

/// An image of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Which.
    pub id: ImageId,
    /// What it is.
    pub label: Label,
    /// Kind of defect, or the label.
    pub kind: String,
    /// The fold that it was scored in.
    pub fold: usize,
    /// Its score.
    pub score: f32,
}

impl Card {
    /// The candidate that was kept.
    pub fn chosen(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.chosen)
    }

    /// A plain summary, one statement a line.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        let d = &self.data;
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!(
            "{}: {} good and {} bad images in {} groups, {} folds; segments: {} ({})",
            self.name,
            d.good,
            d.bad,
            d.units,
            d.folds,
            self.segments.describe(),
            self.segment_names.len()
        ));
        line(String::new());
        line("On images that the model had not seen (AUROC in %, the simplest first):".to_owned());
        let percent = |v: f64| format!("{:.1}", 100.0 * v);
        let width = self
            .candidates
            .iter()
            .map(|c| c.name.chars().count())
            .max()
            .unwrap_or(0);
        let level = percent(self.operating.level);
        let level = level.trim_end_matches(".0");
        for c in &self.candidates {
            let mark = if c.chosen { "  ← kept" } else { "" };
            let behind = match c.behind {
                b if b > 0.0 => {
                    format!("{} ± {} behind the best", percent(b), percent(c.std_error))
                }
                _ => "the best".to_owned(),
            };
            line(format!(
                "  {:width$}  {:>5}  ({} to {})  {behind}{mark}",
                c.name,
                percent(c.auroc),
                percent(c.low),
                percent(c.high)
            ));
        }
        line(
            "Kept is the simplest that is no more than one standard error behind the best."
                .to_owned(),
        );
        line(String::new());
        let o = &self.operating;
        line(format!("Threshold {:.4} ({}):", o.threshold, o.rule));
        for (what, of, r) in [
            ("false alarms", "good", o.false_alarms),
            ("misses", "bad", o.misses),
        ] {
            line(format!(
                "  {what}: {} of {} {of} images, {} % ({level} % interval {} to {} %)",
                r.hits,
                r.total,
                percent(r.rate),
                percent(r.low),
                percent(r.high)
            ));
        }
        if !self.unseen.is_empty() {
            line(String::new());
            line("Kinds of defect that training left out, one at a time:".to_owned());
            for u in &self.unseen {
                line(format!(
                    "  {}: AUROC {}, {} of {} found",
                    u.kind,
                    percent(u.auroc),
                    u.found,
                    u.images
                ));
            }
        }
        if !self.importance.is_empty() {
            line(String::new());
            let shares = self
                .importance
                .iter()
                .filter(|s| s.share >= 0.005)
                .map(|s| {
                    let name = if s.name.is_empty() {
                        "whole image"
                    } else {
                        &s.name
                    };
                    format!("{name} {} %", percent(s.share))
                });
            line(format!(
                "Segments by their share in the forest: {}",
                shares.collect::<Vec<_>>().join(", ")
            ));
        }
        if !self.lacks.is_empty() {
            line(String::new());
            line("What the data lacks:".to_owned());
            self.lacks.iter().for_each(|l| line(format!("  {l}")));
        }
        out
    }
}
