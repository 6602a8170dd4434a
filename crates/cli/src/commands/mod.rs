//! One file per group of commands.

mod bench;
mod cell;
mod cell_command;
mod cluster;
mod data;
mod defects;
mod depth;
mod devices;
mod explain;
mod export;
mod fetch;
mod fit;
mod import;
mod info;
mod inspect;
mod outputs;
mod place;
mod plan;
mod product_data;
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
use segad_grid::Plan;
use segad_runner::Failure;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
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
            executor,
        } => run::tables(&tables, experiments.as_deref(), &args, &executor, &session),
        Command::Sweep {
            file,
            run: args,
            executor,
        } => run::experiment(&shipped::find(&file), &args, &executor, &session),
        Command::Plan {
            file,
            plan,
            format: Some(format),
            slurm_arg,
            ..
        } => cluster::print(&shipped::find(&file), &plan, format, &slurm_arg, &session),
        Command::Plan {
            file, plan, json, ..
        } => plan::plan(&shipped::find(&file), &plan, json, &session),
        Command::Cell {
            file,
            keys,
            no_needs,
            run: args,
        } => cell::run(&shipped::find(&file), &keys, no_needs, &args, &session),
        Command::Tables {
            names,
            results,
            check,
        } => tables::run(&names, &results, check, &session.bars),
        Command::Results(args) => results::run(&args),
        Command::Config {
            file,
            origin,
            settings,
        } => plan::config(&shipped::find(&file), &settings, origin),
        Command::Devices => devices::run(),
        Command::Fetch(args) => fetch::run(&args, &session),
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
        Command::Info(args) => info::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Serve(args) => serve::run(&args, &session),
        Command::Completions { shell } => completions(shell),
    }
}

/// By way of memory, as clap panics where nobody reads standard output to its end.
fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "segad", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// A failure that names every setting that keeps a result from being planned.
fn refuse_wrong_settings(plan: &Plan, file: &Path) -> Result<(), Failure> {
    let mut wrong = BTreeSet::new();
    for fault in plan.faults() {
        let failure = Failure::of_fault(&fault.clone().at(file.display()));
        if matches!(failure, Failure::Configuration(_)) {
            wrong.insert(failure.to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = wrong.into_iter().collect();
    Err(Failure::Configuration(lines.join("\n")))
}

/// Threads for what runs in parallel.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(Failure::configuration)
}

/// Sizes the pool of threads that parts of cells run in.
fn size_global_pool(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    // Fails only where an experiment before this one has sized it, by the same arguments.
    let _ = pool.build_global();
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
        // `segad … | head` closes the pipe on purpose.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// Prints a table in Markdown, on a terminal without the signs that only a renderer needs.
fn print_table(markdown: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        print(&segad_report::unescape(markdown))
    } else {
        print(markdown)
    }
}

/// The value of an option, as what it names.
fn parse<T: FromStr<Err: Display>>(option: &str, name: &str) -> Result<T, Failure> {
    name.parse().map_err(|e: T::Err| {
        // The type's own message names the value as well.
        let text = e.to_string();
        let expected = &text[text.find("expected ").unwrap_or(0)..];
        Failure::Configuration(format!("{option} = {name}: {expected}"))
    })
}

/// An argument as a TOML value, or else as a string.
fn value(text: &str) -> toml::Value {
    // TOML has no parser for a value alone; text that is none stays text, so that shells need no
    // quotes.
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}"));
    parsed
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use segad_args::{BACKBONES, CALIBRATIONS, LAYOUTS, NETWORKS, PRETRAINED};
    use segad_import::Layout;
    use segad_methods::teacher::PdnSize;
    use segad_nn::BackboneKind;
    use segad_product::CalibrationKind;
    use segad_provision::versions::WEIGHTS;

    #[test]
    fn names_on_the_command_line_are_those_of_the_types() {
        assert_eq!(BACKBONES, BackboneKind::ALL.map(BackboneKind::as_str));
        for name in PRETRAINED {
            assert!(BACKBONES.contains(&name), "{name}");
            let fetched = WEIGHTS.iter().any(|w| w.name == name.replace('_', "-"));
            assert!(fetched, "{name} cannot be fetched");
        }
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
