//! `explain`: one page about one image.

use super::fit::failure;
use super::inspect::open_model;
use segad_args::Explain;
use segad_core::Device;
use segad_imaging::{encode_png, outline};
use segad_product::Inspector;
use segad_report::{Explanation, SimilarPatch, explanation_html};
use segad_runner::Failure;
use std::path::PathBuf;

/// Suspicious places shown.
const PLACES: usize = 6;

pub(super) fn run(args: &Explain) -> Result<(), Failure> {
    let model = open_model(&args.model)?;
    let inspector = Inspector::new(&model, Device::Cpu).map_err(failure)?;
    let image = segad_imaging::open(&args.image).map_err(Failure::input)?;
    let seen = inspector.inspect(&image).map_err(failure)?;
    let png = |image: &segad_core::Image| encode_png(image).map_err(Failure::input);
    let outlined = outline(&image, &seen.segments, [255, 200, 0]).map_err(Failure::input)?;
    let mut pictures = vec![
        ("the image".to_owned(), png(&image)?),
        (
            "the map over it; bright is beyond what good images reach".to_owned(),
            { png(&seen.picture(&image).map_err(failure)?)? },
        ),
    ];
    if seen.segments.segments() > 1 {
        pictures.push(("the segments".to_owned(), png(&outlined)?));
    }
    for (map, card) in seen.maps.iter().zip(&inspector.card().detectors) {
        let [low, high] = card.scale;
        let heat =
            segad_imaging::heatmap(map, low, low + 2.0 * (high - low)).map_err(Failure::input)?;
        pictures.push((format!("{}, raw", card.name), png(&heat)?));
    }
    let patches = inspector
        .neighbours(&model, &image, PLACES)
        .map_err(failure)?;
    let patches = patches
        .iter()
        .map(|p| {
            Ok(SimilarPatch {
                centre: p.centre,
                distance: f64::from(p.distance),
                here: png(&p.here)?,
                nearest: png(&p.nearest)?,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let card = inspector.card();
    let mut strongest = seen.reasons.clone();
    strongest.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    strongest.truncate(args.reasons);
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
            .iter()
            .map(|w| (w.segment.clone(), w.contribution))
            .collect(),
        reasons: strongest,
        patches,
        notes: card
            .summary()
            .lines()
            .filter(|l| !l.trim().is_empty())
            .map(str::to_owned)
            .collect(),
    });
    let out = args.out.clone().unwrap_or_else(|| {
        let stem = args
            .image
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        PathBuf::from(format!("{stem}.html"))
    });
    segad_files::write_atomic(&out, page.as_bytes()).map_err(Failure::input)?;
    super::print(&format!("{}\n", out.display()))
}
