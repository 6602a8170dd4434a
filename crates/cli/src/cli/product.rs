//! The commands about one product: `fit`, `inspect`, `explain`, `export`, `bench`.

use super::bytes;
use clap::Args;
use segad_core::Device;
use segad_nn::BackboneKind;
use segad_product::CalibrationKind;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How to fit a product.
#[derive(Clone, Debug, Args)]
pub struct FitProduct {
    /// The images: a folder with good/ and bad/ (sub-folders of bad/ are kinds of defect), one
    /// arranged as VAD or MVTec AD, or a list (CSV: path,label and optionally type, group).
    pub data: PathBuf,
    /// Where to write the model.
    #[arg(long, value_name = "MODEL.segad")]
    pub out: PathBuf,
    /// The product's name; by default that of the folder.
    #[arg(long)]
    pub name: Option<String>,
    /// The parts of the product: auto, whole, foreground, the name of a shipped map, or a file of
    /// shapes (TOML).
    #[arg(long, default_value = "auto")]
    pub segments: String,
    /// Detectors, separated by commas: patchcore, fastflow, rd4ad, efficientad; by default what the
    /// latency allows.
    #[arg(long, value_delimiter = ',')]
    pub detectors: Vec<String>,
    /// The backbone of the detectors; by default the strongest that is there and that the latency
    /// allows.
    #[arg(long)]
    pub backbone: Option<BackboneKind>,
    /// Milliseconds that the networks may take for an image on one core of a usual server.
    #[arg(long, default_value_t = 1000.0)]
    pub latency_ms: f64,
    /// Memory for caches and temporary arrays, e.g. 4GiB.
    #[arg(long, default_value = "2GiB", value_parser = bytes)]
    pub memory: u64,
    /// Side of the square that images are brought to, in pixels.
    #[arg(long, default_value_t = 256)]
    pub image_size: usize,
    /// Promise: at most this share of the good images is called bad, e.g. 0.01.
    #[arg(long, value_name = "SHARE", group = "rule")]
    pub max_false_alarm: Option<f64>,
    /// Promise: at most this share of the bad images is called good, e.g. 0.05.
    #[arg(long, value_name = "SHARE", group = "rule")]
    pub max_miss: Option<f64>,
    /// Cost of a false alarm and of a miss, e.g. 1:20; without any of these rules both cost the
    /// same.
    #[arg(long, value_name = "FALSE_ALARM:MISS", value_parser = cost, group = "rule")]
    pub cost: Option<(f64, f64)>,
    /// Share of bad images to come, for the cost.
    #[arg(long, default_value_t = 0.5)]
    pub prevalence: f64,
    /// Confidence of promises and intervals.
    #[arg(long, default_value_t = 0.95)]
    pub confidence: f64,
    /// How scores become probabilities: platt or isotonic.
    #[arg(long, default_value = "platt")]
    pub calibration: CalibrationKind,
    /// Parts that the images are split into for measuring.
    #[arg(long, default_value_t = 5)]
    pub folds: usize,
    /// Decides everything random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The model card as JSON instead of the summary.
    #[arg(long)]
    pub json: bool,
    /// Threads; by default all. They change no bit of the model.
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Where networks run: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
}

/// How to inspect.
#[derive(Clone, Debug, Args)]
pub struct Inspect {
    /// The model.
    pub model: PathBuf,
    /// Images, folders of images, or - for standard input: pictures one behind the other, or one
    /// path a line.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Write the results to a file instead: .parquet, or else JSON lines.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write a picture of each image there, with its heat map and the outlines of the segments.
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Reasons for each image, at most.
    #[arg(long, default_value_t = 3)]
    pub reasons: usize,
    /// The one path is labelled, arranged as for fit; the verdicts are compared with the labels at
    /// the end.
    #[arg(long, conflicts_with = "watch")]
    pub labelled: bool,
    /// Go on with files that appear in the folders, until Ctrl-C.
    #[arg(long, conflicts_with = "latency")]
    pub watch: bool,
    /// One image at a time with all threads, for the shortest answer; by default many side by side,
    /// for the most images.
    #[arg(long)]
    pub latency: bool,
    /// Threads; by default all.
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Where networks run: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
}

/// How to explain.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The model.
    pub model: PathBuf,
    /// The image.
    pub image: PathBuf,
    /// Where to write the page; by default beside the working folder's files, named as the image.
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// Statistics and places shown, at most.
    #[arg(long, default_value_t = 8)]
    pub reasons: usize,
}

/// What to hand to other programs.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The model.
    pub model: PathBuf,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How much an exported map may differ, relative to its largest value.
    #[arg(long, default_value_t = 1e-4)]
    pub epsilon: f32,
}

/// How to measure a model's speed.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// The model.
    pub model: PathBuf,
    /// Images to use instead of the few that the model carries.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Threads; by default all.
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `1:20`.
fn cost(text: &str) -> Result<(f64, f64), String> {
    let bad = || format!("{text:?}: expected two numbers, e.g. 1:20");
    let (a, b) = text.split_once(':').ok_or_else(bad)?;
    Ok((
        a.trim().parse().map_err(|_| bad())?,
        b.trim().parse().map_err(|_| bad())?,
    ))
}
