//! What a model file says about itself, for people and programs.

use crate::calibrate::Calibration;
use crate::stacking::{ENOUGH_UNITS, FEWEST_UNITS};
use crate::threshold::Operating;
use crate::token_parts::TokenPart;
use crate::tokens::TokenSettings;
use segad_core::{ImageId, Key, Label, Seed};
use segad_features::FeatureParams;
use segad_heads::Stack;
use segad_imaging::Reading;
use segad_methods::DetectorSettings;
use segad_methods::frozen::FrozenSettings;
use segad_metrics::percent;
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
    /// How files become pixels; files of version 0.1 state nothing and leave images as stored.
    #[serde(default = "as_stored")]
    pub reading: Reading,
    /// The detectors, in order.
    pub detectors: Vec<DetectorCard>,
    /// The classifier, if the score needs one.
    pub classifier: Option<ClassifierCard>,
    /// Patch tokens and the parts made of them, if the score needs any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensCard>,
    /// Side of maps and label maps in pixels; in older files that of the detectors' input.
    #[serde(default)]
    pub map_side: Option<usize>,
    /// Parts that the stack leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
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
    /// The lowest and the highest AUROC with one group of images left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<[f64; 2]>,
}

fn as_stored() -> Reading {
    Reading::AS_STORED
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
    /// Groups that hold a good image, and groups that hold a bad one.
    #[serde(default)]
    pub units_with: [usize; 2],
    /// Images that look alike, and the groups that they were put into because no groups were named.
    #[serde(default)]
    pub alike: Option<[usize; 2]>,
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

/// Patch tokens of a model, and the parts of its score that are made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensCard {
    /// Which tokens.
    pub settings: TokenSettings,
    /// Channels of each layer.
    pub channels: Vec<usize>,
    /// How many good tokens the file keeps; 0 if no part needs them.
    pub bank: usize,
    /// The parts.
    pub parts: Vec<TokenPartCard>,
}

/// A part of a score that is made of patch tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenPartCard {
    /// Which.
    pub part: TokenPart,
    /// The 5 % and 95 % quantiles of its score over good images.
    pub usual_score: [f32; 2],
    /// As [`DetectorCard::scale`], of its map.
    pub scale: [f32; 2],
    /// As [`DetectorCard::usual`]; empty if it has no map.
    pub usual: Vec<[f32; 2]>,
}

/// A part that a stack leaves out, since it does not help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// AUROC with it minus without it, on images that neither had seen.
    pub difference: f64,
    /// Standard error of that, of the same groups of images (Obuchowski).
    pub std_error: f64,
}

/// A part of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackedPart {
    /// Its name.
    pub name: String,
    /// What makes its score.
    pub scorer: Scorer,
}

/// What turns maps into the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Scorer {
    /// A part that is made of patch tokens.
    Tokens {
        /// Which.
        part: TokenPart,
    },
    /// The weighted sum of parts, each standardised on good images.
    Stack {
        /// The parts, none of them a stack.
        parts: Vec<StackedPart>,
        /// How they are weighed.
        weights: Stack,
    },
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
    /// Lower end of its interval (Obuchowski, on the logit scale, at the level of the threshold's
    /// confidence); 0 where nothing can be said.
    pub low: f64,
    /// Upper end; 1 where nothing can be said.
    pub high: f64,
    /// Whether there are so few groups that the interval was widened.
    #[serde(default)]
    pub floored: bool,
    /// By how much the best one is better.
    pub behind: f64,
    /// Standard error of that difference, of the same groups of images (Obuchowski).
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
    /// Digest of its pixels ([`pixel_digest`](crate::pixel_digest)); none in models of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Key>,
    /// The fold that it was scored in.
    pub fold: usize,
    /// The group that it is of.
    #[serde(default)]
    pub unit: usize,
    /// Its score.
    pub score: f32,
}

impl Scorer {
    /// The scorers whose scores are put together: those of a stack, otherwise itself.
    pub fn single(&self) -> Vec<&Self> {
        match self {
            Self::Stack { parts, .. } => parts.iter().map(|p| &p.scorer).collect(),
            one => vec![one],
        }
    }

    /// The parts that are made of patch tokens.
    pub fn token_parts(&self) -> Vec<TokenPart> {
        let parts = self.single().into_iter().filter_map(|scorer| match scorer {
            Self::Tokens { part } => Some(*part),
            _ => None,
        });
        parts.collect()
    }

    /// Whether a forest takes part.
    pub fn has_forest(&self) -> bool {
        self.single()
            .iter()
            .any(|s| matches!(s, Self::Forest { .. }))
    }
}

impl Card {
    /// Name and scale of every map of an inspection, in its order: the detectors', then those of
    /// token parts.
    pub fn maps(&self) -> Vec<(&str, [f32; 2])> {
        let mut maps: Vec<_> = self.detectors.iter().map(|d| (&*d.name, d.scale)).collect();
        let parts = self.tokens.iter().flat_map(|t| &t.parts);
        let mapped = parts.filter(|p| p.part.has_map());
        maps.extend(mapped.map(|p| (p.part.name(), p.scale)));
        maps
    }

    /// The candidate that was kept.
    pub fn chosen(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.chosen)
    }

    /// A plain summary, one statement per line.
    pub fn summary(&self) -> String {
        let data = &self.data;
        let mut out = format!(
            "{}: {} good and {} bad images in {} groups, {} folds; segments: {} ({})\n",
            self.name,
            data.good,
            data.bad,
            data.units,
            data.folds,
            self.segments.describe(),
            self.segment_names.len()
        );
        out.push_str(&format!("Images: {}\n", self.reading.describe()));
        self.write_candidates(&mut out);
        self.write_operating(&mut out);
        if !self.unseen.is_empty() {
            out.push_str("\nKinds of defect left out of training, one at a time:\n");
        }
        for unseen in &self.unseen {
            let auroc = percent(unseen.auroc);
            let Unseen {
                kind,
                found,
                images,
                ..
            } = unseen;
            out.push_str(&format!(
                "  {kind}: AUROC {auroc}, {found} of {images} found\n"
            ));
        }
        self.write_importance(&mut out);
        if !self.lacks.is_empty() {
            out.push_str("\nWhat the data lacks:\n");
        }
        for lack in &self.lacks {
            out.push_str(&format!("  {lack}\n"));
        }
        out
    }

    fn write_candidates(&self, out: &mut String) {
        out.push_str("\nOn images that the model had not seen (AUROC in %, the simplest first):\n");
        let widths = self.candidates.iter().map(|c| c.name.chars().count());
        let width = widths.max().unwrap_or(0);
        for c in &self.candidates {
            let mark = if c.chosen { "  ← kept" } else { "" };
            let behind = if c.behind > 0.0 {
                let error = percent(c.std_error);
                format!("{} ± {error} behind the best", percent(c.behind))
            } else {
                "the best".to_owned()
            };
            out.push_str(&format!(
                "  {:width$}  {:>5}  ({} to {})  {behind}{mark}\n",
                c.name,
                percent(c.auroc),
                percent(c.low),
                percent(c.high)
            ));
        }
        for line in self.weights() {
            out.push_str(&format!("{line}\n"));
        }
        for line in self.reach() {
            out.push_str(&format!("{line}\n"));
        }
    }

    /// Why this candidate is kept, and of what it consists.
    fn weights(&self) -> Vec<String> {
        let Scorer::Stack { parts, weights } = &self.scorer else {
            let simplest = "The simplest candidate within one standard error of the best is kept, \
                            unless --head names another.";
            return vec![simplest.to_owned()];
        };
        let shares = parts.iter().zip(weights.weights());
        let shares: Vec<String> = shares.map(|(p, w)| format!("{} {w:.2}", p.name)).collect();
        let mut lines = vec![format!(
            "The stack weighs its parts: {}.",
            shares.join(", ")
        )];
        for part in &self.left_out {
            lines.push(format!(
                "Left out, since it adds {} ± {}: {}.",
                percent(part.difference),
                percent(part.std_error),
                part.name
            ));
        }
        if self.data.units_with[1] < FEWEST_UNITS {
            lines.push(format!(
                "Fewer than {FEWEST_UNITS} groups hold bad images: the stack is made of the parts \
                 that are fitted on good images alone, all with the same weight."
            ));
        } else if self.data.units_with[1] < ENOUGH_UNITS {
            lines.push(format!(
                "Fewer than {ENOUGH_UNITS} groups hold bad images, too few to weigh parts by: all \
                 have the same weight."
            ));
        }
        lines
    }

    /// What the intervals count, how far groups matter, and what no interval covers.
    pub fn reach(&self) -> Vec<String> {
        let [good, bad] = self.data.units_with;
        let mut lines = vec![format!(
            "Intervals count groups of images: {good} with good images, {bad} with bad ones."
        )];
        if let Some([images, groups]) = self.data.alike {
            lines.push(format!(
                "No groups are named; {images} images that look alike were put into {groups} groups."
            ));
        }
        if self.chosen().is_some_and(|c| c.floored) {
            lines.push(format!(
                "{} are too few groups to estimate how much they differ, or nothing was in the \
                 wrong order, so the interval was widened to that of as many single images.",
                good.min(bad)
            ));
        }
        if let Some([low, high]) = self.spread {
            lines.push(format!(
                "With any one group left out, the AUROC lies between {} and {}.",
                percent(low),
                percent(high)
            ));
        }
        lines.push(
            "No interval covers images unlike these: another camera, light, batch or kind of defect."
                .to_owned(),
        );
        lines
    }

    fn write_operating(&self, out: &mut String) {
        let operating = &self.operating;
        let Operating {
            threshold, rule, ..
        } = operating;
        out.push_str(&format!(
            "\nThreshold {threshold:.4} ({rule}); each image is judged by the threshold that the \
             other folds choose:\n"
        ));
        for (what, label, rate) in [
            ("false alarms", Label::Good, operating.false_alarms),
            ("misses", Label::Bad, operating.misses),
        ] {
            let rate = rate.describe(label, operating.level);
            out.push_str(&format!("  {what}: {rate}\n"));
        }
    }

    fn write_importance(&self, out: &mut String) {
        let mut shares = Vec::new();
        // Less than this is not worth a line.
        for share in self.importance.iter().filter(|s| s.share >= 0.005) {
            let name = if share.name.is_empty() {
                "whole image"
            } else {
                &share.name
            };
            shares.push(format!("{name} {} %", percent(share.share)));
        }
        if !self.importance.is_empty() {
            let shares = shares.join(", ");
            out.push_str(&format!(
                "\nSegments by their share in the forest: {shares}\n"
            ));
        }
    }
}
