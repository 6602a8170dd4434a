//! Which scheduler, and with what arguments it is called.

use segad_args::{Executor, ExecutorArgs};
use segad_clusters::{ClusterError, Job, hyperqueue, slurm};
use segad_grid::CellIndex;
use segad_runner::Failure;
use std::collections::HashMap;
use std::path::PathBuf;

/// A scheduler with the arguments for its programs.
pub(super) enum Scheduler<'a> {
    Slurm {
        limit: usize,
        arguments: &'a [String],
    },
    HyperQueue,
}

impl<'a> Scheduler<'a> {
    pub(super) fn open(executor: &'a ExecutorArgs) -> Result<Self, Failure> {
        match executor.executor {
            Executor::Hq => {
                hyperqueue::probe().map_err(Failure::configuration)?;
                Ok(Self::HyperQueue)
            }
            Executor::Slurm | Executor::Local => {
                slurm::probe().map_err(Failure::configuration)?;
                let limit = slurm::array_limit().map_err(Failure::configuration)?;
                let arguments = &executor.slurm_arg;
                Ok(Self::Slurm { limit, arguments })
            }
        }
    }

    /// Submits a job; gives the file that each of the cells is logged in.
    pub(super) fn submit(
        &self,
        job: &Job,
        cells: &[CellIndex],
    ) -> Result<HashMap<CellIndex, PathBuf>, Failure> {
        let mut logs = HashMap::new();
        let mut note = |task: usize, log: PathBuf| {
            let cells = job.tasks[task].cells.iter().map(|&at| cells[at]);
            logs.extend(cells.map(|cell| (cell, log.clone())));
        };
        match self {
            Self::Slurm { limit, arguments } => {
                let mut ids: Vec<String> = Vec::new();
                for array in slurm::arrays(job, *limit) {
                    let after: Vec<String> = array.after.iter().map(|&a| ids[a].clone()).collect();
                    let id =
                        slurm::submit(&array, &after, arguments).map_err(|e| refused(&e, &ids))?;
                    for (index, &task) in array.tasks.iter().enumerate() {
                        note(task, slurm::log(job, &id, index));
                    }
                    ids.push(id);
                }
            }
            Self::HyperQueue => {
                let file = job.run.logs.join("job.toml");
                segad_files::write_atomic(&file, hyperqueue::job_file(job).as_bytes())?;
                hyperqueue::submit(&file).map_err(Failure::configuration)?;
                (0..job.tasks.len()).for_each(|task| note(task, hyperqueue::log(job, task)));
            }
        }
        Ok(logs)
    }

    pub(super) fn ask(&self, name: &str) -> Result<bool, ClusterError> {
        match self {
            Self::Slurm { .. } => slurm::is_queued(name),
            Self::HyperQueue => hyperqueue::is_queued(name),
        }
    }

    pub(super) fn is_queued(&self, name: &str) -> Result<bool, Failure> {
        self.ask(name).map_err(Failure::configuration)
    }
}

fn refused(error: &ClusterError, before: &[String]) -> Failure {
    Failure::Configuration(match before {
        [] => error.to_string(),
        ids => format!(
            "{error}; the jobs before it stay queued: {}; the same command waits for them",
            ids.join(", ")
        ),
    })
}
