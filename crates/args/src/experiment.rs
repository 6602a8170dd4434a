//! Arguments of commands that run experiments.

use crate::product::BACKBONES;
use crate::units::{count, duration, memory, some};
use clap::{Args, Subcommand, ValueEnum};
use segad_core::{Devices, Precision};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What an experiment's settings are.
#[derive(Clone, Debug, Args)]
pub struct SettingsArgs {
    /// Profile of the experiment file; the shipped ones have quick and smoke besides paper, which is
    /// the file itself
    #[arg(long, default_value = "paper")]
    pub profile: String,
    /// Change a setting, e.g. `--set seeds=[1,2]`; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use the anomaly maps in this folder instead of images; imported first if they are not yet
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
}

/// Which cells an experiment has, and what they are computed from.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// The experiment's settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Run only rows whose name contains this; repeatable
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Skip rows whose name contains this; repeatable
    #[arg(long, value_name = "TEXT")]
    pub exclude: Vec<String>,
    /// Folder of the data set, or of several with their manifests; `mini` generates miniature sets
    /// [default: data/ in the cache folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Your own manifest of the data set
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The result store: a folder or s3://BUCKET/PREFIX [default: store/ in the cache folder]
    #[arg(long, env = "SEGAD_STORE", value_name = "PLACE")]
    pub store: Option<PathBuf>,
    /// Retry cells that failed in an earlier run; otherwise they stay failed until the program
    /// changes
    #[arg(long)]
    pub rerun_failed: bool,
    /// What may be used for it.
    #[command(flatten)]
    pub machine: Machine,
    /// Family of the processors that compute, where it is not this one's: it is part of keys.
    /// A machine of another family refuses to compute and names its own [default: this processor's]
    #[arg(long, value_name = "FAMILY")]
    pub processor: Option<String>,
    /// Images per forward pass
    #[arg(long, default_value = "8", value_parser = count, value_name = "N")]
    pub batch: usize,
}

/// How to run an experiment.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What to run.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Folder for tables and report [default: results/EXPERIMENT/; with profile smoke
    /// results/smoke/EXPERIMENT/; for the demo results/local/demo/]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Compare the tables with the paper and with those in --out; exit with 6 if they differ beyond
    /// the tolerance
    #[arg(long)]
    pub check: bool,
    /// How many times to retry a failing cell at once
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub retries: u32,
    /// Time limit per cell, e.g. 90s, 30m or 12h; training that is stopped keeps its checkpoint
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_limit: Option<Duration>,
}

/// Who computes the cells of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Executor {
    /// This process.
    #[default]
    Local,
    /// Tasks of Slurm.
    Slurm,
    /// Tasks of HyperQueue.
    Hq,
}

/// Where the cells of an experiment are computed.
#[derive(Clone, Debug, Default, Args)]
pub struct ExecutorArgs {
    /// Compute cells here, or as tasks of Slurm or HyperQueue
    #[arg(long, value_enum, default_value = "local")]
    pub executor: Executor,
    /// Another argument for sbatch, e.g. `--slurm-arg=--partition=gpu`; repeatable
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub slurm_arg: Vec<String>,
}

/// What is printed for a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A shell script of calls of sbatch.
    Slurm,
    /// A job file for hq.
    Hq,
    /// Manifests for kubectl.
    K8s,
}

/// What networks may use.
#[derive(Clone, Debug, Args)]
pub struct Machine {
    /// Number of threads [default: all processors]
    #[arg(long, value_parser = some, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Memory for caches and temporary arrays, e.g. 4GiB
    #[arg(long, default_value = "2GiB", value_parser = memory, value_name = "SIZE")]
    pub memory: u64,
    /// Where networks run: cpu, cuda, several as cuda:0,cuda:1, or auto for all GPUs or else the
    /// processor
    #[arg(long, default_value = "cpu")]
    pub device: Devices,
    /// Arithmetic of networks: f32 or bf16
    #[arg(long, default_value = "f32")]
    pub precision: Precision,
}

/// What to train.
#[derive(Debug, Subcommand)]
pub enum FitCommand {
    /// Distil EfficientAD's teacher from a backbone
    ///
    /// A small network learns a backbone's features on any images, the more the better. For those
    /// who cannot get the published teachers, whose results it does not reach.
    EfficientadTeacher(Teacher),
}

/// Sizes of EfficientAD's teacher.
pub const NETWORKS: [&str; 3] = ["medium", "small", "miniature"];

/// How to make EfficientAD's teacher.
#[derive(Debug, Args)]
pub struct Teacher {
    /// Folder of images, searched recursively
    pub images: PathBuf,
    /// Size of the teacher
    #[arg(long, default_value = "medium", value_parser = NETWORKS)]
    pub network: String,
    /// Backbone whose features it learns
    #[arg(long, default_value = "wide_resnet50_2", value_parser = BACKBONES)]
    pub backbone: String,
    /// Side of its input in pixels [default: 256]
    #[arg(long, value_parser = count, value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// Training steps [default: 60000, as published]
    #[arg(long, value_name = "N")]
    pub iterations: Option<u64>,
    /// Images per step [default: 16]
    #[arg(long, value_parser = count, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// File to write [default: where EfficientAD looks for it]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What may be used for it.
    #[command(flatten)]
    pub machine: Machine,
}
