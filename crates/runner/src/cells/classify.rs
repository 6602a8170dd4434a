use super::{At, saved_model, select};
use segad_core::{BoxError, FeatureTable, ImageId};
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
    at.draft_of_scores(at.cell.split.mapped.clone(), scores)
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
    // Each image is scored by the one fit that did not train on it.
    let all = folds::out_of_fold(&fold_of, fits.len(), |fold, inside, _| {
        let held_out: Vec<ImageId> = inside.iter().map(|&i| ids[i].clone()).collect();
        scores(at, fits[fold], def, features.as_ref(), &held_out)
    })?;
    at.draft_of_scores(ids, all)
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
            let mut scores = Vec::with_capacity(ids.len());
            // Images only where the classifier needs them: the others read stored features.
            at.each_batch(ids, |_, images| {
                scores.extend(classifier.scores(images)?);
                Ok(())
            })?;
            Ok(scores)
        }
    }
}
