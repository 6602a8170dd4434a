//! `demo`, `reproduce`, `sweep`: plan, run, write.

use super::cluster;
use super::import;
use super::setup::{self, Prepared, Purpose};
use crate::session::Session;
use crate::shipped;
use segad_args::{Executor, ExecutorArgs, PlanArgs, RunArgs};
use segad_grid::{CellIndex, Experiment, Plan};
use segad_import::Report;
use segad_runner::clock::Stopwatch;
use segad_runner::outcome;
use segad_runner::schedule::{Outcome, Policy, Schedule};
use segad_runner::{Failure, Workbench, machine};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What `all` means: the paper's tables and figure, the numbers in its text and in the authors'
/// README. Experiments that train come before those that use what they trained.
const ALL: [&str; 10] = [
    "table2", "table3", "table4", "table6", "fig6", "text", "table5", "table8", "table9", "readme",
];

/// Runs the demo. Its results go where git ignores them, so that trying it changes no committed
/// table; in profile smoke they do so anyway.
pub(super) fn demo(mut args: RunArgs, session: &Session) -> Result<(), Failure> {
    // The repository keeps `results/demo`, which a try must not overwrite.
    if args.plan.settings.profile != "smoke" {
        args.out.get_or_insert_with(|| "results/local/demo".into());
    }
    experiment(
        &named(None, "demo"),
        &args,
        &ExecutorArgs::default(),
        session,
    )
}

/// Runs the named experiments; a fault in one does not stop the others.
pub(super) fn tables(
    names: &[String],
    folder: Option<&Path>,
    args: &RunArgs,
    executor: &ExecutorArgs,
    session: &Session,
) -> Result<(), Failure> {
    let all = names.iter().any(|n| n == "all");
    let files: Vec<PathBuf> = if all {
        ALL.map(|name| named(folder, name)).into()
    } else {
        names.iter().map(|name| named(folder, name)).collect()
    };
    // A wrong setting or name is reported before the first of them runs for hours.
    for file in &files {
        setup::layers(file, &args.plan.settings)?
            .experiment()
            .map_err(Failure::configuration)?;
    }
    let mut worst = None;
    for file in &files {
        let mut args = args.clone();
        if files.len() > 1 {
            let name = file.file_stem().unwrap_or_default();
            // One folder each, else every experiment replaced the report of the last.
            args.out = args.out.map(|out| out.join(name));
        }
        match experiment(file, &args, executor, session) {
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

/// Runs one experiment and writes its tables and report. Stored cells that turn out to be damaged
/// are moved away, and they and those that the report finds missing are computed again.
pub(super) fn experiment(
    file: &Path,
    args: &RunArgs,
    executor: &ExecutorArgs,
    session: &Session,
) -> Result<(), Failure> {
    cluster::check(executor)?;
    let purpose = match executor.executor {
        Executor::Local => Purpose::Run,
        Executor::Slurm | Executor::Hq => Purpose::Tasks,
    };
    let Prepared { experiment, bench } = setup::prepare(file, &args.plan, session, purpose)?;
    let profile = &args.plan.settings.profile;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| setup::results_folder(file, &experiment.name, profile));
    segad_files::check_folder(&out)?;
    let run = Run {
        file,
        args,
        executor,
        experiment: &experiment,
        bench: &bench,
        out: &out,
    };
    repairing(&bench, || run.once())
}

/// Runs again as long as cells turn out to be damaged, which are moved away before, or missing where
/// only the report needs them.
pub(super) fn repairing(
    bench: &Workbench,
    run: impl Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut ended = run();
    let mut known = BTreeSet::new();
    while !matches!(ended, Err(Failure::Interrupted(_))) {
        for id in bench.store.damaged() {
            let place = bench.store.quarantine(id.kind, &id.key)?;
            let place = place.map_or_else(String::new, |p| format!(", moved to {}", p.display()));
            let line = format!("{id}: damaged{place}; it is computed again");
            bench.bars.line(&line);
            bench.want(id);
        }
        // Each cell once: one that is damaged again has a broken disk.
        let wanted = bench.wanted();
        if wanted == known {
            break;
        }
        known = wanted;
        ended = run();
    }
    ended
}

/// One run of an experiment.
struct Run<'a> {
    file: &'a Path,
    args: &'a RunArgs,
    executor: &'a ExecutorArgs,
    experiment: &'a Experiment,
    bench: &'a Workbench,
    out: &'a Path,
}

impl Run<'_> {
    fn once(&self) -> Result<(), Failure> {
        let watch = Stopwatch::start();
        let bench = self.bench;
        let bars = &bench.bars;
        let Planned { imported, plan } = plan(self.file, self.experiment, bench)?;
        let mut wanted = plan.wanted();
        let also = bench.wanted();
        wanted.extend(also.iter().filter_map(|id| plan.find(id.kind, &id.key)));
        let outcome = match self.executor.executor {
            Executor::Local => compute(bench, &plan, &wanted, self.args)?,
            _ => cluster::compute(self.file, bench, &plan, &wanted, self.args, self.executor)?,
        };
        let written = outcome::write(
            self.experiment,
            &plan,
            &outcome,
            bench,
            self.out,
            &command_line(self.file, self.args),
            self.args.check,
        )?;
        // Printed once, by the run that has everything.
        if bench.store.damaged().is_empty() {
            super::print_table(&written.table)?;
            bars.line(&format!(
                "{}, {:.1} s, peak memory {} MiB; report: {}",
                describe(&outcome),
                watch.seconds(),
                machine::peak_memory_mib(),
                self.out.join("report.html").display()
            ));
        }
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
}

/// A plan, and what came of importing the maps that it stands on.
pub(super) struct Planned {
    pub imported: Option<Report>,
    pub plan: Plan,
}

/// Imports maps, if there are any, and plans.
pub(super) fn plan(
    file: &Path,
    experiment: &Experiment,
    bench: &Workbench,
) -> Result<Planned, Failure> {
    super::size_global_pool(bench.settings.threads);
    let (bars, interrupt) = (&bench.bars, &bench.interrupt);
    let imported = match bench.source.maps() {
        Some(maps) => Some(import::import(maps, &bench.store, bars, interrupt)?),
        None => None,
    };
    let plan = Plan::new(experiment, bench)
        .map_err(|fault| Failure::of_fault(&fault.at(file.display())))?;
    super::refuse_wrong_settings(&plan, file)?;
    if let Err(e) = bench.source.save_digests() {
        // They only save time.
        bars.line(&format!(
            "digests could not be kept and will be computed again: {e}"
        ));
    }
    Ok(Planned { imported, plan })
}

/// Computes what the store lacks of these cells.
///
/// # Errors
/// [`Failure::Interrupted`]; what fails in a cell is in the outcome.
pub(super) fn compute(
    bench: &Workbench,
    plan: &Plan,
    wanted: &[CellIndex],
    args: &RunArgs,
) -> Result<Outcome, Failure> {
    let (asked, here) = (bench.settings.processor, machine::processor());
    if asked != here {
        return Err(Failure::Configuration(format!(
            "--processor = {asked}: expected {here}, the family of this processor, since cells are \
             computed on it"
        )));
    }
    let outcome = schedule(bench, plan, wanted, &policy(args)).run()?;
    if !outcome.interrupted {
        return Ok(outcome);
    }
    let stored = bench.store.committed()?;
    let left = plan.needed_for(wanted, |kind, key| stored.contains(kind, key));
    Err(Failure::Interrupted(format!(
        "interrupted; {} cells are left, the same command continues from here",
        left.len()
    )))
}

/// A run of these cells and what they need.
pub(super) fn schedule<'a>(
    bench: &'a Workbench,
    plan: &'a Plan,
    wanted: &'a [CellIndex],
    policy: &'a Policy,
) -> Schedule<'a> {
    Schedule {
        plan,
        wanted,
        store: &bench.store,
        bars: &bench.bars,
        interrupt: &bench.interrupt,
        policy,
        resources: bench.settings.resources(),
        execute: bench,
    }
}

/// Where the results of all cells came from.
pub(super) fn describe(outcome: &Outcome) -> String {
    let Outcome {
        computed,
        by_others,
        stored,
        ..
    } = outcome;
    match by_others {
        0 => format!("{computed} cells computed, {stored} from the store"),
        others => {
            format!("{computed} cells computed here, {others} by others, {stored} from the store")
        }
    }
}

/// What to do about cells that fail.
pub(super) fn policy(args: &RunArgs) -> Policy {
    Policy {
        retries: args.retries,
        time_limit: args.time_limit,
        rerun_failed: args.plan.rerun_failed,
        program: segad_runner::versions::build(),
    }
}

/// The command that gives the same results again.
fn command_line(file: &Path, args: &RunArgs) -> String {
    let mut command = format!("cargo xtask sweep {}", file.display());
    let PlanArgs {
        settings,
        data,
        machine,
        ..
    } = &args.plan;
    if settings.profile != "paper" {
        command.push_str(&format!(" --profile {}", settings.profile));
    }
    if data.as_deref() == Some(Path::new(super::place::MINI)) {
        command.push_str(" --data mini");
    }
    if settings.maps.is_some() {
        // A place on one machine means nothing in a report that is read elsewhere.
        command.push_str(" --maps DIR");
    }
    for set in &settings.set {
        command.push_str(&format!(" --set '{set}'"));
    }
    if machine.precision != segad_core::Precision::F32 {
        command.push_str(&format!(" --precision {}", machine.precision));
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
