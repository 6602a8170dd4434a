use super::At;
use crate::clock::Stopwatch;
use crate::labels::{INDEX, Index, MAPS};
use crate::segmenter::{self, Script};
use crate::workbench::of_class;
use rayon::prelude::*;
use segad_core::{AnomalyMap, BoxError, Image, ImageId, LabelMap};
use segad_grid::CellId;
use segad_segments::{ClusteredMode, ClusteredParams, PatchClusters, PatchSample, PlaceSums, SegmentsTable};
use segad_store::{Draft, LabelMapsWriter, MapsReader};
use toml::Value;

/// Places along each side of the grid where no backbone says how many.
const GRID: usize = 32;
/// File of what patches were clustered into.
const MODEL: &str = "clusters.json";
/// File of how segments came about.
const REPORT: &str = "report.json";

fn clustered(segments: &Value, class: &str) -> Result<ClusteredParams, BoxError> {
    match segmenter::made(of_class(Some(segments), class)?)? {
        Some(SegmentsTable::Clustered(params)) => Ok(params),
        _ => Err("only clustered segments are learned".into()),
    }
}

/// Learns segments from the good images that the forest trains on: those that no detector was fitted on.
pub(super) fn fit(at: &At<'_>, maps: &[CellId], segments: &Value) -> Result<Draft, BoxError> {
    let params = clustered(segments, &at.cell.class)?;
    let split = &at.cell.split;
    let good: Vec<ImageId> =
        split.forest.samples().iter().filter(|s| !s.label.is_bad()).map(|s| s.id.clone()).collect();
    let draft = at.draft()?;
    let report = match params.mode {
        ClusteredMode::Static => places(at, &params, maps, &good, &draft)?,
        ClusteredMode::Image => patches(at, &params, &good, &draft)?,
    };
    report.notes.iter().for_each(|n| at.note(n.clone()));
    draft.write_json(REPORT, &report)?;
    Ok(draft)
}

fn places(
    at: &At<'_>,
    params: &ClusteredParams,
    maps: &[CellId],
    good: &[ImageId],
    draft: &Draft,
) -> Result<segad_segments::ClusteredReport, BoxError> {
    let seed = at.cell.split.detector_seed;
    let features = segmenter::features(at.bench, params, seed)?;
    let entries = maps.iter().map(|&id| at.input(id)).collect::<Result<Vec<_>, _>>()?;
    let readers: Vec<MapsReader> = entries
        .iter()
        .map(|e| Ok(MapsReader::open(&e.path("maps.parquet")?)?))
        .collect::<Result<_, BoxError>>()?;
    let side = features.as_ref().map_or(GRID, |f| f.side());
    let channels = features.as_ref().map_or(0, |f| f.channels());
    let groups: Vec<usize> = features.iter().map(|f| f.channels()).chain(readers.iter().map(|_| 1)).collect();
    let mut sums = PlaceSums::new(side, side, &groups, good.len())?;
    let task = at.context().progress.start(&at.cell.name, Some(good.len() as u64));
    for ids in good.chunks(at.bench.settings.batch.max(1)) {
        going(at)?;
        let images = match &features {
            Some(network) => network.of(&load(at, ids)?)?,
            None => vec![Vec::new(); ids.len()],
        };
        for (id, features) in ids.iter().zip(images) {
            let find = |r: &MapsReader| -> Result<Vec<f32>, BoxError> {
                let row = r.find(id).ok_or_else(|| format!("{id} has no anomaly map"))?;
                Ok(pooled(&r.get(row)?.map, side))
            };
            let maps = readers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
            let place = |p: usize| {
                let own = features[p * channels..(p + 1) * channels].iter().copied();
                own.chain(maps.iter().map(move |m| m[p])).collect::<Vec<f32>>()
            };
            sums.push(&(0..side * side).flat_map(place).collect::<Vec<_>>())?;
        }
        task.advance(ids.len() as u64);
    }
    let watch = Stopwatch::start();
    let found = sums.cluster(params, params.size, params.size, seed)?;
    tracing::info!(images = good.len(), seconds = watch.seconds(), "clustered");
    draft.write_json(INDEX, &Index { schema: 1, names: found.names, one: true })?;
    let mut writer = LabelMapsWriter::create(&draft.path(MAPS)?, params.size, params.size)?;
    writer.push(&ImageId::new("all"), &found.map)?;
    writer.finish()?;
    Ok(found.report)
}

fn patches(
    at: &At<'_>,
    params: &ClusteredParams,
    good: &[ImageId],
    draft: &Draft,
) -> Result<segad_segments::ClusteredReport, BoxError> {
    let seed = at.cell.split.detector_seed;
    let network = segmenter::features(at.bench, params, seed)?.ok_or("a map per image needs a backbone")?;
    let mut sample = PatchSample::new(network.channels(), good.len(), params.patches, seed)?;
    let task = at.context().progress.start(&at.cell.name, Some(good.len() as u64));
    for ids in good.chunks(at.bench.settings.batch.max(1)) {
        going(at)?;
        network.of(&load(at, ids)?)?.iter().try_for_each(|values| sample.push(values))?;
        task.advance(ids.len() as u64);
    }
    let watch = Stopwatch::start();
    let (clusters, report) = sample.cluster(params, seed)?;
    tracing::info!(images = good.len(), seconds = watch.seconds(), "clustered");
    draft.write_json(MODEL, &clusters)?;
    Ok(report)
}

/// A label map of every mapped image.
pub(super) fn label_maps(at: &At<'_>, fit: Option<CellId>, segments: &Value) -> Result<Draft, BoxError> {
    let own = of_class(Some(segments), &at.cell.class)?;
    let table = segmenter::made(own)?.ok_or("these segments are made in no cell")?;
    let settings = &at.bench.settings;
    let seed = at.cell.split.detector_seed;
    let mut empty = 0;
    match (table, fit) {
        (SegmentsTable::Clustered(params), Some(fit)) => {
            let clusters: PatchClusters = serde_json::from_slice(&at.input(fit)?.read(MODEL)?)?;
            let network =
                segmenter::features(at.bench, &params, seed)?.ok_or("a map per image needs a backbone")?;
            let (grid, size) = ((network.side(), network.side()), params.size);
            write(at, size, &clusters.names, |_, images| {
                let features = network.of(images)?;
                let one = |v: &Vec<f32>| Ok(clusters.label_map(v, grid, params.smooth, size, size)?);
                features.par_iter().map(one).collect()
            })
        }
        (SegmentsTable::TorchScript(params), None) => {
            let size = params.size;
            let script = Script::open(params, &settings.base, settings.device)?;
            let draft = write(at, size, script.names(), |ids, images| {
                let one = |(id, image)| -> Result<LabelMap, BoxError> {
                    let (map, is_empty) = script.label_map(id, image)?;
                    empty += usize::from(is_empty);
                    Ok(map)
                };
                ids.iter().zip(images).map(one).collect()
            })?;
            if empty > 0 {
                let (name, all) = (&script.names()[0], at.cell.split.mapped.len());
                at.note(format!(
                    "the module found nothing in {empty} of {all} images: all of each is segment {name:?}, as allow_empty says"
                ));
            }
            Ok(draft)
        }
        _ => Err("these segments are made otherwise".into()),
    }
}

fn write(
    at: &At<'_>,
    size: usize,
    names: &[String],
    mut make: impl FnMut(&[ImageId], &[Image]) -> Result<Vec<LabelMap>, BoxError>,
) -> Result<Draft, BoxError> {
    let draft = at.draft()?;
    draft.write_json(INDEX, &Index { schema: 1, names: names.to_vec(), one: false })?;
    let mut writer = LabelMapsWriter::create(&draft.path(MAPS)?, size, size)?;
    let mapped = &at.cell.split.mapped;
    let task = at.context().progress.start(&at.cell.name, Some(mapped.len() as u64));
    for ids in mapped.chunks(at.bench.settings.batch.max(1)) {
        going(at)?;
        for (id, map) in ids.iter().zip(make(ids, &load(at, ids)?)?) {
            writer.push(id, &map)?;
        }
        task.advance(ids.len() as u64);
    }
    writer.finish()?;
    Ok(draft)
}

fn going(at: &At<'_>) -> Result<(), BoxError> {
    if at.cancel.is_cancelled() { Err("interrupted".into()) } else { Ok(()) }
}

fn load(at: &At<'_>, ids: &[ImageId]) -> Result<Vec<Image>, BoxError> {
    let loader = at.bench.loader();
    ids.par_iter().map(|id| loader.load(id)).collect()
}

/// Means of a map over the places of a grid.
fn pooled(map: &AnomalyMap, side: usize) -> Vec<f32> {
    let span = |i: usize, from: usize| {
        let first = i * from / side;
        first..((i + 1) * from / side).max(first + 1)
    };
    let place = |p: usize| {
        let (rows, columns) = (span(p / side, map.height()), span(p % side, map.width()));
        let count = (rows.len() * columns.len()) as f32;
        rows.flat_map(|y| &map.values()[y * map.width()..][columns.clone()]).sum::<f32>() / count
    };
    (0..side * side).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_averaged_over_places() {
        let map = AnomalyMap::new(4, 4, (0..16).map(|i| i as f32).collect()).unwrap();
        assert_eq!(pooled(&map, 2), [2.5, 4.5, 10.5, 12.5]);
        // A grid finer than the map repeats its pixels.
        assert_eq!(pooled(&AnomalyMap::new(1, 2, vec![1.0, 2.0]).unwrap(), 4)[..4], [1.0, 1.0, 2.0, 2.0]);
    }
}
