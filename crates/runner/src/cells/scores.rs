use super::At;
use segad_core::{BoxError, FeatureTable, ImageId};
use segad_grid::{CellIndex, Head};
use segad_store::{Draft, MapsReader};
use std::collections::HashMap;

/// Scores of the test images, in the order of the test split.
pub(super) fn run(at: &At<'_>, source: CellIndex, head: Head) -> Result<Draft, BoxError> {
    let entry = at.input(source)?;
    let of: HashMap<ImageId, f32> = match head {
        Head::Max => {
            let reader = MapsReader::open(&entry.path("maps.parquet")?)?;
            reader
                .iter(50)
                .map(|r| r.map(|r| (r.id, r.map.max())))
                .collect::<Result<_, _>>()?
        }
        Head::Forest | Head::Classifier => {
            let scores = segad_store::read_features(&entry.path("scores.parquet")?)?;
            scores
                .ids()
                .iter()
                .cloned()
                .zip(scores.values().iter().copied())
                .collect()
        }
    };
    let ids = at.cell.split.test.ids();
    let score = |id: &ImageId| {
        of.get(id)
            .copied()
            .ok_or_else(|| format!("{id} is tested but has no score"))
    };
    let scores = ids
        .iter()
        .map(score)
        .collect::<Result<Vec<f32>, String>>()?;
    let draft = at.draft()?;
    let table = FeatureTable::new(vec!["score".to_owned()], ids, scores)?;
    segad_store::write_features(&draft.path("scores.parquet")?, &table)?;
    Ok(draft)
}
