//! Cells as tasks of a scheduler: submits them, waits, and looks into the store.

mod scheduler;
mod work;

use super::run;
use super::setup::{self, Prepared, Purpose};
use crate::session::Session;
use scheduler::Scheduler;
use segad_args::{Executor, ExecutorArgs, Format, PlanArgs, RunArgs};
use segad_clusters::{hyperqueue, kubernetes, slurm};
use segad_grid::{CellIndex, Plan};
use segad_runner::schedule::{Outcome, Schedule};
use segad_runner::{Bars, Failure, Workbench};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use work::Work;

/// How often cells are submitted whose tasks end without result and without failure, as those do
/// that run out of time or memory. Each time they get twice as much of both.
const SUBMISSIONS: u32 = 3;

/// Prints what would be submitted, or manifests to submit by hand.
///
/// # Errors
/// As planning.
pub(super) fn print(
    file: &Path,
    args: &PlanArgs,
    format: Format,
    slurm_args: &[String],
    session: &Session,
) -> Result<(), Failure> {
    let Prepared { experiment, bench } = setup::prepare(file, args, session, Purpose::Look)?;
    let plan = Plan::new(&experiment, &bench)
        .map_err(|fault| Failure::of_fault(&fault.at(file.display())))?;
    super::refuse_wrong_settings(&plan, file)?;
    let args = RunArgs {
        plan: args.clone(),
        out: None,
        check: false,
        retries: 0,
        time_limit: None,
    };
    let wanted = plan.wanted();
    let policy = run::policy(&args);
    let open = run::schedule(&bench, &plan, &wanted, &policy).open()?;
    if open.is_empty() {
        return Err(Failure::NothingSelected(format!(
            "{}: no cell is to be computed",
            file.display()
        )));
    }
    let mut work = Work::new(file, &bench, &plan, &wanted, &args)?;
    if format == Format::K8s {
        // As the image has it.
        work.run.command[0] = "segad".to_owned();
    }
    let job = work.job(&open, 0)?;
    super::print(&match format {
        Format::Slurm => {
            let limit = slurm::array_limit().unwrap_or(slurm::ARRAY_LIMIT);
            slurm::submission(&slurm::arrays(&job, limit), slurm_args)
        }
        Format::Hq => hyperqueue::job_file(&job),
        Format::K8s => format!("{:#}\n", kubernetes::manifests(&job)),
    })
}

/// Fails early where the scheduler's programs are missing or do not answer.
///
/// # Errors
/// [`Failure::Configuration`], with what they say.
pub(super) fn check(executor: &ExecutorArgs) -> Result<(), Failure> {
    match executor.executor {
        Executor::Local => Ok(()),
        Executor::Slurm | Executor::Hq => Scheduler::open(executor).map(drop),
    }
}

/// Has the cells computed that the store lacks, and waits for them.
///
/// # Errors
/// [`Failure::Configuration`] with what the scheduler's programs say, [`Failure::Interrupted`]. What
/// fails in a cell is in the outcome.
pub(super) fn compute(
    file: &Path,
    bench: &Workbench,
    plan: &Plan,
    wanted: &[CellIndex],
    args: &RunArgs,
    executor: &ExecutorArgs,
) -> Result<Outcome, Failure> {
    let scheduler = Scheduler::open(executor)?;
    if args.plan.rerun_failed {
        let stored = bench.store.committed()?;
        for cell in plan.needed_for(wanted, |kind, key| stored.contains(kind, key)) {
            let cell = &plan.cells[cell.0];
            bench.store.forget_failure(cell.kind, &cell.key)?;
        }
    }
    let policy = run::policy(args);
    let quiet = Bars::new(true);
    let silent = Schedule {
        bars: &quiet,
        ..run::schedule(bench, plan, wanted, &policy)
    };
    let work = Work::new(file, bench, plan, wanted, args)?;
    let mut logs = HashMap::new();
    let stored = bench.store.committed()?;
    let needed = plan.needed_for(wanted, |kind, key| stored.contains(kind, key));
    let mut open = silent.open()?;
    if !open.is_empty() && scheduler.is_queued(&work.run.name)? {
        let name = &work.run.name;
        bench
            .bars
            .line(&format!("waiting for the jobs {name} of an earlier call"));
        work.wait(&scheduler, &open)?;
        open = silent.open()?;
    }
    for submission in 0..SUBMISSIONS {
        if open.is_empty() {
            break;
        }
        segad_files::create_dir(&work.run.logs)?;
        let job = work.job(&open, submission)?;
        logs.extend(scheduler.submit(&job, &open)?);
        bench.bars.line(&format!(
            "submitted {} cells as {} tasks of jobs {}; logs: {}",
            open.len(),
            job.tasks.len(),
            job.run.name,
            job.run.logs.display()
        ));
        work.wait(&scheduler, &open)?;
        open = silent.open()?;
    }
    let report = run::schedule(bench, plan, wanted, &policy);
    let mut outcome = report.survey(&|id| lost(logs.get(&id)))?;
    let stored = bench.store.committed()?;
    let here = |id: &&CellIndex| stored.contains(plan.cells[id.0].kind, &plan.cells[id.0].key);
    outcome.by_others = needed.iter().filter(here).count();
    outcome.stored -= outcome.by_others;
    Ok(outcome)
}

/// Why a cell has neither result nor failure, from the end of what its task printed.
fn lost(log: Option<&PathBuf>) -> Failure {
    let Some(log) = log else {
        return Failure::System("its task ended without a result".to_owned());
    };
    // A task that never began, or ran on a machine with other folders, has left none.
    let text = segad_files::read_to_string(log).unwrap_or_default();
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let last = lines.clone().find(|line| line.starts_with("error: "));
    let last = last.or(lines.next()).unwrap_or("nothing");
    Failure::System(format!(
        "its task ended without a result and last printed: {last} ({})",
        log.display()
    ))
}
