//! One file per group of commands.

mod bench;
mod data;
mod defects;
mod explain;
mod export;
mod fit;
mod import;
mod inspect;
mod place;
mod plan;
mod run;
mod segments;
mod serve;
mod setup;
mod store;
mod tables;
mod teacher;

use crate::cli::{Cli, Command, DefectsCommand, FitCommand};
use clap::CommandFactory;
use segad_core::BoxError;
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::io::Write;

/// Runs a command.
///
/// # Errors
/// A [`Failure`] with its exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let bars = Bars::new(cli.quiet);
    match cli.command {
        Command::Demo(args) => run::experiment("experiments/demo.toml".as_ref(), &args, &bars),
        Command::Reproduce { tables, run: args } => run::tables(&tables, &args, &bars),
        Command::Sweep { file, run: args } => run::experiment(&file, &args, &bars),
        Command::Plan {
            file,
            run: args,
            json,
        } => plan::plan(&file, &args, json, &bars),
        Command::Tables {
            names,
            results,
            check,
        } => tables::run(&names, &results, check, &bars),
        Command::Config {
            file,
            origin,
            run: args,
        } => plan::config(&file, &args, origin),
        Command::Data { command } => data::run(command, &bars),
        Command::Import { command } => import::run(command, &bars),
        Command::Segments { command } => segments::run(&command),
        Command::Defects {
            command: DefectsCommand::Preview(args),
        } => defects::preview(&args),
        Command::Store { command, store } => store::run(command, store, &bars),
        Command::Fit {
            command: Some(FitCommand::EfficientadTeacher(args)),
            ..
        } => teacher::run(&args, &bars),
        Command::Fit {
            command: None,
            fit: Some(args),
        } => fit::run(&args, &bars),
        Command::Fit {
            command: None,
            fit: None,
        } => Err(Failure::Configuration(
            "fit: expected a folder of images and --out MODEL.segad".to_owned(),
        )),
        Command::Inspect(args) => inspect::run(&args, &bars),
        Command::Explain(args) => explain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Serve(args) => serve::run(&args, &bars),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "segad", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Threads for what runs side by side.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(Failure::configuration)
}

/// Prints data on standard output. A reader that went away is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::input(BoxError::from(e)))
        }
        _ => Ok(()),
    }
}

/// An argument as a TOML value; what is none is a text.
fn value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}"));
    parsed
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
