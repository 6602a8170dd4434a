use super::At;
use segad_core::{BoxError, FeatureTable};
use segad_grid::Definition;
use segad_store::Draft;

/// Features of every image that classifiers train on or score, by a frozen network.
pub(super) fn run(at: &At<'_>, def: &Definition) -> Result<Draft, BoxError> {
    let ctx = at.context();
    let classifier = at.bench.methods.classifier(&def.kind, &def.params)?;
    let embedder = classifier.embedder(&at.bench.inputs, &ctx)?;
    let ids = at.cell.split.pool();
    let mut rows = Vec::new();
    at.each_batch(&ids, |_, images| {
        rows.extend(embedder.rows(images)?);
        Ok(())
    })?;
    let draft = at.draft()?;
    let table = FeatureTable::new(embedder.names(), ids, rows)?;
    segad_store::write_features(&draft.path("features.parquet")?, &table)?;
    Ok(draft)
}
