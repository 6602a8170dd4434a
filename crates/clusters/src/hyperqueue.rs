//! HyperQueue: one job file with a task graph.
//!
//! [Its form](https://it4innovations.github.io/hyperqueue/stable/jobs/jobfile/) is TOML. A task whose
//! input failed is never started.

use crate::program::Program;
use crate::{ClusterError, Job};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const HQ: Program = Program {
    name: "hq",
    scheduler: "HyperQueue",
};

#[derive(Serialize)]
struct JobFile<'a> {
    name: &'a str,
    task: Vec<TaskEntry<'a>>,
}

#[derive(Serialize)]
struct TaskEntry<'a> {
    id: usize,
    command: Vec<String>,
    env: &'a BTreeMap<String, String>,
    cwd: String,
    stdout: String,
    stderr: String,
    deps: Vec<usize>,
    request: [RequestEntry; 1],
}

#[derive(Serialize)]
struct RequestEntry {
    resources: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_request: Option<String>,
}

/// A job as a file for `hq job submit-file`.
pub fn job_file(job: &Job) -> String {
    let run = &job.run;
    let tasks = job.tasks.iter().enumerate().map(|(id, task)| {
        let request = job.request(&[id]);
        let mut resources = BTreeMap::from([("cpus", run.cpus)]);
        if request.gpu {
            resources.insert("gpus/nvidia", 1);
        }
        let log = log(job, id).display().to_string();
        TaskEntry {
            id,
            command: [run.command.as_slice(), &task.keys].concat(),
            env: &run.environment,
            cwd: run.folder.display().to_string(),
            // One file for both: they tell one story.
            stdout: log.clone(),
            stderr: log,
            deps: task.needs.clone(),
            request: [RequestEntry {
                resources,
                time_request: request.seconds.map(|s| format!("{:.0}s", s.ceil())),
            }],
        }
    });
    let file = JobFile {
        name: &run.name,
        task: tasks.collect(),
    };
    toml::to_string(&file).expect("it has texts, numbers and lists alone, which TOML can hold")
}

/// Whether its program is here.
///
/// # Errors
/// [`ClusterError::NotStarted`] if it is not.
pub fn probe() -> Result<(), ClusterError> {
    HQ.call(&["--version".to_owned()], "").map(drop)
}

/// Submits the job in a file.
///
/// # Errors
/// [`ClusterError`], with what `hq` said.
pub fn submit(file: &Path) -> Result<(), ClusterError> {
    let file = file.display().to_string();
    HQ.call(&["job".into(), "submit-file".into(), file], "")?;
    Ok(())
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    task_stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    running: u64,
    waiting: u64,
}

/// Whether a job of this name is still waiting or running.
///
/// # Errors
/// [`ClusterError`] where the server does not answer.
pub fn is_queued(name: &str) -> Result<bool, ClusterError> {
    let arguments = ["--output-mode=json", "job", "list"].map(String::from);
    let said = HQ.call(&arguments, "")?;
    let jobs: Vec<Listed> = serde_json::from_str(&said)
        .map_err(|_| HQ.answer(&arguments, "a list of jobs in JSON", &said))?;
    let mut ours = jobs.iter().filter(|job| job.name == name);
    Ok(ours.any(|job| job.task_stats.running + job.task_stats.waiting > 0))
}

/// The file with what a task printed.
pub fn log(job: &Job, task: usize) -> PathBuf {
    job.run.logs.join(format!("{task}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn tasks_have_needs_and_requests() {
        let text = job_file(&job(2, Some(1000.0)));
        let file: toml::Table = text.parse().unwrap();
        let tasks = file["task"].as_array().unwrap();
        assert_eq!(tasks.len(), 7);
        let maps = &tasks[2];
        assert_eq!(maps["deps"].as_array().unwrap(), &[0.into()]);
        let request = &maps["request"][0];
        assert_eq!(request["resources"]["cpus"].as_integer(), Some(1));
        assert_eq!(request["resources"]["gpus/nvidia"].as_integer(), Some(1));
        assert_eq!(request["time_request"].as_str(), Some("10000s"));
        let command = maps["command"].as_array().unwrap();
        assert_eq!(command.len(), 6);
        assert_eq!(maps["env"]["SEGAD_STORE"].as_str(), Some("a b"));
        assert_eq!(command[2].as_str(), Some("a b.toml"));
        let row = &tasks[6];
        assert_eq!(row["deps"].as_array().unwrap().len(), 2);
        assert!(row["request"][0]["resources"].get("gpus/nvidia").is_none());
    }
}
