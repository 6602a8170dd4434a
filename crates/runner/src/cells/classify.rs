use super::{At, saved_model, select};
use crate::classifiers::{self, Classifier};
use rayon::prelude::*;
use segad_core::{BoxError, FeatureTable, Image, ImageId};
use segad_grid::{CellIndex, DetectorDef};
use segad_store::Draft;

/// Scores of every mapped image.
pub(super) fn run(
    at: &At<'_>,
    fit: CellIndex,
    def: &DetectorDef,
    embed: Option<CellIndex>,
) -> Result<Draft, BoxError> {
    let features = at.features(embed)?;
    let scores = scores(at, fit, def, features.as_ref(), &at.cell.split.mapped)?;
    write(at, at.cell.split.mapped.clone(), scores)
}

/// Scores of the classifier's training images, each by the classifier that was fitted without its
/// fold.
pub(super) fn out_of_fold(
    at: &At<'_>,
    fits: &[CellIndex],
    def: &DetectorDef,
    embed: Option<CellIndex>,
) -> Result<Draft, BoxError> {
    let features = at.features(embed)?;
    let (ids, fold_of) = (at.cell.split.classifier.ids(), at.folds(fits.len())?);
    let mut all = vec![0.0; ids.len()];
    for (fold, &fit) in fits.iter().enumerate() {
        let positions: Vec<usize> = (0..ids.len()).filter(|&i| fold_of[i] == fold).collect();
        let held_out: Vec<ImageId> = positions.iter().map(|&i| ids[i].clone()).collect();
        for (i, score) in
            positions
                .into_iter()
                .zip(scores(at, fit, def, features.as_ref(), &held_out)?)
        {
            all[i] = score;
        }
    }
    write(at, ids, all)
}

fn write(at: &At<'_>, ids: Vec<ImageId>, scores: Vec<f32>) -> Result<Draft, BoxError> {
    let draft = at.draft()?;
    let table = FeatureTable::new(vec!["score".to_owned()], ids, scores)?;
    segad_store::write_features(&draft.path("scores.parquet")?, &table)?;
    Ok(draft)
}

/// Scores of these images by one fitted classifier.
fn scores(
    at: &At<'_>,
    fit: CellIndex,
    def: &DetectorDef,
    features: Option<&FeatureTable>,
    ids: &[ImageId],
) -> Result<Vec<f32>, BoxError> {
    let ctx = at.context();
    match (
        classifiers::load(def, &saved_model(&at.input(fit)?)?, &ctx)?,
        features,
    ) {
        (Classifier::Features(classifier), Some(table)) => classifier.scores(&select(table, ids)?),
        (Classifier::Features(_), None) => {
            Err("the classifier's features are not in the plan".into())
        }
        (Classifier::Images(classifier), _) => {
            let loader = at.bench.loader();
            let task = ctx
                .progress
                .start(&at.cell.to_string(), Some(ids.len() as u64));
            let mut scores = Vec::with_capacity(ids.len());
            for chunk in ids.chunks(ctx.batch.max(1)) {
                if ctx.cancel.is_cancelled() {
                    return Err("interrupted".into());
                }
                let images = chunk.par_iter().map(|id| loader.load(id));
                let images = images.collect::<Result<Vec<Image>, BoxError>>()?;
                scores.extend(classifier.scores(&images)?);
                task.advance(chunk.len() as u64);
            }
            Ok(scores)
        }
    }
}
