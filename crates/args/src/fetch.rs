//! Arguments of `fetch`.

use clap::Args;
use clap::builder::PossibleValuesParser;

/// What to fetch, and from where.
#[derive(Clone, Debug, Args)]
pub struct Fetch {
    /// Names of data sets and of weights; `weights` means all weights
    #[arg(required = true, value_name = "NAME",
          value_parser = PossibleValuesParser::new(segad_fetch::names()))]
    pub what: Vec<String>,
    /// Path or URL of the data set's archive or of the weights' PyTorch file, if you have it
    #[arg(long, value_name = "FILE|URL")]
    pub from: Option<String>,
    /// Use no network; fail with what is missing
    #[arg(long)]
    pub offline: bool,
}
