//! Why an image has its score: what each part adds, in each segment.

use crate::card::{Card, ClassifierCard, Scorer, TokenPartCard};
use crate::error::Result;
use crate::gauge::segment_maxima;
use crate::inspector::{Weight, no_head};
use crate::observe::Observation;
use crate::token_parts::TokenPart;
use segad_core::{AnomalyMap, FeatureTable, ImageId, LabelMap, Reason};
use segad_features::FeatureName;
use segad_forest::Forest;

pub(crate) struct Explainer<'a> {
    pub card: &'a Card,
    pub forest: Option<&'a Forest>,
    /// Of the forest's columns.
    pub names: &'a [FeatureName],
    pub observation: &'a Observation,
    pub features: &'a [f32],
    pub segments: &'a LabelMap,
}

impl Explainer<'_> {
    /// What drove the score, towards bad first. Of a stack, what belongs to a segment comes before
    /// what belongs to the image as a whole.
    pub(crate) fn reasons(&self) -> Result<Vec<Reason>> {
        let mut reasons = Vec::new();
        match &self.card.scorer {
            Scorer::Stack { parts, weights } => {
                for (n, part) in parts.iter().enumerate() {
                    for mut reason in self.of(&part.scorer)? {
                        reason.contribution *= weights.slope(n);
                        reasons.push(reason);
                    }
                }
                reasons.retain(|r| r.contribution != 0.0);
            }
            scorer => reasons = self.of(scorer)?,
        }
        let is_stack = matches!(self.card.scorer, Scorer::Stack { .. });
        let is_last = |r: &Reason| is_stack && r.segment.is_empty();
        reasons.sort_by(|a, b| {
            let by_weight = b.contribution.total_cmp(&a.contribution);
            is_last(a).cmp(&is_last(b)).then(by_weight)
        });
        Ok(reasons)
    }

    /// What a single scorer says.
    fn of(&self, scorer: &Scorer) -> Result<Vec<Reason>> {
        match scorer {
            Scorer::Forest { .. } => self.of_forest(self.forest.ok_or_else(no_head)?),
            Scorer::Detector { detector } => {
                let card = &self.card.detectors[*detector];
                self.of_map(&card.name, *detector, &card.usual)
            }
            Scorer::Classifier { .. } => {
                let logit = self.observation.logit.ok_or_else(no_head)?;
                let cards = self.card.classifier.iter();
                Ok(cards
                    .map(|c: &ClassifierCard| whole(&c.name, logit, c.usual))
                    .collect())
            }
            Scorer::Tokens { part } => self.of_tokens(*part),
            Scorer::Stack { .. } => Err(no_head()),
        }
    }

    fn of_tokens(&self, part: TokenPart) -> Result<Vec<Reason>> {
        let parts = self.card.tokens.iter().flat_map(|t| &t.parts);
        let cards: Vec<&TokenPartCard> = parts.collect();
        let card = cards.iter().find(|c| c.part == part).ok_or_else(no_head)?;
        if !part.has_map() {
            let score = self.observation.token_score(part)?;
            return Ok(vec![whole(part.name(), score, card.usual_score)]);
        }
        let mapped = cards.iter().filter(|c| c.part.has_map());
        let place = mapped
            .clone()
            .position(|c| c.part == part)
            .ok_or_else(no_head)?;
        let map = self.card.detectors.len() + place;
        self.of_map(part.name(), map, &card.usual)
    }

    fn of_forest(&self, forest: &Forest) -> Result<Vec<Reason>> {
        let table = FeatureTable::new(
            forest.columns().to_vec(),
            vec![ImageId::new("")],
            self.features.to_vec(),
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
            value: Some(self.features[i]).filter(|v| v.is_finite()),
            usual: self.card.usual[i],
            contribution: f64::from(contributions.row(0)[i]),
        };
        let reasons = self.names.iter().enumerate().map(reason);
        Ok(reasons.filter(|r| r.contribution != 0.0).collect())
    }

    /// The largest value in each segment, above what is usual there.
    fn of_map(&self, name: &str, map: usize, usual: &[[f32; 2]]) -> Result<Vec<Reason>> {
        let map = self.observation.maps.get(map).ok_or_else(no_head)?;
        let maxima = segment_maxima(map, self.segments)?;
        let mut reasons = Vec::with_capacity(maxima.len());
        for (i, value) in maxima.into_iter().enumerate() {
            // A segment without a pixel has no largest value.
            if !value.is_finite() {
                continue;
            }
            let usual = usual.get(i).copied();
            reasons.push(Reason {
                segment: self.card.segment_names.get(i).cloned().unwrap_or_default(),
                detector: name.to_owned(),
                statistic: "max".to_owned(),
                value: Some(value),
                usual,
                contribution: f64::from(value) - usual.map_or(0.0, |u| f64::from(u[1])),
            });
        }
        Ok(reasons)
    }

    /// The mean of the maps, each from its level on good images (0) to where the highest of them
    /// get (1); in a stack by the weights of its parts.
    pub(crate) fn relative(&self) -> Result<AnomalyMap> {
        let maps = &self.observation.maps;
        let first = maps.first().ok_or_else(no_head)?;
        let mut values = vec![0.0; first.values().len()];
        let scales = self.card.maps();
        for ((map, (_, [low, high])), share) in maps.iter().zip(scales).zip(self.shares()) {
            let scale = if high > low {
                share / (high - low)
            } else {
                0.0
            };
            values
                .iter_mut()
                .zip(map.values())
                .for_each(|(v, &m)| *v += (m - low) * scale);
        }
        Ok(AnomalyMap::new(first.height(), first.width(), values)?)
    }

    /// The share of each map in the picture.
    fn shares(&self) -> Vec<f32> {
        let detectors = self.card.detectors.len();
        let names: Vec<&str> = self.card.maps().into_iter().map(|(name, _)| name).collect();
        let mut shares = vec![0.0; names.len()];
        if let Scorer::Stack { parts, weights } = &self.card.scorer {
            for (part, &weight) in parts.iter().zip(weights.weights()) {
                match &part.scorer {
                    Scorer::Detector { detector } => shares[*detector] += weight as f32,
                    // Which of the maps a forest looks at differs from image to image.
                    Scorer::Forest { .. } => {
                        let own = weight as f32 / detectors as f32;
                        shares[..detectors].iter_mut().for_each(|s| *s += own);
                    }
                    Scorer::Tokens { part } => {
                        let mut own = names.iter().skip(detectors);
                        if let Some(place) = own.position(|n| *n == part.name()) {
                            shares[detectors + place] += weight as f32;
                        }
                    }
                    Scorer::Classifier { .. } | Scorer::Stack { .. } => {}
                }
            }
        }
        let total: f32 = shares.iter().sum();
        if total > 0.0 {
            shares.iter_mut().for_each(|s| *s /= total);
        } else {
            shares = vec![1.0 / names.len() as f32; names.len()];
        }
        shares
    }
}

/// A score of the image as a whole, above what is usual.
fn whole(name: &str, score: f32, usual: [f32; 2]) -> Reason {
    Reason {
        segment: String::new(),
        detector: name.to_owned(),
        statistic: "score".to_owned(),
        value: Some(score),
        usual: Some(usual),
        contribution: f64::from(score) - f64::from(usual[1]),
    }
}

/// Reasons summed over each segment, towards bad first.
pub(crate) fn by_segment(reasons: &[Reason], scorer: &Scorer) -> Vec<Weight> {
    let adds_up = matches!(scorer, Scorer::Forest { .. } | Scorer::Stack { .. });
    let mut weights: Vec<Weight> = Vec::new();
    for r in reasons {
        match weights.iter_mut().find(|w| w.segment == r.segment) {
            // Contributions to a forest add up; of maxima the largest counts, and reasons come in
            // that order.
            Some(w) if adds_up => w.contribution += r.contribution,
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
