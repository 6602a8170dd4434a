//! `segments show`: draws label maps.

use rayon::prelude::*;
use segad_args::SegmentsCommand;
use segad_core::{
    BoxError, Device, Image, ImageId, ImageLoader, LabelMap, Precision, Seed, SegmentSource,
};
use segad_methods::ImageSet;
use segad_methods::clusters::{self, Clusters, GoodImages, learn};
use segad_provision::Cache;
use segad_runner::Failure;
use segad_runner::folder::ImageFolder;
use segad_runner::inputs::CachedInputs;
use segad_runner::segmenter::{self, Script};
use segad_segments::{
    ClusteredParams, Foreground, ForegroundParams, QualityReport, SegmentsSpec, SegmentsTable,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Value;

/// Images in one forward pass.
const BATCH: usize = 8;

/// A map at the image's own size.
struct Shown {
    map: LabelMap,
    names: Vec<String>,
    /// What was decided on the way, in words.
    notes: Vec<String>,
}

pub(super) fn run(command: &SegmentsCommand) -> Result<(), Failure> {
    let SegmentsCommand::Show {
        source,
        image,
        good,
        seed,
        out,
        json,
    } = command;
    let picture = segad_imaging::open(image).map_err(Failure::input)?;
    let id = ImageId::new(image.display().to_string());
    let good = good.as_deref().map(|folder| (folder, Seed(*seed)));
    let Shown { map, names, notes } = shown(&super::value(source), &id, &picture, good)?;
    let mut report = QualityReport::new(&map, &names);
    report.warnings.splice(0..0, notes);
    // What a threshold finds is a second opinion; an image without a foreground has none.
    let threshold = Foreground::new(ForegroundParams::default(), map.height(), map.width());
    if let Ok((foreground, _)) = threshold.and_then(|f| f.analyse(&id, &picture))
        && names.len() > 1
    {
        report = report.compare(&map, &foreground).map_err(Failure::input)?;
    }
    let drawn = segad_segments::overlay(&picture, &map).map_err(Failure::input)?;
    let png = segad_imaging::encode_png(&drawn).map_err(Failure::input)?;
    segad_files::write_atomic(out, &png).map_err(Failure::input)?;
    if *json {
        let text = serde_json::to_string(&report).map_err(Failure::input)?;
        return super::print(&(text + "\n"));
    }
    let mut text = String::new();
    for s in &report.segments {
        let (name, pixels, share) = (&s.name, s.pixels, 100.0 * s.fraction);
        let pieces = if s.components == 1 {
            "1 piece".to_owned()
        } else {
            format!("{} pieces", s.components)
        };
        text.push_str(&format!("{name}: {pixels} px, {share:.1} %, {pieces}\n"));
    }
    if let Some(iou) = report.foreground_iou {
        text.push_str(&format!(
            "overlap of all but the first with a foreground by threshold: {iou:.2}\n"
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("note: {warning}\n"));
    }
    super::print(&text)
}

fn shown(
    spec: &Value,
    id: &ImageId,
    picture: &Image,
    good: Option<(&Path, Seed)>,
) -> Result<Shown, Failure> {
    let base = Path::new("datasets/segments");
    let (height, width) = (picture.height(), picture.width());
    let made = segmenter::made(Some(spec)).map_err(Failure::configuration)?;
    if let (Some(_), false) = (good, matches!(made, Some(SegmentsTable::Clustered(_)))) {
        return Err(Failure::Configuration(
            "--good: only segments of kind clustered are learned".to_owned(),
        ));
    }
    let (map, names, notes) = match made {
        Some(SegmentsTable::TorchScript(params)) => {
            let script = Script::open(params, base, Device::Cpu).map_err(Failure::input)?;
            let (map, _) = script.label_map(id, picture).map_err(Failure::input)?;
            (map, script.names().to_vec(), Vec::new())
        }
        Some(SegmentsTable::Clustered(params)) => learned(params, picture, good)?,
        _ => {
            let spec: SegmentsSpec = spec.clone().try_into().map_err(Failure::configuration)?;
            let source =
                segad_segments::open(&spec, base, height, width).map_err(Failure::configuration)?;
            let map = source.label_map(id, picture).map_err(Failure::input)?;
            (map, source.names().to_vec(), Vec::new())
        }
    };
    let map = segad_imaging::resize_labels(&map, height, width).map_err(Failure::input)?;
    Ok(Shown { map, names, notes })
}

/// Segments learned on the spot, of the picture.
fn learned(
    params: ClusteredParams,
    picture: &Image,
    good: Option<(&Path, Seed)>,
) -> Result<(LabelMap, Vec<String>, Vec<String>), Failure> {
    let Some((folder, seed)) = good else {
        let text = "segments of kind clustered are learned from good images: name their folder with --good";
        return Err(Failure::Configuration(text.to_owned()));
    };
    params.check().map_err(Failure::configuration)?;
    let cache = Cache::from_env().map_err(Failure::configuration)?;
    let inputs = CachedInputs::new(cache.root().to_owned(), PathBuf::new());
    clusters::backbone(&params).map_err(Failure::configuration)?;
    let place = (Device::Cpu, Precision::F32);
    let network = clusters::network(&params, &inputs, seed, place).map_err(Failure::input)?;
    let Some(network) = network else {
        let text = "clustered without a backbone: that takes detectors' maps, which only an experiment has; name a backbone";
        return Err(Failure::Configuration(text.to_owned()));
    };
    let folder = ImageFolder::open(folder).map_err(Failure::input)?;
    let ids = folder.images().ids().to_vec();
    let good = Good { ids, folder };
    let (clusters, report) = learn(&params, Some(&network), &good, seed).map_err(Failure::input)?;
    let mut notes = report.notes;
    if params.maps {
        notes.push(
            "learned from the backbone's features alone: detectors' maps are at hand in experiments".into(),
        );
    }
    Ok(match clusters {
        Clusters::One(found) => (found.map, found.names, notes),
        Clusters::Each(clusters) => {
            let features = network
                .of(std::slice::from_ref(picture))
                .map_err(Failure::input)?;
            let (grid, size) = ((network.side(), network.side()), params.size);
            let map = clusters.label_map(&features[0], grid, params.smooth, size, size);
            (map.map_err(Failure::input)?, clusters.names, notes)
        }
    })
}

/// The good images of a folder.
struct Good {
    ids: Vec<ImageId>,
    folder: ImageFolder,
}

impl GoodImages<BoxError> for Good {
    fn count(&self) -> usize {
        self.ids.len()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn advance(&self, _: usize) -> Result<(), BoxError> {
        Ok(())
    }

    fn load(&self, images: Range<usize>) -> Result<Vec<Image>, BoxError> {
        let ids = &self.ids[images];
        ids.par_iter().map(|id| self.folder.load(id)).collect()
    }
}
