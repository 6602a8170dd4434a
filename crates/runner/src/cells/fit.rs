use super::At;
use crate::detectors;
use segad_core::BoxError;
use segad_grid::DetectorDef;
use segad_store::{CurvePoint, Draft};

/// Fits a detector on the split's good images.
pub(super) fn detector(at: &At<'_>, def: &DetectorDef) -> Result<Draft, BoxError> {
    let loader = at.bench.loader();
    let good = at.cell.split.detector.good(&*loader);
    let holdout = at.cell.split.holdout.as_ref().map(|h| h.good(&*loader));
    let ctx = at.context();
    let (model, curve) =
        detectors::fit(at.bench, def, &good, holdout.as_ref(), at.cell.split.detector_seed, &ctx)?;
    let draft = at.draft()?;
    draft.write("model.json", model.header.as_bytes())?;
    draft.write("model.safetensors", &model.tensors)?;
    if !curve.is_empty() {
        let point =
            |p: segad_nn::train::CurvePoint| CurvePoint { step: p.step, name: p.name, value: p.value };
        let curve: Vec<CurvePoint> = curve.into_iter().map(point).collect();
        segad_store::write_curves(&draft.path("curve.parquet")?, &curve)?;
    }
    Ok(draft)
}
