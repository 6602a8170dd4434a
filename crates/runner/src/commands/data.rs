//! `data` and `segments`: look at what goes in.

use super::setup;
use crate::Failure;
use crate::cli::Data;
use crate::progress::Bars;
use segad_core::{ImageId, SegmentSource};
use segad_provision::Cache;
use segad_segments::SegmentsSpec;
use segad_store::atomic;
use std::path::Path;

/// How many names of a kind are listed before the rest is counted.
const LISTED: usize = 20;

pub(super) fn run(command: Data, bars: &Bars) -> Result<(), Failure> {
    match command {
        Data::Verify { dataset, data } => verify(&dataset, data.as_deref(), bars),
        Data::Miniature { folder, size, seed } => {
            let params = segad_miniature::Params { size, seed: segad_core::Seed(seed) };
            segad_miniature::write(&folder, &params, bars).map_err(Failure::input)
        }
    }
}

/// Looks at every file of a data set.
fn verify(dataset: &str, data: Option<&Path>, bars: &Bars) -> Result<(), Failure> {
    let cache = Cache::from_env().map_err(Failure::configuration)?;
    let dataset = setup::dataset(dataset, None, data, &cache, bars)?;
    let mut text = String::new();
    let mut wrong = 0;
    for class in dataset.classes() {
        let report = dataset.verify(class, bars).map_err(Failure::input)?;
        wrong += usize::from(!report.is_ok());
        let verdict = if report.is_ok() { "as it should be" } else { "not as it should be" };
        text.push_str(&format!("{class}: {} images, {verdict}\n", report.images));
        list(&mut text, "missing", report.missing.iter().map(ToString::to_string).collect());
        list(&mut text, "extra", report.extra);
        let unreadable = report.unreadable.iter().map(|(id, why)| format!("{id}: {why}")).collect();
        list(&mut text, "unreadable", unreadable);
        let counts = report.counts.iter();
        let counts = counts
            .map(|c| format!("{} {}: {} expected, {} found", c.part.as_str(), c.group, c.expected, c.found));
        list(&mut text, "count", counts.collect());
        list(&mut text, "fault", report.faults);
    }
    super::print(&text)?;
    match wrong {
        0 => Ok(()),
        n => Err(Failure::Input(format!(
            "{n} classes of {} are not as they should be",
            dataset.manifest().name
        ))),
    }
}

fn list(text: &mut String, what: &str, names: Vec<String>) {
    for name in names.iter().take(LISTED) {
        text.push_str(&format!("  {what}: {name}\n"));
    }
    if names.len() > LISTED {
        text.push_str(&format!("  {what}: and {} more\n", names.len() - LISTED));
    }
}

/// Draws a source's label map over an image.
pub(super) fn segments(source: &str, image: &Path, out: &Path) -> Result<(), Failure> {
    let value = match toml::from_str::<toml::Table>(&format!("v = {source}")) {
        Ok(mut table) => table.remove("v"),
        Err(_) => None,
    };
    let value = value.unwrap_or_else(|| toml::Value::String(source.to_owned()));
    let spec: SegmentsSpec = value.try_into().map_err(Failure::configuration)?;
    let picture = segad_imaging::open(image).map_err(Failure::input)?;
    let base = Path::new("datasets/segments");
    let source = segad_segments::open(&spec, base, picture.height(), picture.width())
        .map_err(Failure::configuration)?;
    let map =
        source.label_map(&ImageId::new(image.display().to_string()), &picture).map_err(Failure::input)?;
    let drawn = segad_segments::overlay(&picture, &map).map_err(Failure::input)?;
    atomic::write_atomic(out, &segad_imaging::encode_png(&drawn).map_err(Failure::input)?)
        .map_err(Failure::input)?;
    let total = (map.height() * map.width()) as f64;
    let mut text = String::new();
    for (name, area) in source.names().iter().zip(map.areas()) {
        text.push_str(&format!("{name}: {area} px, {:.1} %\n", 100.0 * area as f64 / total));
    }
    super::print(&text)
}
