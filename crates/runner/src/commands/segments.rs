//! `segments show`: draws label maps.

use crate::Failure;
use crate::cli::SegmentsCommand;
use crate::segmenter::{self, Script};
use segad_core::{Device, Image, ImageId, LabelMap, SegmentSource};
use segad_segments::{Foreground, ForegroundParams, QualityReport, SegmentsSpec, SegmentsTable};
use segad_store::atomic;
use std::path::Path;
use toml::Value;

pub(super) fn run(command: &SegmentsCommand) -> Result<(), Failure> {
    let SegmentsCommand::Show { source, image, out, json } = command;
    let picture = segad_imaging::open(image).map_err(Failure::input)?;
    let id = ImageId::new(image.display().to_string());
    let (map, names) = label_map(&super::value(source), &id, &picture)?;
    let mut report = QualityReport::new(&map, &names);
    // What a threshold finds is a second opinion; an image without a foreground has none.
    let threshold = Foreground::new(ForegroundParams::default(), map.height(), map.width());
    if let Ok((foreground, _)) = threshold.and_then(|f| f.analyse(&id, &picture))
        && names.len() > 1
    {
        report = report.compare(&map, &foreground).map_err(Failure::input)?;
    }
    let drawn = segad_segments::overlay(&picture, &map).map_err(Failure::input)?;
    let png = segad_imaging::encode_png(&drawn).map_err(Failure::input)?;
    atomic::write_atomic(out, &png).map_err(Failure::input)?;
    if *json {
        let text = serde_json::to_string(&report).map_err(Failure::input)?;
        return super::print(&(text + "\n"));
    }
    let mut text = String::new();
    for s in &report.segments {
        let (name, pixels, share) = (&s.name, s.pixels, 100.0 * s.fraction);
        let pieces =
            if s.components == 1 { "1 piece".to_owned() } else { format!("{} pieces", s.components) };
        text.push_str(&format!("{name}: {pixels} px, {share:.1} %, {pieces}\n"));
    }
    if let Some(iou) = report.foreground_iou {
        text.push_str(&format!("overlap of all but the first with a foreground by threshold: {iou:.2}\n"));
    }
    for warning in &report.warnings {
        text.push_str(&format!("note: {warning}\n"));
    }
    super::print(&text)
}

/// The map at the image's own size, and the segments' names.
fn label_map(spec: &Value, id: &ImageId, picture: &Image) -> Result<(LabelMap, Vec<String>), Failure> {
    let base = Path::new("datasets/segments");
    let (height, width) = (picture.height(), picture.width());
    if let Some(SegmentsTable::TorchScript(params)) =
        segmenter::made(Some(spec)).map_err(Failure::configuration)?
    {
        let script = Script::open(params, base, Device::Cpu).map_err(Failure::input)?;
        let (map, _) = script.label_map(id, picture).map_err(Failure::input)?;
        let map = segad_imaging::resize_labels(&map, height, width).map_err(Failure::input)?;
        return Ok((map, script.names().to_vec()));
    }
    let spec: SegmentsSpec = spec.clone().try_into().map_err(Failure::configuration)?;
    let source = segad_segments::open(&spec, base, height, width).map_err(Failure::configuration)?;
    let map = source.label_map(id, picture).map_err(Failure::input)?;
    Ok((map, source.names().to_vec()))
}
