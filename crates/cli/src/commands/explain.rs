//! `explain`: one page about one image.

use super::fit::failure;
use super::inspect::open_model;
use super::outputs;
use segad_args::Explain;
use segad_core::{Device, Image};
use segad_imaging::{encode_png, heatmap, outline};
use segad_product::{Card, Inspection, Inspector, Photograph};
use segad_report::{Explanation, SimilarPatch, explanation_html};
use segad_runner::Failure;
use std::path::PathBuf;

/// Suspicious places shown.
const PLACES: usize = 6;

pub(super) fn run(args: &Explain) -> Result<(), Failure> {
    let out = page(args);
    outputs::keep_inputs("--out", &out, &[&args.image, &args.model])?;
    outputs::keep_existing("--out", &out, args.force)?;
    let model = open_model(&args.model)?;
    let inspector = Inspector::new(&model, Device::Cpu).map_err(failure)?;
    let bytes = segad_imaging::read_image(&args.image)?;
    let Photograph { image, warnings } = inspector.decode(&bytes).map_err(|e| e.at(&args.image))?;
    let seen = inspector.inspect(&image).map_err(failure)?;
    let mut patches = Vec::new();
    for place in inspector
        .neighbours(&model, &image, PLACES)
        .map_err(failure)?
    {
        patches.push(SimilarPatch {
            centre: place.centre,
            distance: f64::from(place.distance),
            here: png(&place.here)?,
            nearest: png(&place.nearest)?,
        });
    }
    let card = inspector.card();
    let pictures = pictures(card, &image, &seen)?;
    let mut strongest = seen.reasons;
    // A reason against is as telling as one for.
    strongest.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    strongest.truncate(args.reasons);
    let summary = card.summary();
    let summary = summary.lines().filter(|line| !line.trim().is_empty());
    let summary = summary.map(str::to_owned);
    let page = explanation_html(&Explanation {
        image: args.image.display().to_string(),
        model: card.name.clone(),
        bad: seen.verdict.is_bad(),
        score: f64::from(seen.score),
        threshold: card.operating.threshold,
        probability: seen.probability,
        pictures,
        segments: seen
            .segments_by_weight
            .into_iter()
            .map(|w| (w.segment, w.contribution))
            .collect(),
        reasons: strongest,
        patches,
        notes: warnings.into_iter().chain(summary).collect(),
    });
    segad_files::write_atomic(&out, page.as_bytes())?;
    super::print(&format!("{}\n", out.display()))
}

/// Where the page goes.
fn page(args: &Explain) -> PathBuf {
    args.out.clone().unwrap_or_else(|| {
        let mut name = args.image.file_stem().unwrap_or_default().to_owned();
        name.push(".html");
        name.into()
    })
}

fn png(image: &Image) -> Result<Vec<u8>, Failure> {
    Ok(encode_png(image)?)
}

/// The image, its map, its segments and the raw map of each detector, as PNG with their captions.
fn pictures(
    card: &Card,
    image: &Image,
    seen: &Inspection,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut pictures = vec![
        ("the image".to_owned(), png(image)?),
        (
            "its anomaly map; bright exceeds what good images reach".to_owned(),
            png(&seen.picture(image).map_err(failure)?)?,
        ),
    ];
    if seen.segments.segments() > 1 {
        let outlined = outline(image, &seen.segments, [255, 200, 0])?;
        pictures.push(("the segments".to_owned(), png(&outlined)?));
    }
    for (map, (name, [low, high])) in seen.maps.iter().zip(card.maps()) {
        // Twice the range of good images, so that a defect does not saturate at once.
        let heat = heatmap(map, low, low + 2.0 * (high - low))?;
        pictures.push((format!("{name}, raw"), png(&heat)?));
    }
    Ok(pictures)
}
