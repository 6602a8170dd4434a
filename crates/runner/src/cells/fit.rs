use super::{At, select};
use segad_core::{BoxError, CurvePoint, ImageId};
use segad_grid::{CellIndex, Definition, Fold};
use segad_methods::{Training, folds};
use segad_nn::SavedModel;
use segad_store::Draft;

/// Fits a detector on the split's good images.
pub(super) fn detector(at: &At<'_>, def: &Definition) -> Result<Draft, BoxError> {
    let loader = at.bench.loader();
    let good = at.cell.split.detector.good(&*loader);
    let holdout = at.cell.split.holdout.as_ref().map(|h| h.good(&*loader));
    let ctx = at.context();
    let detector = at.bench.methods.detector(&def.kind, &def.params)?;
    let seed = at.cell.split.detector_seed;
    let fitted = detector.fit(&at.bench.inputs, &good, holdout.as_ref(), seed, &ctx)?;
    write(at, &fitted.save()?, fitted.curve().to_vec())
}

/// Fits a classifier on the split's labelled images, or on those that are not of one fold.
pub(super) fn classifier(
    at: &At<'_>,
    def: &Definition,
    embed: Option<CellIndex>,
    fold: Option<Fold>,
) -> Result<Draft, BoxError> {
    let (loader, ctx, split) = (at.bench.loader(), at.context(), &at.cell.split);
    let all = split.classifier.labelled(&*loader);
    let train = match fold {
        None => all,
        Some(Fold { index, of }) => {
            // Trained on the other folds, so that this one can be scored by a stranger.
            let (_, others) = folds::split(&at.folds(of)?, index);
            all.subset(&others)
        }
    };
    let classifier = at.bench.methods.classifier(&def.kind, &def.params)?;
    let (model, curve) = match at.features(embed)? {
        None => {
            let training = Training::Images(&train);
            classifier.fit(&at.bench.inputs, &training, split.seed, &ctx)?
        }
        Some(features) => {
            let ids: Vec<ImageId> = train.samples().iter().map(|s| s.id.clone()).collect();
            let features = select(&features, &ids)?;
            let labels = train.labels();
            let training = Training::Features(&features, &labels);
            classifier.fit(&at.bench.inputs, &training, split.seed, &ctx)?
        }
    };
    write(at, &model, curve)
}

fn write(at: &At<'_>, model: &SavedModel, curve: Vec<CurvePoint>) -> Result<Draft, BoxError> {
    let draft = at.draft()?;
    draft.write("model.json", model.header.as_bytes())?;
    draft.write("model.safetensors", &model.tensors)?;
    // An empty file would read as a training of no steps.
    if !curve.is_empty() {
        segad_store::write_curves(&draft.path("curve.parquet")?, &curve)?;
    }
    Ok(draft)
}
