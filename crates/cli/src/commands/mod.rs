//! One file per group of commands.

mod bench;
mod data;
mod defects;
mod explain;
mod export;
mod fit;
mod import;
mod inspect;
mod outputs;
mod place;
mod plan;
mod results;
mod run;
mod segments;
mod serve;
mod setup;
mod store;
mod tables;
mod teacher;

use crate::session::Session;
use crate::shipped;
use clap::CommandFactory;
use segad_args::{Cli, Command, DefectsCommand, FitCommand};
use segad_runner::Failure;
use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;

/// Runs a command.
///
/// # Errors
/// A [`Failure`] with its exit code.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let session = Session::new(cli.quiet);
    match cli.command {
        Command::Demo(args) => run::demo(args, &session),
        Command::Reproduce {
            tables,
            experiments,
            run: args,
        } => run::tables(&tables, experiments.as_deref(), &args, &session),
        Command::Sweep { file, run: args } => {
            run::experiment(&shipped::find(&file), &args, &session)
        }
        Command::Plan {
            file,
            run: args,
            json,
        } => plan::plan(&shipped::find(&file), &args, json, &session),
        Command::Tables {
            names,
            results,
            check,
        } => tables::run(&names, &results, check, &session.bars),
        Command::Results(args) => results::run(&args),
        Command::Config {
            file,
            origin,
            run: args,
        } => plan::config(&file, &args, origin),
        Command::Data { command } => data::run(command, &session),
        Command::Import { command } => import::run(command, &session),
        Command::Segments { command } => segments::run(&command),
        Command::Defects {
            command: DefectsCommand::Preview(args),
        } => defects::preview(&args),
        Command::Store { command, store } => store::run(command, store, &session),
        Command::Fit {
            command: Some(FitCommand::EfficientadTeacher(args)),
            ..
        } => teacher::run(&args, &session),
        Command::Fit {
            command: None,
            fit: Some(args),
        } => fit::run(&args, &session),
        Command::Fit {
            command: None,
            fit: None,
        } => Err(Failure::Configuration(
            "fit: expected a folder of images and --out MODEL.segad".to_owned(),
        )),
        Command::Inspect(args) => inspect::run(&args, &session),
        Command::Explain(args) => explain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Serve(args) => serve::run(&args, &session),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "segad", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Threads for what runs in parallel.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(Failure::configuration)
}

/// The failure with the higher exit code, of what failed so far and one more.
fn worse(so_far: Option<Failure>, failure: Failure) -> Option<Failure> {
    match so_far {
        Some(worst) if worst.exit_code() >= failure.exit_code() => Some(worst),
        _ => Some(failure),
    }
}

/// Prints data on standard output. A reader that has gone is not an error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// A name that clap took from a list, as what it names.
fn parse<T: FromStr<Err: Display>>(option: &str, name: &str) -> Result<T, Failure> {
    name.parse()
        .map_err(|e| Failure::Configuration(format!("{option}: {e}")))
}

/// An argument as a TOML value, or else as a string.
fn value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}"));
    parsed
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use segad_args::{BACKBONES, CALIBRATIONS, LAYOUTS, NETWORKS};
    use segad_import::Layout;
    use segad_methods::teacher::PdnSize;
    use segad_nn::BackboneKind;
    use segad_product::CalibrationKind;

    #[test]
    fn names_on_the_command_line_are_those_of_the_types() {
        assert_eq!(BACKBONES, BackboneKind::ALL.map(BackboneKind::as_str));
        let networks = [PdnSize::Medium, PdnSize::Small, PdnSize::Miniature];
        assert_eq!(NETWORKS, networks.map(PdnSize::as_str));
        assert_eq!(LAYOUTS, [Layout::Segad, Layout::Folder].map(Layout::as_str));
        let calibrations = CALIBRATIONS.map(|name| name.parse::<CalibrationKind>().unwrap());
        assert_eq!(
            calibrations,
            [CalibrationKind::Platt, CalibrationKind::Isotonic]
        );
    }
}
