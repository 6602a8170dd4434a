//! Arguments of commands about what goes in and what is stored.

use crate::units::{bytes, count};
use clap::{Args, Subcommand};
use segad_datasets::Protocol;
use std::path::PathBuf;

/// What to do with a data set.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List missing, extra and unreadable files and wrong counts
    Verify {
        /// Name of the data set
        dataset: String,
        /// Folder of the data set; `mini`: the miniature [default: data/ in the cache folder]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Generate miniature sets in the layouts of VAD, VisA, MVTec AD, ELPV and the authors' maps
    Miniature {
        /// A new folder
        folder: PathBuf,
        /// Height of the images in pixels, 32 to 512
        #[arg(long, default_value_t = 64, value_name = "PIXELS")]
        size: usize,
        /// Random seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Copy a protocol's split into a folder, with lists train.csv and test.csv
    ///
    /// For trying `fit` and `inspect` on a data set.
    Split {
        /// Name of the data set
        dataset: String,
        /// Folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Class of the data set [default: the first]
        #[arg(long)]
        class: Option<String>,
        /// Protocol, as in experiments
        #[arg(long)]
        protocol: Protocol,
        /// Seed of the protocol
        #[arg(long)]
        seed: u64,
        /// Number of consecutive images that form a group if the data set names no groups
        #[arg(long, default_value = "60", value_parser = count, value_name = "N")]
        run: usize,
        /// Folder of the data set [default: data/ in the cache folder]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

/// Arrangements of folders of maps.
pub const LAYOUTS: [&str; 2] = ["segad", "folder"];

/// What to import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Import anomaly maps of any detector, with the masks of their segments
    ///
    /// Maps that are stored already are skipped.
    Maps {
        /// The folder
        folder: PathBuf,
        /// How it is arranged; segad: as the authors' archives [default: detected]
        #[arg(long, value_parser = LAYOUTS)]
        layout: Option<String>,
        /// Data set that the maps belong to [default: visa for layout segad]
        #[arg(long, value_name = "NAME")]
        dataset: Option<String>,
        /// Your own manifest of the data set
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// The result store: a folder or s3://BUCKET/PREFIX [default: store/ in the cache folder]
        #[arg(long, env = "SEGAD_STORE", value_name = "PLACE")]
        store: Option<PathBuf>,
    },
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List all results
    Ls,
    /// Verify the digest of every file
    Verify,
    /// Move damaged results away, so that the next run computes them again
    Repair,
    /// Remove the oldest results until the rest fits
    Prune {
        /// Size to keep, e.g. 10GiB
        #[arg(long, value_parser = bytes, value_name = "SIZE")]
        keep: u64,
        /// Only show what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy all results into a folder
    Export {
        /// The folder
        folder: PathBuf,
    },
    /// Copy results from a folder that `export` wrote
    Import {
        /// The folder
        folder: PathBuf,
    },
}

/// What to do with segments.
#[derive(Debug, Subcommand)]
pub enum SegmentsCommand {
    /// Draw a source over an image, and report on its segments
    Show {
        /// Name of a shapes file, `whole`, a model file (`cup.segad`), or a table, e.g.
        /// `{ kind = "folder", path = "masks", segments = ["a", "b"] }`; paths in a table are
        /// relative to datasets/segments
        source: String,
        /// Image to draw over
        image: PathBuf,
        /// Folder of good images to learn segments of kind `clustered` from; without detectors'
        /// maps, which only an experiment has
        #[arg(long, value_name = "DIR")]
        good: Option<PathBuf>,
        /// Random seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Picture to write (PNG)
        #[arg(long, default_value = "segments.png", value_name = "FILE")]
        out: PathBuf,
        /// Print the report as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Name the segments that a model found in its good images; no score changes
    Name {
        /// Model file
        model: PathBuf,
        /// Old name, `=`, new name, e.g. `"cluster 1=left rail"`; repeatable. `segments show MODEL
        /// IMAGE` draws the segments with their old names
        #[arg(required = true, value_name = "OLD=NEW", value_parser = renaming)]
        names: Vec<(String, String)>,
        /// Model file to write; may be the one that is read
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

fn renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("expected OLD=NEW".to_owned()),
    }
}

/// What to do with generated defects.
#[derive(Debug, Subcommand)]
pub enum DefectsCommand {
    /// Draw good images, the defects generated on them and where they changed, on one sheet
    Preview(Preview),
}

/// How to preview generated defects.
#[derive(Debug, Args)]
pub struct Preview {
    /// Folder of good images, searched recursively
    pub images: PathBuf,
    /// Number of images
    #[arg(long, default_value = "12", value_parser = count, value_name = "N")]
    pub count: usize,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Settings as in an experiment file, e.g. `{ blur = 0.0, segments = "elpv-mono" }`
    #[arg(long, default_value = "{}", value_name = "TABLE")]
    pub defects: String,
    /// Sheet to write (PNG)
    #[arg(long, default_value = "defects.png", value_name = "FILE")]
    pub out: PathBuf,
    /// Folder for the damaged images, their masks and defects.jsonl
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
}
