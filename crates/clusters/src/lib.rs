//! What the schedulers of clusters are told: cells of an experiment as tasks of Slurm, HyperQueue
//! or Kubernetes.
//!
//! Cells become [`Task`]s, small ones several to a task ([`Job::new`]). Every task runs
//! `segad cell FILE KEY…`, which finds its inputs in the store and leaves its result there. What a
//! scheduler reports about a task is never taken for its outcome: only the store says which cells
//! are done. From a scheduler come the exit code of the program that submits, and whether anything
//! is still queued.
//!
//! | scheduler | one submission | order |
//! |---|---|---|
//! | Slurm ([`slurm`]) | an array per wave: cells of a kind, as far from their first inputs | `--dependency=afterany` |
//! | HyperQueue ([`hyperqueue`]) | one job file | `deps` of each task |
//! | Kubernetes ([`kubernetes`]) | an Indexed Job per wave | the user applies them in turn |
//!
//! Times are in seconds, memory in MiB. Nothing here touches the disk.
//!
//! ```
//! use segad_clusters::{Cell, Job, Request, Run, hyperqueue, name};
//! use segad_core::{CellKind, Key};
//!
//! let [fit, maps] = ["a", "b"].map(|name| Key::of_bytes(name.as_bytes()));
//! let cell = |key, kind, needs| Cell { key, kind, needs, request: Request::default() };
//! let cells = [cell(fit, CellKind::Fit, vec![]), cell(maps, CellKind::Maps, vec![0])];
//! let run = Run {
//!     name: name(&[maps]),
//!     command: ["segad", "cell", "table5.toml"].map(String::from).to_vec(),
//!     environment: Default::default(),
//!     folder: "/home/me".into(),
//!     logs: "/home/me/logs".into(),
//!     cpus: 1,
//!     doublings: 0,
//! };
//! let job = Job::new(&cells, run);
//! assert_eq!(job.tasks[1].needs, [0]);
//! assert!(hyperqueue::job_file(&job).contains("deps = [0]"));
//! ```

mod error;
pub mod hyperqueue;
mod job;
pub mod kubernetes;
mod program;
mod shell;
pub mod slurm;

pub use error::ClusterError;
pub use job::{Cell, Job, Request, Run, Task, name};
