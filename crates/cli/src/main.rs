//! The binary `segad`: parses the command line, runs the command, and turns the outcome into an
//! exit code.

mod account;
mod commands;
mod frames;
mod openmp;
mod served;
mod session;
mod shipped;
mod stdin;
mod stream;

use clap::Parser;
use segad_args::Cli;
use segad_provision::exit;
use segad_runner::{Failure, interrupt};
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // Not for help and mistakes, which need no network.
    openmp::wait_passively();
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where standard error is closed, reporting that there would panic.
        .log_internal_errors(false)
        .without_time()
        .init();
    match commands::run(cli) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            report(&failure);
            ExitCode::from(exit_code(&failure))
        }
    }
}

/// Ends on a command line that is help or a mistake.
fn refuse(error: &clap::Error) -> ExitCode {
    match segad_args::explain(error) {
        Some(message) => report(&message),
        // Fails only if nobody reads it.
        None => drop(error.print()),
    }
    ExitCode::from(segad_args::exit_code(error))
}

fn exit_code(failure: &Failure) -> u8 {
    match failure {
        Failure::Interrupted(_) if interrupt::is_terminated() => exit::TERMINATED,
        failure => failure.exit_code(),
    }
}

/// `eprintln!` would panic where standard error is closed.
fn report(message: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "error: {message}");
}
