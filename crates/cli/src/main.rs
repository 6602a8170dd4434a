//! The binary `segad`: parses the command line, runs the command, and turns the outcome into an
//! exit code.

mod commands;
mod frames;
mod served;
mod session;
mod shipped;
mod stream;

use clap::Parser;
use segad_args::Cli;
use segad_provision::exit;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
        .without_time()
        .init();
    match commands::run(cli) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "messages go to standard error")]
fn report(failure: &segad_runner::Failure) {
    eprintln!("error: {failure}");
}
