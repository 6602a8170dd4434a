use super::At;
use crate::labels::{INDEX, Index, MAPS};
use crate::segmenter::{self, Script};
use crate::workbench::of_class;
use rayon::prelude::*;
use segad_core::{AnomalyMap, BoxError, Image, ImageId, LabelMap};
use segad_grid::CellIndex;
use segad_methods::MethodError;
use segad_methods::clusters::{self, Clusters, GoodImages, learn};
use segad_nn::PatchFeatures;
use segad_segments::{ClusteredParams, PatchClusters, SegmentsTable};
use segad_store::{Draft, LabelMapsWriter, MapsReader};
use std::ops::Range;
use toml::Value;

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

/// Learns segments from the good images that the forest trains on: those that no detector was
/// fitted on.
pub(super) fn fit(at: &At<'_>, maps: &[CellIndex], segments: &Value) -> Result<Draft, BoxError> {
    let params = clustered(segments, &at.cell.label.class)?;
    let split = &at.cell.split;
    let ids: Vec<ImageId> = split
        .forest
        .samples()
        .iter()
        .filter(|s| !s.label.is_bad())
        .map(|s| s.id.clone())
        .collect();
    let seed = split.detector_seed;
    let network = network(at, &params)?;
    let entries = maps
        .iter()
        .map(|&id| at.input(id))
        .collect::<Result<Vec<_>, _>>()?;
    let readers = entries
        .iter()
        .map(|e| Ok(MapsReader::open(&e.path("maps.parquet")?)?))
        .collect::<Result<Vec<_>, BoxError>>()?;
    let task = at
        .context()
        .progress
        .start(&at.cell.to_string(), Some(ids.len() as u64));
    let good = Good {
        at,
        ids,
        readers,
        task,
    };
    let (clusters, report) = learn(&params, network.as_ref(), &good, seed)?;
    let draft = at.draft()?;
    match clusters {
        // The same map for every image needs no further cell to be applied.
        Clusters::One(found) => {
            draft.write_json(
                INDEX,
                &Index {
                    schema: 1,
                    names: found.names,
                    one: true,
                },
            )?;
            let mut writer = LabelMapsWriter::create(&draft.path(MAPS)?, params.size, params.size)?;
            writer.push(&ImageId::new("all"), &found.map)?;
            writer.finish()?;
        }
        Clusters::Each(clusters) => draft.write_json(MODEL, &clusters)?,
    }
    report.notes.iter().for_each(|n| at.note(n.clone()));
    draft.write_json(REPORT, &report)?;
    Ok(draft)
}

/// A label map of every mapped image.
pub(super) fn label_maps(
    at: &At<'_>,
    fit: Option<CellIndex>,
    segments: &Value,
) -> Result<Draft, BoxError> {
    let own = of_class(Some(segments), &at.cell.label.class)?;
    let table = segmenter::made(own)?.ok_or("these segments are made in no cell")?;
    let settings = &at.bench.settings;
    let mut empty = 0;
    match (table, fit) {
        (SegmentsTable::Clustered(params), Some(fit)) => {
            let clusters: PatchClusters = serde_json::from_slice(&at.input(fit)?.read(MODEL)?)?;
            let network = network(at, &params)?.ok_or(MethodError::NoBackbone)?;
            let (grid, size) = ((network.side(), network.side()), params.size);
            write(at, size, &clusters.names, |_, images| {
                let features = network.of(images)?;
                let one =
                    |v: &Vec<f32>| Ok(clusters.label_map(v, grid, params.smooth, size, size)?);
                features.par_iter().map(one).collect()
            })
        }
        (SegmentsTable::TorchScript(params), None) => {
            let size = params.size;
            let script = Script::open(params, &settings.base, at.grant.device)?;
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

/// The network whose features are clustered, if one is asked for.
fn network(at: &At<'_>, params: &ClusteredParams) -> Result<Option<PatchFeatures>, MethodError> {
    let seed = at.cell.split.detector_seed;
    let arithmetic = (at.grant.device, at.bench.settings.precision);
    clusters::network(params, &at.bench.inputs, seed, arithmetic)
}

/// The good images of a cell, with the maps of the detectors that it needs.
struct Good<'a> {
    at: &'a At<'a>,
    ids: Vec<ImageId>,
    readers: Vec<MapsReader>,
    task: Box<dyn segad_core::ProgressTask>,
}

impl GoodImages<BoxError> for Good<'_> {
    fn count(&self) -> usize {
        self.ids.len()
    }

    fn batch(&self) -> usize {
        self.at.bench.settings.batch.max(1)
    }

    fn advance(&self, images: usize) -> Result<(), BoxError> {
        self.task.advance(images as u64);
        Ok(self.at.check_cancelled()?)
    }

    fn load(&self, images: Range<usize>) -> Result<Vec<Image>, BoxError> {
        self.at.load(&self.ids[images])
    }

    fn detectors(&self) -> usize {
        self.readers.len()
    }

    fn maps(&self, image: usize) -> Result<Vec<AnomalyMap>, BoxError> {
        let id = &self.ids[image];
        let mut maps = Vec::with_capacity(self.readers.len());
        for reader in &self.readers {
            let row = reader
                .find(id)
                .ok_or_else(|| format!("{id} has no anomaly map"))?;
            maps.push(reader.get(row)?.map);
        }
        Ok(maps)
    }
}

fn write(
    at: &At<'_>,
    size: usize,
    names: &[String],
    mut make: impl FnMut(&[ImageId], &[Image]) -> Result<Vec<LabelMap>, BoxError>,
) -> Result<Draft, BoxError> {
    let draft = at.draft()?;
    draft.write_json(
        INDEX,
        &Index {
            schema: 1,
            names: names.to_vec(),
            one: false,
        },
    )?;
    let mut writer = LabelMapsWriter::create(&draft.path(MAPS)?, size, size)?;
    at.each_batch(&at.cell.split.mapped, |ids, images| {
        for (id, map) in ids.iter().zip(make(ids, images)?) {
            writer.push(id, &map)?;
        }
        Ok(())
    })?;
    writer.finish()?;
    Ok(draft)
}
