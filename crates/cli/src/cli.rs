//! The command line of `segad`.

pub mod product;
pub mod serve;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use segad_core::{Device, Precision};
use segad_import::Layout;
use segad_methods::teacher::PdnSize;
use segad_nn::BackboneKind;
use std::path::PathBuf;
use std::time::Duration;

/// Supervised anomaly detection for complex industrial images.
#[derive(Debug, Parser)]
#[command(name = "segad", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// No progress bars; errors are still shown.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More messages; twice for debugging. `RUST_LOG` overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 some cells failed · 2 usage · 3 configuration · 4 nothing selected · \
                          5 missing or damaged input · 6 differs beyond tolerance (--check) · 130 interrupted";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The demo: SegAD on real solar cells (experiments/demo.toml).
    Demo(Run),
    /// Run the experiments of the paper's tables, e.g. `table5 table8`, or `all` of them.
    Reproduce {
        /// Names of files in experiments/, without `.toml`; `all`: every table and figure of the
        /// paper.
        #[arg(required = true)]
        tables: Vec<String>,
        /// How to run.
        #[command(flatten)]
        run: Run,
    },
    /// Run any experiment file.
    Sweep {
        /// The experiment file.
        file: PathBuf,
        /// How to run.
        #[command(flatten)]
        run: Run,
    },
    /// Say what a run would compute, and why.
    Plan {
        /// The experiment file.
        file: PathBuf,
        /// How it would be run.
        #[command(flatten)]
        run: Run,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look at a data set.
    Data {
        /// What to do.
        #[command(subcommand)]
        command: Data,
    },
    /// Fit a model of one product from good and a few bad images; or train a network that detectors
    /// need beforehand.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Fit {
        /// What to train instead.
        #[command(subcommand)]
        command: Option<FitCommand>,
        /// How to fit.
        #[command(flatten)]
        fit: Option<product::FitProduct>,
    },
    /// Inspect images with a model: one line an image, in order.
    Inspect(product::Inspect),
    /// Write a page that shows why a model says what it says about an image.
    Explain(product::Explain),
    /// Hand a model to other programs: TorchScript of the networks, XGBoost's JSON of the forest,
    /// the definition of the statistics. Refuses if the exported networks give other maps.
    Export(product::Export),
    /// Measure a model's speed on this machine.
    Bench(product::Bench),
    /// Bring in what others computed.
    Import {
        /// What.
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Look after the stored results.
    Store {
        /// What to do.
        #[command(subcommand)]
        command: StoreCommand,
        /// Where results are stored; by default below the cache folder.
        #[arg(long, env = "SEGAD_STORE", global = true)]
        store: Option<PathBuf>,
    },
    /// Make the tables of results again out of their metrics; runs nothing.
    Tables {
        /// Folders below the results; by default all.
        names: Vec<String>,
        /// Where results lie.
        #[arg(long, default_value = "results")]
        results: PathBuf,
        /// Write nothing; exit with 6 where a table is not what its metrics give.
        #[arg(long)]
        check: bool,
    },
    /// Show the settings of an experiment.
    Config {
        /// The experiment file.
        file: PathBuf,
        /// Where each value comes from.
        #[arg(long)]
        origin: bool,
        /// How it would be run.
        #[command(flatten)]
        run: Run,
    },
    /// Look at a segment source.
    Segments {
        /// What to do.
        #[command(subcommand)]
        command: SegmentsCommand,
    },
    /// Look at generated defects.
    Defects {
        /// What to do.
        #[command(subcommand)]
        command: DefectsCommand,
    },
    /// Serve a page and an HTTP API on this machine: look through scored images, choose a
    /// threshold, inspect images, draw segments (docs/http-api.md).
    Serve(serve::Serve),
    /// Completions for a shell, on standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// How to run an experiment.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// A profile of the experiment file: `paper`, `quick`, `smoke`.
    #[arg(long, default_value = "paper")]
    pub profile: String,
    /// Change a setting, e.g. `--set seeds=[1,2]`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Only rows whose name contains this; may be repeated.
    #[arg(long)]
    pub only: Vec<String>,
    /// No rows whose name contains this; may be repeated.
    #[arg(long)]
    pub exclude: Vec<String>,
    /// Where the data set lies, or a folder of several with their manifests; by default below the
    /// cache folder. `mini`: miniature sets, made on the spot.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// A folder of anomaly maps to use instead of images; imported first, where it is not yet.
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
    /// A data-set manifest of your own.
    #[arg(long)]
    pub manifest: Option<PathBuf>,
    /// Where results are stored; by default below the cache folder.
    #[arg(long, env = "SEGAD_STORE")]
    pub store: Option<PathBuf>,
    /// Where tables and report are written; by default results/<experiment>/, in profile smoke
    /// results/smoke/<experiment>/.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Compare the tables with the paper and with those in --out; exit with 6 if they differ beyond
    /// the tolerance.
    #[arg(long)]
    pub check: bool,
    /// Try again what failed in an earlier run; otherwise its failure stands until the program
    /// changes.
    #[arg(long)]
    pub rerun_failed: bool,
    /// How often a cell that fails is tried again at once.
    #[arg(long, default_value_t = 0)]
    pub retries: u32,
    /// How long one cell may take, e.g. 90s, 30m or 12h. A training that is stopped keeps its
    /// checkpoint.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_limit: Option<Duration>,
    /// What may be used for it.
    #[command(flatten)]
    pub machine: Machine,
    /// Images in one forward pass.
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
}

/// What networks may use.
#[derive(Clone, Debug, Args)]
pub struct Machine {
    /// Threads; by default all.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Memory for caches and temporary arrays, e.g. 4GiB.
    #[arg(long, default_value = "2GiB", value_parser = bytes)]
    pub memory: u64,
    /// Where networks run: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// How networks compute: f32 or bf16.
    #[arg(long, default_value = "f32")]
    pub precision: Precision,
}

/// What to do with segments.
#[derive(Debug, Subcommand)]
pub enum SegmentsCommand {
    /// Draw a source over an image, and say what there is to say about its segments.
    Show {
        /// Name of a shapes file, `whole`, or a table, e.g.
        /// `{ kind = "folder", path = "masks", segments = ["a", "b"] }`; paths begin at
        /// datasets/segments.
        source: String,
        /// The image to draw over.
        image: PathBuf,
        /// For segments of kind `clustered`: the folder of good images that they are learned from.
        /// Detectors' maps take no part then; those of an experiment are in its report.
        #[arg(long, value_name = "DIR")]
        good: Option<PathBuf>,
        /// Decides clusters.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Where to write the picture (PNG).
        #[arg(long, default_value = "segments.png")]
        out: PathBuf,
        /// The report as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with generated defects.
#[derive(Debug, Subcommand)]
pub enum DefectsCommand {
    /// Draw good images, what becomes of them, and where they changed, on one sheet.
    Preview(Preview),
}

/// How to look at generated defects.
#[derive(Debug, Args)]
pub struct Preview {
    /// A folder of good images; folders in it are searched.
    pub images: PathBuf,
    /// How many of them.
    #[arg(long, default_value_t = 12)]
    pub count: usize,
    /// Decides the defects.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Settings as an experiment file has them, e.g. `{ blur = 0.0, segments = "elpv-mono" }`.
    #[arg(long, default_value = "{}")]
    pub defects: String,
    /// Where to write the sheet (PNG).
    #[arg(long, default_value = "defects.png")]
    pub out: PathBuf,
    /// A folder for the damaged images, their masks and defects.jsonl.
    #[arg(long)]
    pub save: Option<PathBuf>,
}

/// What to do with a data set.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// List missing, extra and unreadable files and wrong counts.
    Verify {
        /// Name of the data set.
        dataset: String,
        /// Where it lies; by default below the cache folder. `mini`: the miniature.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Make miniature sets: made-up images and maps in the layouts of VAD, VisA, MVTec AD, ELPV and
    /// the authors' maps.
    Miniature {
        /// A new folder.
        folder: PathBuf,
        /// Height of the images in pixels, 32 to 512.
        #[arg(long, default_value_t = 64)]
        size: usize,
        /// Decides every pixel.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Copy the images of a protocol's split into a folder of their own, with the lists train.csv
    /// and test.csv, e.g. to try `fit` and `inspect` on them.
    Split {
        /// Name of the data set.
        dataset: String,
        /// The folder to write.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The class; by default the first.
        #[arg(long)]
        class: Option<String>,
        /// The protocol, as in experiments.
        #[arg(long)]
        protocol: segad_datasets::Protocol,
        /// Its seed.
        #[arg(long)]
        seed: u64,
        /// Images in a row, by number, that form a group where the data set names none.
        #[arg(long, default_value_t = 60)]
        run: usize,
        /// Where the data set lies; by default below the cache folder.
        #[arg(long)]
        data: Option<PathBuf>,
    },
}

/// What to train.
#[derive(Debug, Subcommand)]
pub enum FitCommand {
    /// EfficientAD's teacher: a small network learns a backbone's features on any images, the more
    /// the better. For those who cannot have the published teachers, whose results it does not
    /// reach.
    EfficientadTeacher(Teacher),
}

/// How to make EfficientAD's teacher.
#[derive(Debug, Args)]
pub struct Teacher {
    /// A folder of images; folders in it are searched.
    pub images: PathBuf,
    /// Size of the teacher: medium, small or miniature.
    #[arg(long, default_value = "medium")]
    pub network: PdnSize,
    /// Whose features it learns.
    #[arg(long, default_value = "wide_resnet50_2")]
    pub backbone: BackboneKind,
    /// Side of its input in pixels; by default 256.
    #[arg(long)]
    pub image_size: Option<usize>,
    /// Training steps; by default 60000, as published.
    #[arg(long)]
    pub iterations: Option<u64>,
    /// Images of one step; by default 16.
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Decides initial weights and order.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to write it; by default where EfficientAD looks for it.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// What may be used for it.
    #[command(flatten)]
    pub machine: Machine,
}

/// What to bring in.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Anomaly maps of any detector, with the masks of their segments; what is stored already is
    /// left alone.
    Maps {
        /// The folder.
        folder: PathBuf,
        /// How it is arranged: segad (the authors' archives) or folder; by default, what it looks
        /// like.
        #[arg(long)]
        layout: Option<Layout>,
        /// The data set that the maps belong to; by default visa for layout segad.
        #[arg(long)]
        dataset: Option<String>,
        /// A data-set manifest of your own.
        #[arg(long)]
        manifest: Option<PathBuf>,
        /// Where results are stored; by default below the cache folder.
        #[arg(long, env = "SEGAD_STORE")]
        store: Option<PathBuf>,
    },
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List all results.
    Ls,
    /// Check the digest of every file.
    Verify,
    /// Remove the oldest results until the rest fits.
    Prune {
        /// What may remain, e.g. 10GiB.
        #[arg(long, value_parser = bytes)]
        keep: u64,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy all results into a folder.
    Export {
        /// The folder.
        folder: PathBuf,
    },
    /// Copy results out of a folder that `export` made.
    Import {
        /// The folder.
        folder: PathBuf,
    },
}

/// `512MiB`, `4GiB`, `1000000`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?}: expected a number of bytes, e.g. 512MiB or 4GiB");
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.trim() {
        "" | "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024f64.powi(2),
        "GiB" => 1024f64.powi(3),
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return Err(bad()),
    };
    Ok((number * factor) as u64)
}

/// `90s`, `30m`, `12h`, `1.5d`; a number alone means seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?}: expected a time, e.g. 90s, 30m or 12h");
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let seconds = number.parse::<f64>().map_err(|_| bad())? * factor;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert!(
            ["0s", "3 weeks", "", "h"]
                .into_iter()
                .all(|t| duration(t).is_err())
        );
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        assert_eq!(bytes("1.5 MB"), Ok(1_500_000));
        assert_eq!(bytes("77"), Ok(77));
        assert!(bytes("4 apples").is_err());
        assert!(bytes("").is_err());
    }
}
