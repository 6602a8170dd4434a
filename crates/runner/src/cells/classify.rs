use super::{At, saved_model, select};
use rayon::prelude::*;
use segad_core::{BoxError, FeatureTable, Image, ImageId};
use segad_grid::{CellIndex, Definition};
use segad_methods::{Classifier, folds};
use segad_store::Draft;

/// Scores of every mapped image.
pub(super) fn run(
    at: &At<'_>,
    fit: CellIndex,
    def: &Definition,
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
    def: &Definition,
    embed: Option<CellIndex>,
) -> Result<Draft, BoxError> {
    let features = at.features(embed)?;
    let ids = at.cell.split.classifier.ids();
    let fold_of = at.folds(fits.len())?;
    let all = folds::out_of_fold(&fold_of, fits.len(), |fold, inside, _| {
        let held_out: Vec<ImageId> = inside.iter().map(|&i| ids[i].clone()).collect();
        scores(at, fits[fold], def, features.as_ref(), &held_out)
    })?;
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
    def: &Definition,
    features: Option<&FeatureTable>,
    ids: &[ImageId],
) -> Result<Vec<f32>, BoxError> {
    let ctx = at.context();
    let classifier = at.bench.methods.classifier(&def.kind, &def.params)?;
    match (
        classifier.load(&saved_model(&at.input(fit)?)?, &ctx)?,
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
                at.check_cancelled()?;
                let images = chunk.par_iter().map(|id| loader.load(id));
                let images = images.collect::<Result<Vec<Image>, BoxError>>()?;
                scores.extend(classifier.scores(&images)?);
                task.advance(chunk.len() as u64);
            }
            Ok(scores)
        }
    }
}
