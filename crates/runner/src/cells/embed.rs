use super::At;
use rayon::prelude::*;
use segad_core::{BoxError, FeatureTable, Image};
use segad_grid::Definition;
use segad_store::Draft;

/// Features of every image that classifiers train on or score, by a frozen network.
pub(super) fn run(at: &At<'_>, def: &Definition) -> Result<Draft, BoxError> {
    let ctx = at.context();
    let classifier = at.bench.methods.classifier(&def.kind, &def.params)?;
    let embedder = classifier.embedder(&at.bench.inputs, &ctx)?;
    let (loader, ids) = (at.bench.loader(), at.cell.split.pool());
    let task = ctx
        .progress
        .start(&at.cell.to_string(), Some(ids.len() as u64));
    let mut rows = Vec::new();
    for chunk in ids.chunks(ctx.batch.max(1)) {
        at.check_cancelled()?;
        let images = chunk
            .par_iter()
            .map(|id| loader.load(id))
            .collect::<Result<Vec<Image>, BoxError>>()?;
        rows.extend(embedder.rows(&images)?);
        task.advance(chunk.len() as u64);
    }
    let draft = at.draft()?;
    let table = FeatureTable::new(embedder.names(), ids, rows)?;
    segad_store::write_features(&draft.path("features.parquet")?, &table)?;
    Ok(draft)
}
