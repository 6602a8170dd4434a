//! The verdict on an image, and why.

use crate::card::{Card, ClassifierCard, Scorer};
use crate::error::{ProductError, Result};
use crate::gauge::{Gauge, segment_maxima};
use crate::model::Model;
use crate::neighbours::{Neighbour, neighbours};
use crate::{classify, crossfit, draw};
use segad_core::{
    AnomalyMap, Device, FeatureTable, FitContext, Image, ImageId, Label, LabelMap, Reason,
};
use segad_features::{FeatureName, Scratch};
use segad_forest::Forest;
use segad_methods::frozen::{Embedder, FittedHead};
use segad_methods::{Detector, DetectorSettings};
use segad_nn::model::Settings;
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
    forest: Option<Forest>,
}

pub(crate) struct Classifier {
    pub embedder: Embedder,
    pub names: Vec<String>,
    pub head: FittedHead,
}

impl Classifier {
    fn open(card: &ClassifierCard, model: &Model, device: Device) -> Result<Self> {
        let params = card.settings.clone().checked()?;
        let embedder = classify::embedder(&params.derived().embedding, &model.deep()?, device)?;
        Ok(Self {
            names: embedder.names(),
            embedder,
            head: FittedHead::load(&model.classifier()?)?,
        })
    }

    pub(crate) fn logit(&self, image: &Image) -> Result<f32> {
        let row = classify::embed(&self.embedder, image)?;
        let table = FeatureTable::new(self.names.clone(), vec![ImageId::new("")], row)?;
        self.head
            .scores(&table)?
            .first()
            .copied()
            .ok_or_else(no_head)
    }
}

fn no_head() -> ProductError {
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
    /// What drove the score, towards bad first.
    pub reasons: Vec<Reason>,
    /// The same summed over each segment, towards bad first; an empty name stands for the whole
    /// image.
    pub segments_by_weight: Vec<Weight>,
    /// Where: the mean of the detectors' maps, 0 at the level of good images, 1 where the highest
    /// of them get to; at the size of the detectors' input.
    pub map: AnomalyMap,
    /// The detectors' own maps, raw.
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
        let size = settings.first().map(DetectorSettings::image_size);
        let size = size.ok_or_else(|| ProductError::Damaged("it has no detector".to_owned()))?;
        let names: Vec<String> = card.detectors.iter().map(|d| d.name.clone()).collect();
        let gauge = Gauge::new(&card.segments, size, &card.features, &names)?;
        let classifier = card.classifier.as_ref();
        let classifier = classifier
            .map(|c| Classifier::open(c, model, device))
            .transpose()?;
        let forest = model.forest()?;
        let mut names = gauge.extractor.names().to_vec();
        // A file may be whole and still not fit together, if another program wrote it.
        let fits = match &card.scorer {
            Scorer::Detector { detector } => *detector < detectors.len(),
            Scorer::Classifier { .. } => classifier.is_some(),
            Scorer::Forest { g, .. } => {
                if g.is_some() {
                    let classifier = card
                        .classifier
                        .as_ref()
                        .map(|c| c.name.clone())
                        .unwrap_or_default();
                    names.push(FeatureName::Classifier { classifier });
                }
                let columns: Vec<String> = names.iter().map(FeatureName::to_string).collect();
                forest.as_ref().is_some_and(|f| f.columns() == columns)
                    && card.usual.len() == columns.len()
                    && g.is_some() == classifier.is_some()
            }
        };
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
        let maps = crossfit::maps(&self.detectors, &self.settings, image)?;
        self.judge(image, maps)
    }

    /// The detectors' raw maps, one a detector.
    ///
    /// # Errors
    /// A network's.
    pub fn maps(&self, image: &Image) -> Result<Vec<AnomalyMap>> {
        crossfit::maps(&self.detectors, &self.settings, image)
    }

    /// The classifier's logit, if the score needs one.
    ///
    /// # Errors
    /// A network's.
    pub fn logit(&self, image: &Image) -> Result<Option<f32>> {
        self.classifier.as_ref().map(|c| c.logit(image)).transpose()
    }

    /// The score alone, of maps and logit made before: the statistics and the forest.
    ///
    /// # Errors
    /// As [`Inspector::inspect`].
    pub fn score(
        &self,
        image: &Image,
        maps: &[AnomalyMap],
        logit: Option<f32>,
        scratch: &mut Scratch,
    ) -> Result<f32> {
        match (&self.card.scorer, &self.forest, logit) {
            (Scorer::Detector { detector }, ..) => Ok(self.own_score(*detector, maps)),
            (Scorer::Classifier { .. }, _, Some(logit)) => Ok(logit),
            (Scorer::Forest { .. }, Some(forest), logit) => {
                let mut features = self.gauge.gauge(image, maps, scratch)?.features;
                features.extend(logit);
                Ok(forest.margin(&features)?)
            }
            _ => Err(no_head()),
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

    fn judge(&self, image: &Image, maps: Vec<AnomalyMap>) -> Result<Inspection> {
        let logit = self.logit(image)?;
        let (segments, score, mut reasons) = match (&self.card.scorer, &self.forest, logit) {
            (Scorer::Forest { .. }, Some(forest), logit) => {
                let gauged = self.gauge.gauge(image, &maps, &mut Scratch::default())?;
                let mut features = gauged.features;
                features.extend(logit);
                let score = forest.margin(&features)?;
                (
                    gauged.segments,
                    score,
                    self.forest_reasons(forest, features)?,
                )
            }
            (Scorer::Detector { detector }, ..) => {
                let segments = self.gauge.label_map(image)?;
                let reasons = self.map_reasons(*detector, &maps[*detector], &segments)?;
                (segments, self.own_score(*detector, &maps), reasons)
            }
            (Scorer::Classifier { .. }, _, Some(logit)) => (
                self.gauge.label_map(image)?,
                logit,
                self.classifier_reason(logit),
            ),
            _ => return Err(no_head()),
        };
        // The strongest argument for bad first; good images have negative ones.
        reasons.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
        let verdict = if f64::from(score) >= self.card.operating.threshold {
            Label::Bad
        } else {
            Label::Good
        };
        Ok(Inspection {
            score,
            verdict,
            probability: self.card.calibration.probability(f64::from(score)),
            segments_by_weight: by_segment(&reasons, &self.card.scorer),
            reasons,
            map: self.relative(&maps)?,
            maps,
            segments,
        })
    }

    fn forest_reasons(&self, forest: &Forest, features: Vec<f32>) -> Result<Vec<Reason>> {
        let table = FeatureTable::new(
            forest.columns().to_vec(),
            vec![ImageId::new("")],
            features.clone(),
        )?;
        let contributions = forest.contributions(&table)?;
        let reason = |(i, name): (usize, &FeatureName)| Reason {
            segment: name.segment().unwrap_or_default().to_owned(),
            detector: name.source().to_owned(),
            statistic: match name {
                FeatureName::Segment { measure, .. } => measure.to_string(),
                FeatureName::GlobalMax { .. } => "max".to_owned(),
                FeatureName::Classifier { .. } => "score".to_owned(),
            },
            value: Some(features[i]).filter(|v| v.is_finite()),
            usual: self.card.usual[i],
            contribution: f64::from(contributions.row(0)[i]),
        };
        Ok(self
            .names
            .iter()
            .enumerate()
            .map(reason)
            .filter(|r| r.contribution != 0.0)
            .collect())
    }

    fn map_reasons(
        &self,
        detector: usize,
        map: &AnomalyMap,
        segments: &LabelMap,
    ) -> Result<Vec<Reason>> {
        let card = &self.card.detectors[detector];
        let maxima = segment_maxima(map, segments)?;
        let present = maxima
            .into_iter()
            .enumerate()
            .filter(|(_, v)| v.is_finite());
        Ok(present
            .map(|(i, value)| {
                let usual = card.usual.get(i).copied();
                Reason {
                    segment: self.card.segment_names.get(i).cloned().unwrap_or_default(),
                    detector: card.name.clone(),
                    statistic: "max".to_owned(),
                    value: Some(value),
                    usual,
                    // Beyond what good images reach: a segment may always have a higher level.
                    contribution: f64::from(value) - usual.map_or(0.0, |u| f64::from(u[1])),
                }
            })
            .collect())
    }

    fn classifier_reason(&self, logit: f32) -> Vec<Reason> {
        let of = |card: &ClassifierCard| Reason {
            segment: String::new(),
            detector: card.name.clone(),
            statistic: "score".to_owned(),
            value: Some(logit),
            usual: Some(card.usual),
            contribution: f64::from(logit) - f64::from(card.usual[1]),
        };
        self.card.classifier.iter().map(of).collect()
    }

    /// The mean of the maps, each from its level on good images (0) to where the highest of them
    /// get (1).
    fn relative(&self, maps: &[AnomalyMap]) -> Result<AnomalyMap> {
        let first = &maps[0];
        let mut values = vec![0.0; first.values().len()];
        for (map, card) in maps.iter().zip(&self.card.detectors) {
            let [low, high] = card.scale;
            // A detector whose maps never vary says nothing and must not divide by 0.
            let scale = if high > low { 1.0 / (high - low) } else { 0.0 } / maps.len() as f32;
            values
                .iter_mut()
                .zip(map.values())
                .for_each(|(v, &m)| *v += (m - low) * scale);
        }
        Ok(AnomalyMap::new(first.height(), first.width(), values)?)
    }
}

fn by_segment(reasons: &[Reason], scorer: &Scorer) -> Vec<Weight> {
    let mut weights: Vec<Weight> = Vec::new();
    for r in reasons {
        match weights.iter_mut().find(|w| w.segment == r.segment) {
            // Contributions to a forest add up; of maxima the largest counts, and reasons come in
            // that order.
            Some(w) if matches!(scorer, Scorer::Forest { .. }) => w.contribution += r.contribution,
            Some(_) => {}
            None => weights.push(Weight {
                segment: r.segment.clone(),
                contribution: r.contribution,
            }),
        }
    }
    weights.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
    weights
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
