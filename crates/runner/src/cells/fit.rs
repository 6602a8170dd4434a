use super::{At, select};
use crate::classifiers::{self, Training};
use crate::detectors;
use segad_core::{BoxError, CurvePoint, ImageId};
use segad_grid::{CellIndex, DetectorDef, Fold};
use segad_nn::SavedModel;
use segad_store::Draft;

/// Fits a detector on the split's good images.
pub(super) fn detector(at: &At<'_>, def: &DetectorDef) -> Result<Draft, BoxError> {
    let loader = at.bench.loader();
    let good = at.cell.split.detector.good(&*loader);
    let holdout = at.cell.split.holdout.as_ref().map(|h| h.good(&*loader));
    let ctx = at.context();
    let (model, curve) = detectors::fit(
        at.bench,
        def,
        &good,
        holdout.as_ref(),
        at.cell.split.detector_seed,
        &ctx,
    )?;
    write(at, &model, curve)
}

/// Fits a classifier on the split's labelled images, or on those that are not of one fold.
pub(super) fn classifier(
    at: &At<'_>,
    def: &DetectorDef,
    embed: Option<CellIndex>,
    fold: Option<Fold>,
) -> Result<Draft, BoxError> {
    let (loader, ctx, split) = (at.bench.loader(), at.context(), &at.cell.split);
    let all = split.classifier.labelled(&*loader);
    let train = match fold {
        None => all,
        Some(Fold { index, of }) => {
            let fold_of = at.folds(of)?;
            all.subset(
                &(0..all.len())
                    .filter(|&i| fold_of[i] != index)
                    .collect::<Vec<_>>(),
            )
        }
    };
    let fit = |training: &Training<'_>| classifiers::fit(at.bench, def, training, split.seed, &ctx);
    let (model, curve) = match at.features(embed)? {
        None => fit(&Training::Images(&train))?,
        Some(features) => {
            let ids: Vec<ImageId> = train.samples().iter().map(|s| s.id.clone()).collect();
            fit(&Training::Features(
                &select(&features, &ids)?,
                &train.labels(),
            ))?
        }
    };
    write(at, &model, curve)
}

fn write(at: &At<'_>, model: &SavedModel, curve: Vec<CurvePoint>) -> Result<Draft, BoxError> {
    let draft = at.draft()?;
    draft.write("model.json", model.header.as_bytes())?;
    draft.write("model.safetensors", &model.tensors)?;
    if !curve.is_empty() {
        segad_store::write_curves(&draft.path("curve.parquet")?, &curve)?;
    }
    Ok(draft)
}
