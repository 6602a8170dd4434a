//! The verdict on an image, and why.

use crate::card::{Card, Scorer};
use crate::error::{ProductError, Result};
use crate::gauge::{Gauge, Gauged};
use crate::model::Model;
use crate::neighbours::{Neighbour, neighbours};
use crate::observe::{Classifier, Observation, TokensAtWork};
use crate::reasons::{Explainer, by_segment};
use crate::{crossfit, draw};
use segad_core::{AnomalyMap, Device, FitContext, Image, Label, LabelMap, Reason};
use segad_features::{FeatureName, Scratch};
use segad_forest::Forest;
use segad_methods::{Detector, DetectorSettings};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A model at work. It may move to another thread but not be shared by two: make one a thread from
/// a shared [`Model`]. Scores do not depend on what else is inspected at the same time.
pub struct Inspector {
    card: Card,
    pub(crate) settings: Vec<DetectorSettings>,
    pub(crate) detectors: Vec<Box<dyn Detector>>,
    gauge: Gauge,
    names: Vec<FeatureName>,
    pub(crate) classifier: Option<Classifier>,
    pub(crate) tokens: Option<TokensAtWork>,
    pub(crate) forest: Option<Forest>,
}

/// No network takes a larger input.
const LARGEST_SIDE: usize = 4096;

pub(crate) fn no_head() -> ProductError {
    ProductError::Damaged("its head does not fit its parts".to_owned())
}

/// What an image's score is made of.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Raw score, larger is more anomalous.
    pub score: f32,
    /// At or above the threshold, or below.
    pub verdict: Label,
    /// Calibrated probability of "bad", for images mixed as those that the model was fitted on.
    pub probability: f64,
    /// What drove the score, towards bad first; in a stack, what belongs to a segment comes before
    /// what belongs to the image as a whole.
    pub reasons: Vec<Reason>,
    /// The same summed over each segment, towards bad first; an empty name stands for the whole
    /// image.
    pub segments_by_weight: Vec<Weight>,
    /// Where: the mean of all maps, for a stack by the parts' weights, each 0 at the level of good
    /// images, 1 where the highest of them get to; at the size of the detectors' input.
    pub map: AnomalyMap,
    /// The maps by themselves, raw, in the order of [`Card::maps`].
    pub maps: Vec<AnomalyMap>,
    /// Which segment each pixel of the maps belongs to.
    pub segments: LabelMap,
}

/// A segment's part in a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// The segment.
    pub segment: String,
    /// What it adds to the score.
    pub contribution: f64,
}

impl Inspector {
    /// Opens a model file, on the processor.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(&Model::open(path)?, Device::Cpu)
    }

    /// Puts a model to work.
    ///
    /// # Errors
    /// [`ProductError::Damaged`] for a model whose parts do not fit together.
    pub fn new(model: &Model, device: Device) -> Result<Self> {
        let card = model.card().clone();
        let settings: Vec<DetectorSettings> =
            card.detectors.iter().map(|d| d.settings.clone()).collect();
        let backbones = model.backbones()?;
        // One image at a time, so that neighbours in a batch cannot change a bit.
        let ctx = FitContext {
            device,
            batch: 1,
            ..FitContext::default()
        };
        let mut detectors = Vec::with_capacity(settings.len());
        for (i, settings) in settings.iter().enumerate() {
            let loaded = settings.load(&backbones, &model.detector(i)?, &ctx);
            detectors.push(loaded.map_err(|e| ProductError::detector(settings.kind(), e))?);
        }
        let first = settings.first().map(DetectorSettings::image_size);
        let side = card.map_side.or(first);
        let side = side.ok_or_else(|| ProductError::Damaged("it has no map".to_owned()))?;
        if !(1..=LARGEST_SIDE).contains(&side) {
            let why = format!("its maps have a side of {side} pixels");
            return Err(ProductError::Damaged(why));
        }
        let names: Vec<String> = card.detectors.iter().map(|d| d.name.clone()).collect();
        let gauge = Gauge::new(&card.segments, side, &card.features, &names)?;
        let classifier = card.classifier.as_ref();
        let classifier = classifier
            .map(|c| Classifier::open(c, model, device))
            .transpose()?;
        let forest = model.forest()?;
        let tokens = TokensAtWork::open(&card, model, side, device)?;
        let mut names = gauge
            .extractor
            .as_ref()
            .map_or_else(Vec::new, |e| e.names().to_vec());
        if needs_g(&card.scorer) {
            let classifier = card.classifier.as_ref().map(|c| c.name.clone());
            names.push(FeatureName::Classifier {
                classifier: classifier.unwrap_or_default(),
            });
        }
        let columns: Vec<String> = names.iter().map(FeatureName::to_string).collect();
        let fits = card.scorer.single().into_iter().all(|scorer| match scorer {
            Scorer::Detector { detector } => *detector < detectors.len(),
            Scorer::Classifier { .. } => classifier.is_some(),
            Scorer::Forest { g, .. } => {
                forest.as_ref().is_some_and(|f| f.columns() == columns)
                    && card.usual.len() == columns.len()
                    && (g.is_none() || classifier.is_some())
            }
            Scorer::Tokens { part } => {
                let parts = card.tokens.iter().flat_map(|t| &t.parts);
                parts.into_iter().any(|p| p.part == *part)
            }
            Scorer::Stack { .. } => false,
        });
        if !fits || gauge.names() != card.segment_names {
            return Err(no_head());
        }
        Ok(Self {
            card,
            settings,
            detectors,
            gauge,
            names,
            classifier,
            tokens,
            forest,
        })
    }

    /// The model card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Inspects one image of any size.
    ///
    /// # Errors
    /// A network's, or a segment source's that does not find the product in the image.
    pub fn inspect(&self, image: &Image) -> Result<Inspection> {
        self.judge(image, self.observe(image)?)
    }

    /// What the networks make of an image: only those that the score needs are run.
    ///
    /// # Errors
    /// A network's.
    pub fn observe(&self, image: &Image) -> Result<Observation> {
        let classifier = self.classifier.as_ref();
        let mut observation = Observation {
            maps: crossfit::maps(&self.detectors, &self.settings, image)?,
            logit: classifier.map(|c| c.logit(image)).transpose()?,
            token_scores: Vec::new(),
        };
        if let Some(tokens) = &self.tokens {
            tokens.observe(image, &mut observation)?;
        }
        Ok(observation)
    }

    /// The score alone, of what the networks made of the image: the statistics and the head.
    ///
    /// # Errors
    /// As [`Inspector::inspect`].
    pub fn score(
        &self,
        image: &Image,
        observation: &Observation,
        scratch: &mut Scratch,
    ) -> Result<f32> {
        let features = if self.card.scorer.has_forest() {
            self.features(image, observation, scratch)?.features
        } else {
            Vec::new()
        };
        self.head(&self.card.scorer, observation, &features)
    }

    /// The score of every part of a stack by itself.
    pub(crate) fn part_scores(&self, image: &Image, scratch: &mut Scratch) -> Result<Vec<f32>> {
        let observation = self.observe(image)?;
        let features = self.features(image, &observation, scratch)?.features;
        let singles = self.card.scorer.single().into_iter();
        singles
            .map(|scorer| self.head(scorer, &observation, &features))
            .collect()
    }

    /// Label map and the forest's columns.
    pub(crate) fn features(
        &self,
        image: &Image,
        observation: &Observation,
        scratch: &mut Scratch,
    ) -> Result<Gauged> {
        let maps = &observation.maps[..self.detectors.len()];
        let mut gauged = self.gauge.gauge(image, maps, scratch)?;
        if needs_g(&self.card.scorer) {
            gauged.features.extend(observation.logit);
        }
        Ok(gauged)
    }

    fn head(&self, scorer: &Scorer, observation: &Observation, features: &[f32]) -> Result<f32> {
        match (scorer, &self.forest) {
            (Scorer::Detector { detector }, _) => Ok(self.own_score(*detector, &observation.maps)),
            (Scorer::Classifier { .. }, _) => observation.logit.ok_or_else(no_head),
            (Scorer::Tokens { part }, _) => observation.token_score(*part),
            (Scorer::Forest { .. }, Some(forest)) => Ok(forest.margin(features)?),
            (Scorer::Forest { .. }, None) => Err(no_head()),
            (Scorer::Stack { parts, weights }, _) => {
                let mut scores = Vec::with_capacity(parts.len());
                for part in parts {
                    scores.push(f64::from(self.head(&part.scorer, observation, features)?));
                }
                Ok(weights.score(&scores) as f32)
            }
        }
    }

    /// A detector's own score.
    fn own_score(&self, detector: usize, maps: &[AnomalyMap]) -> f32 {
        self.settings[detector].map_score().of(&maps[detector])
    }

    /// The places of an image that are farthest from everything good, at most `count`, each beside
    /// the good patch nearest to it; nothing without a memory bank. `model` is the one that this
    /// inspector was made from.
    ///
    /// # Errors
    /// As [`Inspector::inspect`].
    pub fn neighbours(&self, model: &Model, image: &Image, count: usize) -> Result<Vec<Neighbour>> {
        neighbours(&self.settings, &self.detectors, model, image, count)
    }

    /// The label map of an image at the size of the maps.
    ///
    /// # Errors
    /// A segment source's that does not find the product in the image.
    pub fn segments(&self, image: &Image) -> Result<LabelMap> {
        self.gauge.label_map(image)
    }

    fn judge(&self, image: &Image, observation: Observation) -> Result<Inspection> {
        let scorer = &self.card.scorer;
        let Gauged { segments, features } = if scorer.has_forest() {
            self.features(image, &observation, &mut Scratch::default())?
        } else {
            Gauged {
                segments: self.gauge.label_map(image)?,
                features: Vec::new(),
            }
        };
        let score = self.head(scorer, &observation, &features)?;
        let explainer = Explainer {
            card: &self.card,
            forest: self.forest.as_ref(),
            names: &self.names,
            observation: &observation,
            features: &features,
            segments: &segments,
        };
        let reasons = explainer.reasons()?;
        let map = explainer.relative()?;
        let verdict = if f64::from(score) >= self.card.operating.threshold {
            Label::Bad
        } else {
            Label::Good
        };
        Ok(Inspection {
            score,
            verdict,
            probability: self.card.calibration.probability(f64::from(score)),
            segments_by_weight: by_segment(&reasons, scorer),
            reasons,
            map,
            maps: observation.maps,
            segments,
        })
    }
}

/// Whether the forest takes the classifier's logit.
fn needs_g(scorer: &Scorer) -> bool {
    matches!(scorer, Scorer::Forest { g: Some(_), .. })
}

impl Inspection {
    /// The image with the map laid over it and the segments outlined, at the image's size.
    ///
    /// # Errors
    /// None for images as `segad-core` makes them.
    pub fn picture(&self, image: &Image) -> Result<Image> {
        draw::picture(image, &self.map, &self.segments)
    }
}
