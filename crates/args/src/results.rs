use clap::Args;
use std::path::PathBuf;

/// A query over `metrics.csv` files.
#[derive(Debug, Args)]
pub struct Results {
    /// Folders below which every metrics.csv counts; an experiment is named after its
    /// folder
    #[arg(value_name = "DIR", default_value = "results")]
    pub folders: Vec<PathBuf>,
    /// Count only these values; repeat it for another column, or for an alternative in the same one
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub filters: Vec<String>,
    /// Columns to group by: experiment, row, class, seed, metric; the metric always is one
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        default_value = "experiment,row,class,metric"
    )]
    pub by: Vec<String>,
    /// Show how much every other row differs from this one, paired by seed, with Student's 95 %
    /// interval
    #[arg(long, value_name = "ROW", conflicts_with = "paper")]
    pub against: Option<String>,
    /// Show our means next to the paper's numbers
    #[arg(long, conflicts_with = "by")]
    pub paper: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print JSON: an array with one object per line of the table
    #[arg(long)]
    pub json: bool,
}
