use super::At;
use crate::labels::{Labels, Small};
use rayon::prelude::*;
use segad_core::BoxError;
use segad_features::{FeatureExtractor, FeatureParams, ImageMaps, SegmentIndex, TableBuilder};
use segad_grid::CellId;
use segad_store::{Draft, MapRecord, MapsReader};
use toml::{Table, Value};

/// Images whose maps are in memory at a time.
const BATCH: usize = 50;

/// Statistics of each map inside each segment.
pub(super) fn run(
    at: &At<'_>,
    maps: &[CellId],
    detectors: &[String],
    (segments, cell): (Option<&Value>, Option<CellId>),
    features: &Table,
) -> Result<Draft, BoxError> {
    let params: FeatureParams = features.clone().try_into()?;
    let entries = maps.iter().map(|&id| at.input(id)).collect::<Result<Vec<_>, _>>()?;
    let readers = entries
        .iter()
        .map(|e| Ok(MapsReader::open(&e.path("maps.parquet")?)?))
        .collect::<Result<Vec<_>, BoxError>>()?;
    let first = readers.first().ok_or("a row with a forest needs a detector")?;
    let size = (first.height(), first.width());
    let labels = Labels::open(at.bench, at.plan, cell, segments, &at.cell.class, size)?;
    let extractor = FeatureExtractor::new(params.check()?, detectors, labels.names())?;
    let shared = labels.one().map(SegmentIndex::new).transpose()?;
    let mut small = Small::new(labels.names());
    labels.one().into_iter().for_each(|map| small.add(&map.areas()));
    let mut table = TableBuilder::new(&extractor);
    for start in (0..first.len()).step_by(BATCH) {
        if at.cancel.is_cancelled() {
            return Err("interrupted".into());
        }
        let end = first.len().min(start + BATCH);
        let batches = readers
            .iter()
            .map(|reader| aligned(reader, &first.ids()[start..end], start))
            .collect::<Result<Vec<_>, _>>()?;
        let own: Vec<SegmentIndex> = match &shared {
            Some(_) => Vec::new(),
            None => (batches[0].par_iter())
                .map(|record| Ok(SegmentIndex::new(&labels.of(at.bench, &record.id)?)?))
                .collect::<Result<_, BoxError>>()?,
        };
        for index in &own {
            small.add(&(0..index.segments()).map(|s| index.pixels(s).len()).collect::<Vec<_>>());
        }
        let images: Vec<ImageMaps<'_>> = (0..end - start)
            .map(|i| ImageMaps {
                id: &batches[0][i].id,
                maps: batches.iter().map(|b| &b[i].map).collect(),
                segments: shared.as_ref().unwrap_or_else(|| &own[i]),
            })
            .collect();
        table.extend(&images)?;
    }
    small.notes().into_iter().for_each(|note| at.note(note));
    let draft = at.draft()?;
    segad_store::write_features(&draft.path("features.parquet")?, &table.finish()?)?;
    Ok(draft)
}

/// The maps of these images; mostly the rows from `start` on, but maps from outside may be in another order.
fn aligned(
    reader: &MapsReader,
    ids: &[segad_core::ImageId],
    start: usize,
) -> Result<Vec<MapRecord>, BoxError> {
    let end = start + ids.len();
    if reader.ids().get(start..end) == Some(ids) {
        return Ok(reader.range(start..end)?);
    }
    let one = |id: &segad_core::ImageId| {
        let row =
            reader.find(id).ok_or_else(|| format!("{id} has a map of one detector but not of another"))?;
        Ok(reader.get(row)?)
    };
    ids.iter().map(one).collect()
}
