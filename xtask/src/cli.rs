//! The command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// Set-up and orchestration.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = PASSED_ON)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

const PASSED_ON: &str = "\
Passed on to the binary `segad`, after setting up and building it (`cargo xtask <command> --help` tells more):
  demo       The whole method on real images; also fetches data and weights
  reproduce  A table of the paper
  plan       What a run would compute
  sweep      An experiment file
  tables     Tables of results
  data, fit, inspect, explain, export, serve, segments, defects, import, cell, store, config, completions
With --offline, these use no network: what is missing is named.

Exit codes: 0 ok, 1 some cells failed, 2 usage, 3 configuration, 4 nothing selected, 5 missing or damaged input,
6 differs from the paper or the snapshot, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Bring libtorch and XGBoost to this machine, and tell cargo where they lie
    Setup {
        /// Use no network; fail with what is missing
        #[arg(long)]
        offline: bool,
    },
    /// Show what is expected, what is found, and how to fix it
    Doctor,
    /// Fetch data sets or pretrained weights; a download that broke off goes on, what is there
    /// already stays
    Fetch {
        /// elpv, vad, visa, mvtec, segad-maps, weights (all), or by name: efficientnet-lite2,
        /// wide-resnet50-2, wide-resnet50-2-v2, resnet18, efficientad-teacher-medium,
        /// efficientad-teacher-small
        #[arg(required = true)]
        what: Vec<String>,
        /// The archive of the (one) data set or the PyTorch file of the weights, if you have it; a
        /// path or an address
        #[arg(long, value_name = "FILE|URL")]
        from: Option<String>,
        /// Use no network; fail with what is missing
        #[arg(long)]
        offline: bool,
    },
    /// Run the whole test suite: formatting, lints, documentation tests, tests
    Test {
        /// Passed on to the test runner, as names of tests
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filters: Vec<OsString>,
    },
    /// Run a benchmark, or all of them; `reference` times segad against the Python reference on
    /// made-up maps, `detectors` the four detectors against PyTorch, ONNX Runtime and OpenVINO
    Bench {
        /// Its name
        name: Option<String>,
        /// Passed on to the benchmark
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Everything else goes to `segad`
    #[command(external_subcommand)]
    Segad(Vec<OsString>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn other_commands_are_passed_on_whole() {
        let cli = Cli::parse_from(["xtask", "reproduce", "3", "--profile", "smoke", "--help"]);
        let Verb::Segad(words) = cli.verb else {
            panic!("{:?}", cli.verb)
        };
        assert_eq!(words, ["reproduce", "3", "--profile", "smoke", "--help"]);
    }

    #[test]
    fn fetch_takes_a_file() {
        let cli = Cli::parse_from(["xtask", "fetch", "resnet18", "--from", "x.pth"]);
        let Verb::Fetch { what, from, .. } = cli.verb else {
            panic!("{:?}", cli.verb)
        };
        assert_eq!(what, ["resnet18"]);
        assert_eq!(from.as_deref(), Some("x.pth"));
        assert!(Cli::try_parse_from(["xtask", "fetch"]).is_err());
    }
}
