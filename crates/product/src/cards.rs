//! The parts of a model card.

use crate::card::{ClassifierCard, DetectorCard, Scored, Scorer, Share, TokenPartCard};
use crate::classify::ClassifierSettings;
use crate::crossfit::Observed;
use crate::data::Data;
use crate::error::Result;
use crate::gauge::usual_range;
use crate::heads::Problem;
use crate::judged::Judged;
use crate::token_parts::{Said, TokenPart};
use segad_core::{FeatureTable, Key, Label};
use segad_features::FeatureName;
use segad_forest::Forest;
use segad_methods::DetectorSettings;
use std::collections::BTreeMap;

pub(crate) fn detector_card(
    settings: &DetectorSettings,
    index: usize,
    observed: &[Observed],
    labels: &[Label],
) -> DetectorCard {
    let good: Vec<&Observed> = observed
        .iter()
        .zip(labels)
        .filter(|(_, l)| !l.is_bad())
        .map(|(o, _)| o)
        .collect();
    let means: Vec<f64> = good.iter().map(|o| f64::from(o.means[index])).collect();
    let maxima: Vec<f64> = good.iter().map(|o| f64::from(o.maxima[index])).collect();
    let level = segad_metrics::quantile(&means, 0.5).unwrap_or(0.0) as f32;
    let high = segad_metrics::quantile(&maxima, 0.95).unwrap_or(0.0) as f32;
    let segments = good.first().map_or(0, |o| o.parts[index].len());
    let mut usual = Vec::with_capacity(segments);
    for segment in 0..segments {
        // A segment that most images lack has no usual range.
        let range = usual_range(good.iter().map(|o| o.parts[index][segment]));
        usual.push(range.unwrap_or([0.0, 0.0]));
    }
    DetectorCard {
        name: settings.kind().to_owned(),
        settings: settings.clone(),
        scale: [level, high],
        usual,
    }
}

/// The classifier that a scorer needs; `logits` are the first one's, where they are known.
pub(crate) fn classifier_card(
    problem: &Problem<'_>,
    scorer: &Scorer,
    scores: &[f32],
    logits: Option<&[f32]>,
    classifiers: &[ClassifierSettings],
) -> Result<Option<ClassifierCard>> {
    let first = Scorer::Classifier { classifier: 0 };
    let (index, logits) = match (scorer, logits) {
        (Scorer::Classifier { classifier }, _) => (*classifier, scores.to_vec()),
        (Scorer::Forest { g: Some(_), .. }, None) => (0, problem.out_of_fold(&first, |_| false)?),
        (Scorer::Forest { g: Some(_), .. }, Some(logits)) => (0, logits.to_vec()),
        (stack, Some(logits)) if stack.single().contains(&&first) => (0, logits.to_vec()),
        _ => return Ok(None),
    };
    let good = logits
        .iter()
        .zip(problem.labels)
        .filter(|(_, l)| !l.is_bad())
        .map(|(&s, _)| s);
    let usual = usual_range(good).unwrap_or([0.0, 0.0]);
    let chosen = &classifiers[index];
    Ok(Some(ClassifierCard {
        name: chosen.name.clone(),
        settings: chosen.settings.clone(),
        usual,
    }))
}

pub(crate) fn usual_columns(table: &FeatureTable, labels: &[Label]) -> Vec<Option<[f32; 2]>> {
    let good: Vec<usize> = (0..labels.len()).filter(|&i| !labels[i].is_bad()).collect();
    (0..table.columns())
        .map(|j| usual_range(good.iter().map(|&i| table.row(i)[j])))
        .collect()
}

/// From the position of an image and its map on the grid of the tokens to the map's maxima within
/// the segments.
pub(crate) type SegmentMaxima<'a> = dyn Fn(usize, &[f64]) -> Result<Vec<f32>> + 'a;

/// What good images usually get of the parts on tokens that a scorer needs.
pub(crate) fn token_cards(
    scorer: &Scorer,
    said: &[(TokenPart, Vec<Said>)],
    labels: &[Label],
    segment_maxima_of: &SegmentMaxima<'_>,
) -> Result<Vec<TokenPartCard>> {
    let used = scorer.token_parts();
    let good: Vec<usize> = (0..labels.len()).filter(|&i| !labels[i].is_bad()).collect();
    let mut cards = Vec::with_capacity(used.len());
    for (part, said) in said.iter().filter(|(part, _)| used.contains(part)) {
        let usual = usual_range(good.iter().map(|&i| said[i].score as f32));
        let mut card = TokenPartCard {
            part: *part,
            usual_score: usual.unwrap_or([0.0, 0.0]),
            scale: [0.0, 0.0],
            usual: Vec::new(),
        };
        if part.has_map() {
            let mean = |map: &[f64]| map.iter().sum::<f64>() / map.len() as f64;
            let top = |map: &[f64]| map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let means: Vec<f64> = good.iter().map(|&i| mean(&said[i].map)).collect();
            let tops: Vec<f64> = good.iter().map(|&i| top(&said[i].map)).collect();
            card.scale = [
                segad_metrics::quantile(&means, 0.5)? as f32,
                segad_metrics::quantile(&tops, 0.95)? as f32,
            ];
            let mut maxima = Vec::with_capacity(good.len());
            for &i in &good {
                maxima.push(segment_maxima_of(i, &said[i].map)?);
            }
            for segment in 0..maxima.first().map_or(0, Vec::len) {
                let range = usual_range(maxima.iter().map(|m| m[segment]));
                card.usual.push(range.unwrap_or([0.0, 0.0]));
            }
        }
        cards.push(card);
    }
    Ok(cards)
}

/// Shares of the forest's gain by segment, the largest first.
pub(crate) fn importance(forest: &Forest) -> Vec<Share> {
    let mut gains: BTreeMap<String, f64> = BTreeMap::new();
    for column in forest.importance() {
        let name = column.column.parse::<FeatureName>().ok();
        let segment = name
            .as_ref()
            .and_then(FeatureName::segment)
            .unwrap_or_default();
        *gains.entry(segment.to_owned()).or_default() += column.total_gain;
    }
    let total: f64 = gains.values().sum();
    let mut shares = Vec::with_capacity(gains.len());
    for (name, gain) in gains {
        let share = if total > 0.0 { gain / total } else { 0.0 };
        shares.push(Share { name, share });
    }
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

pub(crate) fn scored(data: &Data<'_>, pixels: &[Key], judged: &Judged<'_>) -> Vec<Scored> {
    let mut images = Vec::with_capacity(judged.scores.len());
    for (i, item) in data.items.iter().enumerate() {
        images.push(Scored {
            id: item.sample.id.clone(),
            label: item.sample.label,
            kind: item.sample.group.clone(),
            pixels: Some(pixels[i]),
            fold: judged.folds[i],
            unit: judged.units[i],
            score: judged.scores[i],
        });
    }
    images
}
