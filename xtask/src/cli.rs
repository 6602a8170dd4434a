//! The command line: verbs of this program, and those of `segad`, which are passed on.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use segad_args::Fetch;
use segad_provision::exit;

/// Set up this machine, then build and run `segad`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = exit::help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// The verbs of this program.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Install libtorch and XGBoost into the cache and point cargo at them
    Setup {
        /// Install Debian packages that are missing (compiler, curl, pip) with apt-get; needs root
        #[arg(long, conflicts_with = "offline")]
        install_packages: bool,
        /// Install the libtorch that runs on NVIDIA's GPUs (2.5 GB to download) and keep to it
        #[arg(long)]
        cuda: bool,
        /// Go back to the libtorch for processors
        #[arg(long, conflicts_with = "cuda")]
        cpu: bool,
        /// Use no network; fail with what is missing
        #[arg(long)]
        offline: bool,
    },
    /// Report what is expected, what is installed, and how to fix it
    Doctor,
    /// Fetch data sets or pretrained weights
    ///
    /// Interrupted downloads are resumed; what is complete is kept.
    Fetch(Fetch),
    /// Run formatting, lints, doc tests and the full test suite
    Test {
        /// Names of tests to run instead; passed on to the test runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filters: Vec<OsString>,
    },
    /// Build what others can install: an archive with everything, and a wheel
    ///
    /// The archive needs glibc alone; the wheel takes libtorch from the wheel `torch` and holds the
    /// Python package too. Debug symbols are written beside them.
    Dist {
        /// Folder to write to [default: target/dist]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// cargo's profile
        #[arg(long, default_value = "release")]
        profile: String,
        /// Also run the archive's program in a root with only glibc
        #[arg(long)]
        check: bool,
    },
    /// Run the project's benchmarks, or one of them
    ///
    /// `reference` times segad against the Python reference on generated maps, `detectors` the four
    /// detectors against PyTorch, ONNX Runtime and OpenVINO. To measure a model of yours, run
    /// `cargo xtask segad bench MODEL`.
    Bench {
        /// `reference`, `detectors`, or a bench target of a crate [default: all of those]
        name: Option<String>,
        /// Passed on to the benchmark
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Write the crate of a new detector and its line in the registry
    ///
    /// The crate compiles and runs as a baseline; its test fails until it is given the values of a
    /// reference implementation.
    New {
        #[command(subcommand)]
        what: New,
    },
    /// Regenerate the pages of docs/ that are derived from the code
    Codegen {
        /// Write nothing; exit with 6 if a page is stale
        #[arg(long)]
        check: bool,
    },
}

/// What can be made anew.
#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// A one-class detector on features of a backbone
    Detector {
        /// Its kind in experiments, e.g. patchcore
        name: String,
        /// Its name in Rust, e.g. PatchCore; by default the kind with a capital
        #[arg(long = "type", value_name = "TYPE")]
        of_type: Option<String>,
    },
}

/// The verb that passes on any command of `segad`, also one whose name a verb of this program has.
const SEGAD: &str = "segad";

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Own(Verb),
    /// Words for `segad`.
    Segad {
        offline: bool,
        words: Vec<OsString>,
    },
}

/// Reads the arguments of this process. The words for `segad` are checked against its own
/// definition, so that a mistake ends before anything is built.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Request, clap::Error> {
    let matches = command().try_get_matches_from(&arguments)?;
    // Parsed only to know whose verb it is: the words go on unchanged.
    let name = matches.subcommand_name().unwrap_or_default();
    if Verb::has_subcommand(name) {
        return Ok(Request::Own(Cli::from_arg_matches(&matches)?.verb));
    }
    let mut words = arguments[1..].to_vec();
    if name == SEGAD {
        words.remove(0);
    }
    let offline = words.iter().any(|word| word == "--offline");
    // Only `fetch` uses the network; elsewhere the option is for what this program does beforehand.
    if words.first().is_none_or(|verb| verb != "fetch") {
        words.retain(|word| word != "--offline");
    }
    Ok(Request::Segad { offline, words })
}

/// The verbs of this program and of `segad`, as one command.
pub(crate) fn command() -> Command {
    let offline = Arg::new("offline")
        .long("offline")
        .action(ArgAction::SetTrue)
        .global(true)
        .help("Use no network; fail with what is missing");
    let segad = segad_args::Cli::command();
    let everywhere: Vec<Arg> = segad
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .cloned()
        .collect();
    let own = Cli::command();
    // In help they follow this program's own, which clap numbers from 0.
    let own_verbs = own.get_subcommands().count();
    let passed_on = segad
        .get_subcommands()
        // Where both have a verb, this program's wins; `segad VERB` reaches the other.
        .filter(|verb| !Verb::has_subcommand(verb.get_name()))
        .zip(own_verbs..)
        .map(|(verb, place)| verb.clone().display_order(place))
        .map(|verb| verb.args(&everywhere).arg(&offline));
    own.subcommands(passed_on).subcommand(
        segad
            .clone()
            .about("Run any command of segad, e.g. `segad bench MODEL`")
            .display_order(own_verbs + segad.get_subcommands().count())
            .arg(&offline),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Request, clap::Error> {
        let program = ["xtask"].into_iter();
        parse(
            program
                .chain(words.iter().copied())
                .map(Into::into)
                .collect(),
        )
    }

    fn passed_on(words: &[&str]) -> (bool, Vec<OsString>) {
        match parse_words(words).unwrap() {
            Request::Segad { offline, words } => (offline, words),
            own => panic!("{own:?}"),
        }
    }

    #[test]
    fn definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn commands_of_segad_are_passed_on_whole() {
        let words = ["reproduce", "table3", "--profile", "smoke", "-q"];
        assert_eq!(passed_on(&words), (false, words.map(Into::into).into()));
        for words in [
            &["store", "--offline", "ls"][..],
            &["segad", "--offline", "store", "ls"],
        ] {
            let expected = ["store", "ls"].map(Into::into).into();
            assert_eq!(passed_on(words), (true, expected));
        }
    }

    #[test]
    fn every_command_of_segad_can_be_reached() {
        let segad = segad_args::Cli::command();
        for verb in segad.get_subcommands() {
            let name = verb.get_name();
            let help = parse_words(&["segad", name, "--help"]).unwrap_err();
            assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp, "{name}");
        }
        let expected = ["bench", "m.segad"].map(Into::into).into();
        assert_eq!(passed_on(&["segad", "bench", "m.segad"]), (false, expected));
        assert!(matches!(
            parse_words(&["bench", "reference"]).unwrap(),
            Request::Own(Verb::Bench { .. })
        ));
    }

    #[test]
    fn mistakes_end_before_anything_is_built() {
        for words in [
            &["demmo"][..],
            &["cell"],
            &["fit"],
            &["plan"],
            &["store", "prune", "--keep", "much"],
            &["fetch"],
        ] {
            let error = parse_words(words).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{words:?}");
        }
    }

    #[test]
    fn fetch_takes_a_file() {
        let Request::Own(Verb::Fetch(Fetch { what, from, .. })) =
            parse_words(&["fetch", "resnet18", "--from", "x.pth"]).unwrap()
        else {
            panic!("not fetch")
        };
        assert_eq!(what, ["resnet18"]);
        assert_eq!(from.as_deref(), Some("x.pth"));
    }
}
