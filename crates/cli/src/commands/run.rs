//! `demo`, `reproduce`, `sweep`: plan, run, write.

use super::import;
use super::setup::{self, Prepared};
use crate::session::Session;
use crate::shipped;
use segad_args::RunArgs;
use segad_grid::Plan;
use segad_runner::Failure;
use segad_runner::clock::Stopwatch;
use segad_runner::outcome;
use segad_runner::schedule::{self, Policy};
use std::path::{Path, PathBuf};

/// What `all` means: the paper's tables and figure, the numbers in its text and in the authors'
/// README. Experiments that train come before those that use what they trained.
const ALL: [&str; 10] = [
    "table2", "table3", "table4", "table6", "fig6", "text", "table5", "table8", "table9", "readme",
];

/// Runs the demo. Its results go where git ignores them, so that trying it changes no committed
/// table; in profile smoke they do so anyway.
pub(super) fn demo(mut args: RunArgs, session: &Session) -> Result<(), Failure> {
    if args.profile != "smoke" {
        args.out.get_or_insert_with(|| "results/local/demo".into());
    }
    experiment(&named(None, "demo"), &args, session)
}

/// Runs the named experiments; a fault in one does not stop the others.
pub(super) fn tables(
    names: &[String],
    folder: Option<&Path>,
    args: &RunArgs,
    session: &Session,
) -> Result<(), Failure> {
    let all = names.iter().any(|n| n == "all");
    let files: Vec<PathBuf> = if all {
        ALL.map(|name| named(folder, name)).into()
    } else {
        names.iter().map(|name| named(folder, name)).collect()
    };
    let mut worst = None;
    for file in &files {
        let mut args = args.clone();
        if files.len() > 1 {
            let name = file.file_stem().unwrap_or_default();
            args.out = args.out.map(|out| out.join(name));
        }
        match experiment(file, &args, session) {
            Err(Failure::Interrupted(m)) => return Err(Failure::Interrupted(m)),
            Err(failure) if files.len() > 1 => {
                session.bars.line(&format!("{}: {failure}", file.display()));
                worst = super::worse(worst, failure);
            }
            Err(failure) => return Err(failure),
            Ok(()) => {}
        }
    }
    worst.map_or(Ok(()), Err)
}

fn named(folder: Option<&Path>, name: &str) -> PathBuf {
    let file = format!("{name}.toml");
    match folder {
        Some(folder) => folder.join(file),
        None => shipped::find(&Path::new("experiments").join(file)),
    }
}

/// Runs one experiment and writes its tables and report.
pub(super) fn experiment(file: &Path, args: &RunArgs, session: &Session) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let bars = &session.bars;
    let Prepared {
        experiment,
        bench,
        out,
    } = setup::prepare(file, args, session)?;
    let pool = super::pool(bench.settings.threads)?;
    let imported = match bench.source.maps() {
        Some(maps) => {
            Some(pool.install(|| import::import(maps, &bench.store, bars, &bench.interrupt))?)
        }
        None => None,
    };
    let plan = Plan::new(&experiment, &bench)
        .map_err(|fault| Failure::of_fault(&fault.at(file.display())))?;
    if let Err(e) = bench.source.save_digests() {
        // They only save time.
        bars.line(&format!(
            "digests could not be kept and will be computed again: {e}"
        ));
    }
    let outcome = pool.install(|| {
        schedule::run(
            &plan,
            &bench.store,
            bars,
            &bench.interrupt,
            &policy(args),
            &bench,
        )
    });
    if outcome.interrupted {
        let left = plan.cells.len() - outcome.stored - outcome.computed;
        let message =
            format!("interrupted; {left} cells are left, the same command continues from here");
        return Err(Failure::Interrupted(message));
    }
    let written = outcome::write(
        &experiment,
        &plan,
        &outcome,
        &bench,
        &out,
        &command_line(file, args),
        args.check,
    )?;
    super::print(&written.table)?;
    bars.line(&format!(
        "{} cells computed, {} from the store, {:.1} s, peak memory {} MiB; report: {}",
        outcome.computed,
        outcome.stored,
        watch.seconds(),
        segad_runner::machine::peak_memory_mib(),
        out.join("report.html").display()
    ));
    if let Some(failure) = imported.as_ref().and_then(import::faults) {
        return Err(failure);
    }
    if let Some(failure) = written.failure {
        return Err(failure);
    }
    match written.drift {
        Some(drift) => Err(Failure::Differs(drift)),
        None => Ok(()),
    }
}

/// What to do about cells that fail.
pub(super) fn policy(args: &RunArgs) -> Policy {
    Policy {
        retries: args.retries,
        time_limit: args.time_limit,
        rerun_failed: args.rerun_failed,
        program: segad_runner::versions::build(),
    }
}

/// The command that gives the same results again.
fn command_line(file: &Path, args: &RunArgs) -> String {
    let mut command = format!("cargo xtask sweep {}", file.display());
    if args.profile != "paper" {
        command.push_str(&format!(" --profile {}", args.profile));
    }
    if args.data.as_deref() == Some(Path::new(super::place::MINI)) {
        command.push_str(" --data mini");
    }
    if args.maps.is_some() {
        command.push_str(" --maps DIR");
    }
    for set in &args.set {
        command.push_str(&format!(" --set '{set}'"));
    }
    if args.machine.precision != segad_core::Precision::F32 {
        command.push_str(&format!(" --precision {}", args.machine.precision));
    }
    command
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "reads the project's own experiments"
)]
mod tests {
    use super::*;

    #[test]
    fn all_are_the_papers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut known: Vec<String> = ALL.map(str::to_owned).into();
        for file in std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().path())
        {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let listed = known
                .iter()
                .position(|n| *n == name)
                .map(|i| known.remove(i))
                .is_some();
            let of_paper = std::fs::read_to_string(&file).is_ok_and(|t| t.contains("\npaper = "));
            assert_eq!(listed, of_paper || name == "fig6", "{name}");
        }
        assert!(known.is_empty(), "{known:?} are no experiments");
    }
}
