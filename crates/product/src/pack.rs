//! From maps and tokens of all images to the model file.

use crate::calibrate::Calibration;
use crate::card::{Card, DataCard, Scorer, TokensCard};
use crate::cards::{
    classifier_card, detector_card, importance, scored, token_cards, usual_columns,
};
use crate::choose::{Choice, Chooser, Kind, kinds};
use crate::crossfit::{Crossfit, Observed};
use crate::data::Data;
use crate::error::{ProductError, Result};
use crate::fit::{FitSettings, Prepared};
use crate::gauge::segment_maxima;
use crate::heads::Problem;
use crate::judged::Judged;
use crate::model::{Model, Parts, TokenFile};
use crate::survey::lacks;
use crate::token_parts::{TokenPart, TokenProblem};
use crate::tokens::Enlarge;
use crate::unseen::unseen;
use crate::{patches, samples, threshold};
use segad_core::FitContext;
use segad_methods::{Detector, DetectorSettings};

/// What remains to be done once every image has maps by detectors that had not seen it.
pub(crate) struct Pack<'a> {
    pub data: &'a Data<'a>,
    pub settings: &'a FitSettings,
    pub ctx: &'a FitContext,
    pub prepared: &'a Prepared,
    pub problem: &'a Problem<'a>,
    pub tokens: Option<&'a TokenProblem<'a>>,
}

impl Pack<'_> {
    /// Kinds of defect, and the head that is kept.
    pub(crate) fn choose(&self, observed: &[Observed]) -> Result<(Vec<Kind>, Choice)> {
        let kinds = kinds(self.data, self.problem);
        let _task = self.ctx.progress.start("heads", None);
        let chooser = Chooser {
            head: &self.settings.head,
            problem: self.problem,
            tokens: self.tokens,
            kinds: &kinds,
            names: &self.settings.names(),
            observed,
            units: &self.prepared.survey.units,
            level: self.settings.level,
            ctx: self.ctx,
        };
        let choice = chooser.run()?;
        Ok((kinds, choice))
    }

    pub(crate) fn pack(
        &self,
        kinds: &[Kind],
        choice: &Choice,
        crossfit: &Crossfit,
    ) -> Result<Model> {
        let (data, settings, prepared) = (self.data, self.settings, self.prepared);
        let labels = self.problem.labels;
        let scores = &choice.scores;
        let judged = Judged {
            scores,
            labels,
            units: &prepared.survey.units,
            folds: &prepared.folds,
        };
        let operating = threshold::choose(&judged, settings.rule, settings.level)?;
        let fitted = self.problem.fit_all(&choice.scorer)?;
        let kept = self.kept_detectors(&choice.scorer);
        let wide: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
        let observed = &crossfit.observed;
        let logits = choice.logits.as_deref();
        let classifiers = settings.used_classifiers();
        let card = Card {
            name: settings.name.clone(),
            versions: settings.versions.clone(),
            seed: settings.seed,
            reading: settings.reading,
            data: DataCard {
                folds: prepared.k,
                ..prepared.survey.card.clone()
            },
            detectors: kept
                .iter()
                .map(|&d| detector_card(&settings.detectors[d], d, observed, labels))
                .collect(),
            classifier: classifier_card(self.problem, &choice.scorer, scores, logits, classifiers)?,
            tokens: self.tokens_card(choice)?,
            map_side: Some(prepared.side),
            left_out: choice.left_out.clone(),
            segment_names: prepared.gauge.names().to_vec(),
            segments: prepared.segments.clone(),
            features: settings.features.clone(),
            usual: match &fitted.forest {
                Some(_) => usual_columns(&fitted.table, labels),
                None => Vec::new(),
            },
            importance: importance(&self.problem.plain_forest()?),
            lacks: lacks(&prepared.survey, &choice.candidates, settings.level, data),
            unseen: unseen(kinds, &choice.without, labels, operating.threshold)?,
            operating,
            calibration: Calibration::fit(settings.calibration, &wide, labels),
            images: scored(data, &prepared.survey.pixels, &judged),
            spread: judged.spread()?,
            scorer: renumbered(&choice.scorer, &kept),
            candidates: choice.candidates.clone(),
        };
        let classifier = fitted.classifier.map(|c| c.save()).transpose()?;
        let mut parts = self.detectors(&kept, &crossfit.detectors)?;
        parts.classifier = classifier.map(|saved| (saved, prepared.deep.clone()));
        parts.tokens = self.token_file(&choice.scorer)?;
        parts.forest = fitted.forest;
        parts.samples = samples::choose(data, scores)?;
        Model::new(card, parts)
    }

    /// The detectors whose maps the score needs. Where nothing else says where, all stay for the
    /// picture.
    fn kept_detectors(&self, scorer: &Scorer) -> Vec<usize> {
        let all = 0..self.settings.detectors.len();
        if scorer.has_forest() {
            return all.collect();
        }
        let is_used = |d: &usize| {
            scorer
                .single()
                .contains(&&Scorer::Detector { detector: *d })
        };
        let used: Vec<usize> = all.clone().filter(is_used).collect();
        let has_map = scorer.token_parts().into_iter().any(TokenPart::has_map);
        if used.is_empty() && !has_map {
            return all.collect();
        }
        used
    }

    fn tokens_card(&self, choice: &Choice) -> Result<Option<TokensCard>> {
        let (Some(tokens), Some(settings)) = (self.tokens, &self.prepared.token_settings) else {
            return Ok(None);
        };
        if choice.scorer.token_parts().is_empty() {
            return Ok(None);
        }
        let enlarge = Enlarge::new(tokens.places(), self.prepared.side)?;
        let maxima = |image: usize, map: &[f64]| {
            let map = enlarge.map(map)?;
            let gauge = &self.prepared.gauge;
            match gauge.shared_map() {
                Some(segments) => segment_maxima(&map, segments),
                None => {
                    let item = &self.data.items[image];
                    let segments = gauge.label_map(&self.data.load(item)?);
                    segment_maxima(&map, &segments.map_err(|e| item.failed(e))?)
                }
            }
        };
        let labels = self.problem.labels;
        let used = choice.scorer.token_parts();
        let needs_bank = used.into_iter().any(TokenPart::needs_distances);
        Ok(Some(TokensCard {
            settings: settings.clone(),
            channels: tokens.channels(),
            bank: if needs_bank { tokens.bank.rows() } else { 0 },
            parts: token_cards(&choice.scorer, &choice.said, labels, &maxima)?,
        }))
    }

    fn token_file(&self, scorer: &Scorer) -> Result<Option<TokenFile>> {
        let used = scorer.token_parts();
        let Some(tokens) = self.tokens.filter(|_| !used.is_empty()) else {
            return Ok(None);
        };
        let is_supervised = used.iter().any(|p| *p != TokenPart::Nearest);
        let needs_bank = used.into_iter().any(TokenPart::needs_distances);
        Ok(Some(TokenFile {
            backbones: self.prepared.token_weights.clone(),
            parts: is_supervised.then(|| tokens.fit_all()).transpose()?,
            bank: needs_bank.then(|| tokens.bank.to_bytes()),
        }))
    }

    /// These detectors as a model file holds them.
    fn detectors(&self, kept: &[usize], fitted: &[Box<dyn Detector>]) -> Result<Parts> {
        let mut parts = Parts {
            backbones: self.prepared.backbones.clone(),
            ..Parts::default()
        };
        for &d in kept {
            let saved = fitted[d].save();
            let kind = self.settings.detectors[d].kind();
            parts
                .detectors
                .push(saved.map_err(|e| ProductError::detector(kind, e))?);
            if let Some(bank) = fitted[d].memory_bank() {
                parts.patches = patches::sheet(bank, self.data, self.ctx)?;
            }
        }
        let detectors = kept.iter().map(|&d| &self.settings.detectors[d]);
        parts
            .backbones
            .retain(detectors.filter_map(DetectorSettings::pretrained_to_load));
        Ok(parts)
    }
}

/// The scorer with the detectors' numbers among those that are kept.
fn renumbered(scorer: &Scorer, kept: &[usize]) -> Scorer {
    match scorer {
        Scorer::Detector { detector } => Scorer::Detector {
            detector: kept.iter().position(|d| d == detector).unwrap_or(0),
        },
        Scorer::Stack { parts, weights } => {
            let mut parts = parts.clone();
            for part in &mut parts {
                part.scorer = renumbered(&part.scorer, kept);
            }
            let weights = weights.clone();
            Scorer::Stack { parts, weights }
        }
        other => other.clone(),
    }
}
