//! `segments show` draws label maps; `segments name` names those that were found.

use rayon::prelude::*;
use segad_args::SegmentsCommand;
use segad_core::{
    BoxError, Device, Image, ImageId, ImageLoader, LabelMap, Precision, Seed, SegmentSource,
};
use segad_methods::ImageSet;
use segad_methods::clusters::{self, Clusters, GoodImages, learn};
use segad_product::{Inspector, Model};
use segad_provision::Cache;
use segad_runner::Failure;
use segad_runner::folder::ImageFolder;
use segad_runner::inputs::CachedInputs;
use segad_runner::segmenter::{self, Script};
use segad_segments::{
    ClusteredParams, Foreground, ForegroundParams, QualityReport, SegmentsSpec, SegmentsTable,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Value;

/// Images in one forward pass.
const BATCH: usize = 8;

/// The segments of an image.
struct Labelled {
    map: LabelMap,
    names: Vec<String>,
    /// Remarks on how they were found.
    notes: Vec<String>,
}

pub(super) fn run(command: &SegmentsCommand) -> Result<(), Failure> {
    match command {
        SegmentsCommand::Show {
            source,
            image,
            good,
            seed,
            out,
            json,
        } => {
            super::outputs::keep_inputs("--out", out, &[image])?;
            let good = good.as_deref().map(|folder| (folder, Seed(*seed)));
            show(source, image, good, out, *json)
        }
        SegmentsCommand::Name { model, names, out } => name(model, names, out),
    }
}

fn name(model: &Path, names: &[(String, String)], out: &Path) -> Result<(), Failure> {
    super::outputs::keep_all_but_models("--out", out)?;
    let renamed: BTreeMap<String, String> = names.iter().cloned().collect();
    if renamed.len() < names.len() {
        let text = "OLD=NEW: expected each segment once".to_owned();
        return Err(Failure::Configuration(text));
    }
    let named = Model::open(model).and_then(|model| model.name_segments(&renamed));
    let named = named.map_err(super::fit::failure)?;
    segad_files::write_atomic(out, &named.to_bytes())?;
    let names = named.card().segment_names.join(", ");
    super::print(&format!("{}: segments {names}\n", out.display()))
}

fn show(
    source: &str,
    image: &Path,
    good: Option<(&Path, Seed)>,
    out: &Path,
    json: bool,
) -> Result<(), Failure> {
    let picture = segad_imaging::open(image)?;
    let id = ImageId::new(image.display().to_string());
    let Labelled { map, names, notes } = if super::outputs::is_model(Path::new(source))? {
        of_model(Path::new(source), &picture, good.is_some())?
    } else {
        label(&super::value(source), &id, &picture, good)?
    };
    let mut report = QualityReport::new(&map, &names);
    report.warnings.splice(0..0, notes);
    // What a threshold finds is a second opinion; an image without a foreground has none.
    let threshold = Foreground::new(ForegroundParams::default(), map.height(), map.width());
    if let Ok((foreground, _)) = threshold.and_then(|f| f.analyse(&id, &picture))
        && names.len() > 1
    {
        report = report.compare(&map, &foreground)?;
    }
    let drawn = segad_segments::overlay(&picture, &map)?;
    let png = segad_imaging::encode_png(&drawn)?;
    segad_files::write_atomic(out, &png)?;
    if json {
        let text = serde_json::to_string(&report)?;
        return super::print(&(text + "\n"));
    }
    let mut text = String::new();
    for s in &report.segments {
        text.push_str(&format!(
            "{}: {} px, {:.1} %, {} piece{}",
            s.name,
            s.pixels,
            100.0 * s.fraction,
            s.components,
            if s.components == 1 { "" } else { "s" }
        ));
        if let Some([top, left]) = s.centre {
            let [top, left] = [100.0 * top, 100.0 * left];
            text.push_str(&format!(
                ", centred {left:.0} % from the left, {top:.0} % from the top"
            ));
        }
        text.push('\n');
    }
    if let Some(iou) = report.foreground_iou {
        text.push_str(&format!(
            "overlap of all segments but the first with a thresholded foreground (IoU): {iou:.2}\n"
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("note: {warning}\n"));
    }
    super::print(&text)
}

/// The segments that a model takes statistics in, at the image's own size.
fn of_model(path: &Path, picture: &Image, learns: bool) -> Result<Labelled, Failure> {
    if learns {
        let text = "--good: a model has learned its segments already".to_owned();
        return Err(Failure::Configuration(text));
    }
    let model = Model::open(path).map_err(super::fit::failure)?;
    let inspector = Inspector::new(&model, Device::Cpu).map_err(super::fit::failure)?;
    let map = inspector.segments(picture).map_err(super::fit::failure)?;
    Ok(Labelled {
        map: segad_imaging::resize_labels(&map, picture.height(), picture.width())?,
        names: model.card().segment_names.clone(),
        notes: Vec::new(),
    })
}

/// The segments at the image's own size.
fn label(
    spec: &Value,
    id: &ImageId,
    picture: &Image,
    good: Option<(&Path, Seed)>,
) -> Result<Labelled, Failure> {
    let base = &crate::shipped::find(Path::new("datasets/segments"));
    let (height, width) = (picture.height(), picture.width());
    let made = segmenter::made(Some(spec)).map_err(Failure::configuration)?;
    if let (Some(_), false) = (good, matches!(made, Some(SegmentsTable::Clustered(_)))) {
        return Err(Failure::Configuration(
            "--good: only segments of kind clustered are learned".to_owned(),
        ));
    }
    let found = match made {
        Some(SegmentsTable::TorchScript(params)) => {
            let script = Script::open(params, base, Device::Cpu)?;
            let (map, _) = script.label_map(id, picture)?;
            Labelled {
                map,
                names: script.names().to_vec(),
                notes: Vec::new(),
            }
        }
        Some(SegmentsTable::Clustered(params)) => learn_and_label(params, picture, good)?,
        _ => {
            let spec: SegmentsSpec = spec.clone().try_into().map_err(Failure::configuration)?;
            let source =
                segad_segments::open(&spec, base, height, width).map_err(Failure::configuration)?;
            let map = source.label_map(id, picture)?;
            Labelled {
                map,
                names: source.names().to_vec(),
                notes: Vec::new(),
            }
        }
    };
    let map = segad_imaging::resize_labels(&found.map, height, width)?;
    Ok(Labelled { map, ..found })
}

/// Learns segments from good images and finds them in the picture.
fn learn_and_label(
    params: ClusteredParams,
    picture: &Image,
    good: Option<(&Path, Seed)>,
) -> Result<Labelled, Failure> {
    let Some((folder, seed)) = good else {
        let text = "segments of kind clustered are learned from good images; name their folder with --good";
        return Err(Failure::Configuration(text.to_owned()));
    };
    params.check().map_err(Failure::configuration)?;
    let cache = Cache::from_env().map_err(Failure::configuration)?;
    let inputs = CachedInputs::new(cache, PathBuf::new());
    clusters::backbone(&params).map_err(Failure::configuration)?;
    let place = (Device::Cpu, Precision::F32);
    let network = clusters::network(&params, &inputs, seed, place)?;
    let Some(network) = network else {
        let text = "segments of kind clustered without a backbone need detectors' maps, which only an experiment has; name a backbone";
        return Err(Failure::Configuration(text.to_owned()));
    };
    let folder = ImageFolder::open(folder).map_err(Failure::input)?;
    let ids = folder.images().ids().to_vec();
    let good = Good { ids, folder };
    let (clusters, report) = learn(&params, Some(&network), &good, seed)?;
    let mut notes = report.notes;
    if params.maps {
        notes.push(
            "learned from the backbone's features only; experiments also use detectors' maps"
                .into(),
        );
    }
    let (map, names) = match clusters {
        Clusters::One(found) => (found.map, found.names),
        Clusters::Each(clusters) => {
            let features = network.of(std::slice::from_ref(picture))?;
            let grid = (network.side(), network.side());
            let map =
                clusters.label_map(&features[0], grid, params.smooth, params.size, params.size)?;
            (map, clusters.names)
        }
    };
    Ok(Labelled { map, names, notes })
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
