use super::At;
use crate::generated::GROUP;
use segad_core::{BoxError, ImageId, Sample};
use segad_datasets::Entry;
use segad_grid::{CellIndex, Definition};
use segad_store::{Draft, MapRecord, MapsWriter};
use std::collections::HashMap;

/// Maps of every image that the detector did not train on, streamed batch by batch into one Parquet
/// file.
pub(super) fn run(at: &At<'_>, fit: CellIndex, def: &Definition) -> Result<Draft, BoxError> {
    let model = super::saved_model(&at.input(fit)?)?;
    let ctx = at.context();
    let detector = at.bench.methods.detector(&def.kind, &def.params)?;
    let detector = detector.load(&at.bench.inputs, &model, &ctx)?;
    let index = at.bench.index(&at.cell.label.class)?;
    let entries: HashMap<&ImageId, &Entry> = index.entries().iter().map(|e| (&e.id, e)).collect();
    let forest = at
        .cell
        .split
        .forest
        .samples()
        .iter()
        .filter(|s| s.group == GROUP);
    let generated: HashMap<&ImageId, &Sample> = forest.map(|s| (&s.id, s)).collect();
    let draft = at.draft()?;
    let mut writer: Option<MapsWriter> = None;
    at.each_batch(&at.cell.split.mapped, |ids, images| {
        for (id, map) in ids.iter().zip(detector.maps(images)?) {
            // The first map tells the size that the file is made for.
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let path = draft.path("maps.parquet")?;
                    writer.insert(MapsWriter::create(&path, map.height(), map.width())?)
                }
            };
            let (label, group, split) = match (entries.get(id), generated.get(id)) {
                (Some(listed), _) => (
                    listed.label,
                    listed.group.clone(),
                    listed.part.as_str().to_owned(),
                ),
                // A generated image is in no list of the data set.
                (None, Some(sample)) => (sample.label, sample.group.clone(), "train".to_owned()),
                (None, None) => return Err(format!("{id} is not in the data set").into()),
            };
            writer.push(&MapRecord {
                id: id.clone(),
                label,
                group,
                split,
                map,
            })?;
        }
        Ok(())
    })?;
    writer
        .ok_or("no image to map: the protocol trains on all of them")?
        .finish()?;
    Ok(draft)
}
