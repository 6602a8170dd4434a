//! Arguments of commands about one product: `fit`, `inspect`, `explain`, `info`, `export`, `bench`,
//! `serve`.

use crate::units::{
    Since, bytes, confidence, cost, count, duration, folds, memory, positive, share, since, some,
};
use clap::Args;
use segad_core::Devices;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Backbones, for experiments and the teacher.
// Names, not `segad_nn`'s type: arguments are parsed, and `--help` is printed, without libtorch.
pub const BACKBONES: [&str; 11] = [
    "wide_resnet50_2",
    "resnet18",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "dinov2_vits14",
    "dinov2_vits14_reg",
    "dinov2_vitb14",
    "dinov2_vitb14_reg",
    "miniature",
    "miniature_vit",
];

/// Those with published weights, which `fit` can use.
pub const PRETRAINED: [&str; 7] = [
    "wide_resnet50_2",
    "resnet18",
    "efficientnet_lite2",
    "dinov2_vits14",
    "dinov2_vits14_reg",
    "dinov2_vitb14",
    "dinov2_vitb14_reg",
];

/// Networks of patch tokens.
const TOKENS: [&str; 5] = [
    "dinov2_vits14",
    "dinov2_vits14_reg",
    "dinov2_vitb14",
    "dinov2_vitb14_reg",
    "none",
];

/// Formats of exported networks.
const FORMATS: [&str; 2] = ["torchscript", "onnx"];

/// How scores become probabilities.
pub const CALIBRATIONS: [&str; 2] = ["platt", "isotonic"];

/// How to fit a product.
#[derive(Clone, Debug, Args)]
pub struct FitProduct {
    /// Folder with good/ and bad/, OK/ and NG/, or the like (sub-folders of bad/ are kinds of
    /// defect), folder arranged as VAD or MVTec AD, or list (CSV: path,label and optionally type,
    /// group, split, or a table of anomalib)
    pub data: PathBuf,
    /// Model to write
    #[arg(long, value_name = "MODEL.segad")]
    pub out: PathBuf,
    /// Name of the folder of good images in DATA; repeatable [default: good, ok or normal]
    #[arg(long, value_name = "NAME")]
    pub good: Vec<String>,
    /// Name of the folder of bad images in DATA; of several, each is a kind of defect [default: bad,
    /// ng, abnormal and the like]
    #[arg(long, value_name = "NAME")]
    pub bad: Vec<String>,
    /// Name of the product [default: that of the folder]
    #[arg(long)]
    pub name: Option<String>,
    /// Segments of the product: auto, whole, foreground, the name of a shipped map, or a file of
    /// shapes (TOML)
    #[arg(long, default_value = "auto")]
    pub segments: String,
    /// Detectors, comma-separated, e.g. patchcore,efficientad [default: what the latency allows]
    #[arg(long, value_delimiter = ',')]
    pub detectors: Vec<String>,
    /// Backbone of the detectors [default: the strongest that is installed and that the latency
    /// allows]
    #[arg(long, value_parser = PRETRAINED)]
    pub backbone: Option<String>,
    /// Network of patch tokens for further parts of the score, or none [default: dinov2_vits14 if it
    /// is installed and the latency allows it, and the head is a stack]
    #[arg(long, value_parser = TOKENS)]
    pub tokens: Option<String>,
    /// Head to keep: stack (all parts together), simplest (the simplest candidate within one standard
    /// error of the best), segad (the forest), or the name of a candidate
    #[arg(long, default_value = "stack")]
    pub head: String,
    /// Milliseconds per image that the networks may take on one core of a typical server
    #[arg(long, default_value = "1000", value_parser = positive, value_name = "MS")]
    pub latency_ms: f64,
    /// Memory for caches and temporary arrays, e.g. 4GiB
    #[arg(long, default_value = "2GiB", value_parser = memory, value_name = "SIZE")]
    pub memory: u64,
    /// How images of 16 bits per channel become 8, for all images the same and kept in the model:
    /// auto (from the smallest to the largest value of these images), full, or window:LOW:HIGH
    /// [default: such images are refused]
    #[arg(long, value_name = "SCALING")]
    pub depth: Option<String>,
    /// Side of the square that images are resized to, in pixels; multiples of 14 for DINOv2
    /// [default: 256, 224 for DINOv2]
    #[arg(long, value_parser = count, value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// Guarantee that at most this share of good images is called bad, e.g. 0.01
    #[arg(long, value_name = "SHARE", value_parser = share, group = "rule")]
    pub max_false_alarm: Option<f64>,
    /// Guarantee that at most this share of bad images is called good, e.g. 0.05
    #[arg(long, value_name = "SHARE", value_parser = share, group = "rule")]
    pub max_miss: Option<f64>,
    /// Cost of a false alarm and of a miss, e.g. 1:20; at least one above 0 [default: equal]
    #[arg(long, value_name = "FALSE_ALARM:MISS", value_parser = cost, group = "rule")]
    pub cost: Option<(f64, f64)>,
    /// Expected share of bad images in production, for --cost
    #[arg(
        long,
        default_value = "0.5",
        value_parser = share,
        value_name = "SHARE",
        requires = "cost"
    )]
    pub prevalence: f64,
    /// Confidence of guarantees and intervals
    #[arg(long, default_value = "0.95", value_parser = confidence, value_name = "LEVEL")]
    pub confidence: f64,
    /// How scores become probabilities
    #[arg(long, default_value = "platt", value_parser = CALIBRATIONS)]
    pub calibration: String,
    /// Number of cross-validation folds
    #[arg(long, default_value = "5", value_parser = folds, value_name = "N")]
    pub folds: usize,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Check the stated intervals: how often they would hold in samples of these images
    #[arg(long, conflicts_with = "json")]
    pub audit: bool,
    /// Print the model card as JSON instead of the summary
    #[arg(long)]
    pub json: bool,
    /// Number of threads; does not change the model [default: all processors]
    #[arg(long, value_parser = some, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Where networks run: cpu, cuda, cuda:N, or auto for the first GPU or else the processor
    #[arg(long, default_value = "cpu")]
    pub device: Devices,
}

/// How to inspect.
#[derive(Clone, Debug, Args)]
pub struct Inspect {
    /// The model
    pub model: PathBuf,
    /// Images, folders of images, or `-` for standard input: concatenated PNG and JPEG files, or
    /// one path per line
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Write the results to a file instead, in the format that its name ends in: .jsonl (or .json),
    /// .csv or .parquet; an interrupted run leaves FILE.partial
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Folder for a picture of each image with its heat map and segment outlines
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Maximum number of reasons per image
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub reasons: usize,
    /// Treat the one path as labelled, arranged as for `fit`, and compare verdicts with labels
    #[arg(long, conflicts_with = "watch")]
    pub labelled: bool,
    /// With --labelled, as for `fit`
    #[arg(long, value_name = "NAME", requires = "labelled")]
    pub good: Vec<String>,
    /// With --labelled, as for `fit`
    #[arg(long, value_name = "NAME", requires = "labelled")]
    pub bad: Vec<String>,
    /// Keep inspecting files that appear or change in the folders, until Ctrl-C. A restart
    /// continues where the last run with the same model and folders ended
    #[arg(long, conflicts_with = "latency")]
    pub watch: bool,
    /// What a watch judges of the files that it finds at the start, instead of those without a
    /// record: all, now (none), or what changed within a time, e.g. 12h
    #[arg(long, requires = "watch", value_name = "WHEN", value_parser = since)]
    pub since: Option<Since>,
    /// How long a watch waits for a file that cannot be read to become complete
    #[arg(long, requires = "watch", default_value = "10s", value_name = "TIME",
          value_parser = duration)]
    pub patience: Duration,
    /// Folder to which a watch moves judged files
    #[arg(long, requires = "watch", value_name = "DIR")]
    pub done: Option<PathBuf>,
    /// Use all threads on one image at a time, for the shortest latency, rather than many images
    /// in parallel
    #[arg(long)]
    pub latency: bool,
    /// Number of threads [default: all processors]
    #[arg(long, value_parser = some, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Where networks run: cpu, cuda, cuda:N, or auto for the first GPU or else the processor
    #[arg(long, default_value = "cpu")]
    pub device: Devices,
}

/// How to explain.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The model
    pub model: PathBuf,
    /// The image
    pub image: PathBuf,
    /// Page to write [default: the image's name with .html, in the working folder]
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// Replace the page if it exists
    #[arg(long)]
    pub force: bool,
    /// Maximum number of statistics and places shown
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub reasons: usize,
}

/// Which model to describe.
#[derive(Clone, Debug, Args)]
pub struct Info {
    /// The model
    pub model: PathBuf,
    /// Print one JSON object: the file and its sections, and the model card
    #[arg(long)]
    pub json: bool,
}

/// What to export.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The model
    pub model: PathBuf,
    /// Folder to write, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace files in the folder
    #[arg(long)]
    pub force: bool,
    /// Format of networks: torchscript, which PyTorch's makers have deprecated, or onnx, then also
    /// of the trees
    #[arg(long, default_value = "torchscript", value_parser = FORMATS)]
    pub format: String,
    /// How much an exported map may differ, relative to its largest value
    #[arg(long, default_value_t = 1e-4)]
    pub epsilon: f32,
    /// Python with the package onnxruntime, which runs exported ONNX for the comparison
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    pub python: PathBuf,
}

/// How to measure a model's speed.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// The model
    pub model: PathBuf,
    /// Images to use instead of the samples that the model contains
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Seconds per measurement
    #[arg(long, default_value = "3", value_parser = positive)]
    pub seconds: f64,
    /// Number of threads [default: all processors]
    #[arg(long, value_parser = some, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to serve, where, and how much of it.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// A model, or a result store as in --store; without either, only the segment editor
    pub path: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one. The default is reachable only from this
    /// machine
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Host name that requests may use besides localhost and the address; repeatable
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Folder of photographs: what the model was fitted on, or the data set. Nothing else is read
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Segments to show for a store: a name, a file of shapes, or a table
    #[arg(long)]
    pub segments: Option<String>,
    /// Show only rows of a store whose name contains this; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Concurrent inspections; each holds its own copy of the networks
    #[arg(long, default_value = "1", value_parser = count, value_name = "N")]
    pub workers: usize,
    /// Requests that may wait for a worker
    #[arg(long, default_value = "32", value_parser = count, value_name = "N")]
    pub queue: usize,
    /// Largest accepted image file, e.g. 32MiB
    #[arg(long, default_value = "32MiB", value_parser = bytes, value_name = "SIZE")]
    pub max_body: u64,
    /// Threads per inspection [default: all processors]
    #[arg(long, value_parser = some, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Where networks run: cpu, cuda, cuda:N, or auto for the first GPU or else the processor
    #[arg(long, default_value = "cpu")]
    pub device: Devices,
}
