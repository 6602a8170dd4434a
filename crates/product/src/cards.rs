//! The parts of a model card.

use crate::card::{ClassifierCard, DetectorCard, Scored, Scorer, Share};
use crate::classify::ClassifierSettings;
use crate::crossfit::Observed;
use crate::data::Data;
use crate::error::Result;
use crate::gauge::usual_range;
use crate::heads::Problem;
use crate::judged::Judged;
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

/// The classifier that a scorer needs.
pub(crate) fn classifier_card(
    problem: &Problem<'_>,
    scorer: &Scorer,
    scores: &[f32],
    classifiers: &[ClassifierSettings],
) -> Result<Option<ClassifierCard>> {
    let (index, logits) = match scorer {
        Scorer::Classifier { classifier } => (*classifier, scores.to_vec()),
        Scorer::Forest { g: Some(_), .. } => (
            0,
            problem.out_of_fold(&Scorer::Classifier { classifier: 0 }, |_| false)?,
        ),
        Scorer::Detector { .. } | Scorer::Forest { g: None, .. } => return Ok(None),
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
