//! `export`: a model for other programs.

mod onnx;

use super::fit::failure;
use super::inspect::open_model;
use super::outputs;
use segad_args::Export;
use segad_core::{Device, Image};
use segad_imaging::encode_labels_png;
use segad_methods::frozen;
use segad_nn::Preprocess;
use segad_product::{Card, Inspector, Recorded, Scorer, TokenPart};
use segad_runner::Failure;
use std::path::Path;

pub(super) fn run(args: &Export) -> Result<(), Failure> {
    outputs::keep_full("--out", &args.out, args.force)?;
    let model = open_model(&args.model)?;
    segad_nn::set_threads(1);
    let inspector = Inspector::new(&model, Device::Cpu).map_err(failure)?;
    let samples = model.samples().map_err(failure)?;
    segad_files::create_dir(&args.out)?;
    let out = &args.out;
    let mut text = if args.format == "onnx" {
        onnx::write(args, &inspector, &samples)?
    } else {
        torchscript(args, &inspector, &samples)?
    };
    if let Some(forest) = model.forest().map_err(failure)? {
        write(out, "forest.json", forest.xgboost_json())?;
        segad_files::write_json(&out.join("columns.json"), &forest.columns())?;
    }
    if let Some(trees) = inspector.classifier_trees() {
        write(out, "classifier-trees.json", trees.xgboost_json())?;
        segad_files::write_json(&out.join("classifier-columns.json"), &trees.columns())?;
    }
    for (name, bytes) in model.token_files() {
        write(out, name, bytes)?;
    }
    if let Some(first) = samples.first() {
        let map = inspector.segments(first).map_err(failure)?;
        let png = encode_labels_png(&map)?;
        write(out, "segments.png", &png)?;
    }
    let card = model.card();
    segad_files::write_json(&out.join("card.json"), card)?;
    write(out, "README.md", definition(card, &args.format).as_bytes())?;
    text.push_str(&format!("{}\n", out.display()));
    super::print(&text)
}

/// Writes the networks as TorchScript; returns how far each is from the model's.
fn torchscript(args: &Export, inspector: &Inspector, samples: &[Image]) -> Result<String, Failure> {
    let place = |name: &str| args.out.join(format!("{name}.pt"));
    let recorded = inspector.export(samples, place).map_err(failure)?;
    let mut text = String::new();
    for Recorded { name, apart } in &recorded {
        text.push_str(&differs(&format!("{name}.pt"), *apart, samples.len()));
        refuse(args, &format!("{name}.pt"), *apart)?;
    }
    Ok(text)
}

fn differs(file: &str, apart: f32, images: usize) -> String {
    format!("{file}: its output for {images} images differs by {apart:.1e} at most\n")
}

/// Removes a file that gives something else: nobody should use it.
fn refuse(args: &Export, file: &str, apart: f32) -> Result<(), Failure> {
    if apart <= args.epsilon {
        return Ok(());
    }
    segad_files::remove(&args.out.join(file))?;
    Err(Failure::Differs(format!(
        "{file}: the exported output differs by {apart:.1e} of the largest value, more than {:.1e}; \
         the file was removed",
        args.epsilon
    )))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    Ok(segad_files::write_atomic(&folder.join(name), bytes)?)
}

/// What an exported network takes.
fn input(kind: &str, p: &Preprocess) -> String {
    let Preprocess {
        height,
        width,
        mean,
        std,
        filter,
    } = p;
    let filter = filter.as_str();
    format!(
        "{kind}, from an 8-bit RGB image, resized to {height}×{width} (Pillow's antialiased {filter}, the aspect is not \
         kept), (x/255 − mean)/std with mean {mean:?} and std {std:?} for R, G, B, 1×3×{height}×{width} `float32`, recorded for \
         batches of one image"
    )
}

/// How the exported parts give the score.
fn definition(card: &Card, format: &str) -> String {
    let (kind, ending) = match format {
        "onnx" => ("ONNX", "onnx"),
        _ => ("TorchScript", "pt"),
    };
    let mut out = format!(
        "# {}\n\nHow the files of this folder give a score (images: {}):\n\n",
        card.name,
        card.reading.describe()
    );
    for d in &card.detectors {
        out.push_str(&format!(
            "- `{}.{ending}`: {}; to the anomaly map, 1×M×M `float32`.\n",
            d.name,
            input(kind, &d.settings.preprocess())
        ));
    }
    if let Some(c) = &card.classifier {
        let side = c.settings.image_size;
        let gives = match c.settings.head {
            frozen::Head::Logistic => "its logit, 1 `float32`",
            frozen::Head::Trees => {
                "columns named in `classifier-columns.json`, 1×C `float32`, of which `classifier-trees.json` (XGBoost's \
                 model) makes its logit, the raw margin"
            }
        };
        out.push_str(&format!(
            "- `classifier.{ending}`, the classifier {}: {}; to {gives}.\n",
            c.name,
            input(kind, &c.settings.backbone.preprocess(side, side))
        ));
    }
    if let Some(tokens) = &card.tokens {
        let side = tokens.settings.image_size;
        out.push_str(&format!(
            "- `tokens.{ending}`, patch tokens of {} after {}: {}; to the layers side by side, 1×places×C `float32`.\n",
            tokens.settings.backbone,
            tokens.settings.layers.join(" and "),
            input(kind, &tokens.settings.backbone.preprocess(side, side))
        ));
    }
    if format == "onnx" && card.scorer.has_forest() {
        out.push_str("- `forest.onnx` is `forest.json` as `TreeEnsembleRegressor`.\n");
    }
    for scorer in card.scorer.single() {
        define(card, scorer, &mut out);
    }
    if let Scorer::Stack { parts, .. } = &card.scorer {
        let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        out.push_str(&format!(
            "- The score is Σ weight · max(−1, (x − mean)/deviation) over {}, in this order; `card.json` has the numbers \
             under `head`, `weights`.\n",
            names.join(", ")
        ));
    }
    out.push_str(&format!(
        "- An image is called bad if its score is at or above {}. `card.json` holds everything else: calibration, usual \
         ranges, what was measured.\n",
        card.operating.threshold
    ));
    out
}

/// How the exported parts give a single score.
fn define(card: &Card, scorer: &Scorer, out: &mut String) {
    match scorer {
        Scorer::Detector { detector } => out.push_str(&format!(
            "- {} gives {} of its map.\n",
            card.detectors[*detector].name,
            card.detectors[*detector].settings.map_score()
        )),
        Scorer::Classifier { .. } => out.push_str("- The classifier gives its logit.\n"),
        Scorer::Tokens { part } => out.push_str(&format!("- {}\n", define_tokens(*part))),
        Scorer::Stack { .. } => {}
        Scorer::Forest { .. } => {
            let level = 100.0 * card.features.quantile;
            out.push_str(&format!(
                "- `segments.png`: values 0 to {} are the labels of {} (where segments depend on the image: those of one \
                 training image).\n\
                 - Of each segment and map: `q{level}`, the {level} % quantile (linear between neighbours); `skewness` \
                 m3/m2^1.5 and `kurtosis` m4/m2² − 3 of central moments, biased, missing (NaN) where the segment is constant; \
                 `mean`. `detector/max` is the maximum of a whole map. An absent segment gives zeros. `columns.json` is the \
                 order.\n\
                 - `forest.json`: XGBoost's model of these columns; SegAD gives its raw margin (`output_margin=True`).\n",
                card.segment_names.len() - 1,
                card.segment_names.join(", ")
            ));
        }
    }
}

/// How a part on patch tokens gives its score; counts are those of 256 places.
fn define_tokens(part: TokenPart) -> &'static str {
    match part {
        TokenPart::Nearest => {
            "nearest gives the mean of the 8 largest d over the places; d is 1 − the largest cosine similarity to a row of \
             `token-bank.bf16` (rows of length 1, layer after layer), averaged over the layers before the maximum."
        }
        TokenPart::Filter => {
            "filter gives the mean of the 8 largest (weight·x − mean)/deviation, x the first layer's tokens, numbers from \
             `token-parts.json`."
        }
        TokenPart::Spread => {
            "spread gives offset + weight·v, v the standard deviation over the places of every channel of every layer, \
             numbers from `token-parts.json`."
        }
        TokenPart::Instances => {
            "instances gives bias + ln(mean of e^s over the 24 largest s), s = offset + slope·d + weight·x, x and d those of \
             the first layer by itself, numbers from `token-parts.json`."
        }
    }
}
