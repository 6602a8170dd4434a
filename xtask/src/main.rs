//! `cargo xtask`: installs native libraries, data and weights on this machine, then builds and runs
//! `segad`.
//!
//! It links neither libtorch nor XGBoost nor Polars, so that it compiles in seconds on a bare
//! machine.

#[macro_use]
mod output;

mod bench;
mod bench_detectors;
mod cargo;
mod cli;
mod codegen;
mod dist;
mod doctor;
mod error;
mod new;
mod segad;
mod setup;
mod test;

use std::process::ExitCode;

use segad_args::Fetch;
use segad_provision::exit;
use segad_provision::native::Build;

use cli::{New, Request, Verb};
use error::XtaskError;

fn main() -> ExitCode {
    let request = match cli::parse(std::env::args_os().collect()) {
        Ok(request) => request,
        Err(error) => return refuse(&error),
    };
    let ended = match request {
        Request::Own(verb) => run(verb),
        Request::Segad { offline, words } => segad::run(offline, &words),
    };
    let code = ended.unwrap_or_else(|error| {
        tell!("error: {error}");
        error.exit_code()
    });
    ExitCode::from(code)
}

/// Ends on a command line that is help or a mistake.
fn refuse(error: &clap::Error) -> ExitCode {
    match segad_args::explain(error) {
        Some(message) => tell!("error: {message}"),
        // Fails only if nobody reads it.
        None => drop(error.print()),
    }
    ExitCode::from(segad_args::exit_code(error))
}

fn run(verb: Verb) -> Result<u8, XtaskError> {
    match verb {
        Verb::Setup {
            install_packages,
            cuda,
            cpu,
            offline,
        } => {
            let mut context = setup::Context::new(offline)?;
            context.provisioner.install_packages = install_packages;
            context.build = match (cuda, cpu) {
                (true, _) => Some(Build::Cuda),
                (_, true) => Some(Build::Cpu),
                _ => None,
            };
            for (name, place) in setup::run(&context)?.variables() {
                output!("{name}={}", place.folder.display());
            }
            Ok(exit::OK)
        }
        Verb::Doctor => doctor::run(&setup::Context::new(true)?),
        Verb::Fetch(Fetch {
            what,
            from,
            offline,
        }) => {
            let context = setup::Context::new(offline)?;
            for path in segad_fetch::run(&context.provisioner, &what, from.as_deref())? {
                output!("{}", path.display());
            }
            Ok(exit::OK)
        }
        Verb::Test { filters } => {
            let context = setup::Context::new(false)?;
            test::run(&context, &setup::run(&context)?, &filters)
        }
        Verb::Dist {
            out,
            profile,
            check,
        } => {
            let context = setup::Context::new(false)?;
            let native = setup::run(&context)?;
            let out = out.unwrap_or_else(|| context.root.join("target/dist"));
            for path in dist::run(&context, &native, &profile, &out, check)? {
                output!("{}", path.display());
            }
            Ok(exit::OK)
        }
        Verb::Bench { name, arguments } => {
            let context = setup::Context::new(false)?;
            match name.as_deref() {
                Some("reference") => {
                    return bench::run(&context, &setup::run(&context)?, &arguments);
                }
                Some("detectors") => {
                    return bench_detectors::run(&context, &setup::run(&context)?, &arguments);
                }
                _ => {}
            }
            test::bench(
                &context,
                &setup::run(&context)?,
                name.as_deref(),
                &arguments,
            )
        }
        Verb::New { what } => {
            let New::Detector { name, of_type } = what;
            new::detector(&cargo::workspace_root(), &name, of_type.as_deref())
        }
        Verb::Codegen { check } => codegen::run(&cargo::workspace_root(), check),
    }
}
