use super::At;
use crate::labels::{Labels, Small};
use rayon::prelude::*;
use segad_core::BoxError;
use segad_features::{FeatureExtractor, FeatureParams, ImageMaps, SegmentIndex, TableBuilder};
use segad_grid::CellIndex;
use segad_store::{Draft, MapsReader};
use toml::{Table, Value};

/// Images whose maps are in memory at a time.
const BATCH: usize = 50;

/// Statistics of each map of one detector inside each segment.
pub(super) fn run(
    at: &At<'_>,
    maps: CellIndex,
    detector: &str,
    (segments, cell): (Option<&Value>, Option<CellIndex>),
    features: &Table,
) -> Result<Draft, BoxError> {
    let params: FeatureParams = features.clone().try_into()?;
    let reader = MapsReader::open(&at.input(maps)?.path("maps.parquet")?)?;
    let size = (reader.height(), reader.width());
    let labels = Labels::open(
        at.bench,
        at.plan,
        cell,
        segments,
        &at.cell.label.class,
        size,
    )?;
    let extractor = FeatureExtractor::new(params.check()?, &[detector.to_owned()], labels.names())?;
    // An index costs as much as the statistics; where images share a map, they share it.
    let shared = labels.one().map(SegmentIndex::new).transpose()?;
    let mut small = Small::new(labels.names());
    labels
        .one()
        .into_iter()
        .for_each(|map| small.add(&map.areas()));
    let mut table = TableBuilder::new(&extractor);
    for start in (0..reader.len()).step_by(BATCH) {
        at.check_cancelled()?;
        let records = reader.range(start..reader.len().min(start + BATCH))?;
        // One label map for all images is indexed once.
        let own: Vec<SegmentIndex> = match &shared {
            Some(_) => Vec::new(),
            None => (records.par_iter())
                .map(|record| Ok(SegmentIndex::new(&labels.of(at.bench, &record.id)?)?))
                .collect::<Result<_, BoxError>>()?,
        };
        for index in &own {
            small.add(
                &(0..index.segments())
                    .map(|s| index.pixels(s).len())
                    .collect::<Vec<_>>(),
            );
        }
        let images: Vec<ImageMaps<'_>> = (records.iter().enumerate())
            .map(|(i, record)| ImageMaps {
                id: &record.id,
                maps: vec![&record.map],
                segments: shared.as_ref().unwrap_or_else(|| &own[i]),
            })
            .collect();
        table.extend(&images)?;
    }
    small.notes().into_iter().for_each(|note| at.note(note));
    let draft = at.draft()?;
    segad_store::write_features(&draft.path("features.parquet")?, &table.finish())?;
    Ok(draft)
}

/// The statistics of several detectors side by side.
pub(super) fn join(at: &At<'_>, parts: &[CellIndex]) -> Result<Draft, BoxError> {
    let read = |&id| -> Result<_, BoxError> {
        Ok(segad_store::read_features(
            &at.input(id)?.path("features.parquet")?,
        )?)
    };
    let tables = parts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let draft = at.draft()?;
    segad_store::write_features(
        &draft.path("features.parquet")?,
        &segad_features::join(&tables)?,
    )?;
    Ok(draft)
}
