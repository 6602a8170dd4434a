//! Cells as tasks, and waiting for them.

use super::scheduler::Scheduler;
use crate::commands::cell_command;
use segad_args::RunArgs;
use segad_clusters::{Job, Request, Run};
use segad_core::{CellKind, Device, Key};
use segad_grid::{Cell, CellIndex, Plan};
use segad_runner::clock::Stopwatch;
use segad_runner::estimate::Past;
use segad_runner::schedule::is_network;
use segad_runner::{Failure, Workbench};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The longest time between two looks at the queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How many looks at the queue may fail one after the other: ten minutes, in which a controller
/// restarts.
const UNANSWERED: u32 = 40;

/// Memory of a process besides caches and temporary arrays: libraries, network, images.
const PROGRAM_MIB: u64 = 2048;

/// What is submitted, and what it is waited for with.
pub(super) struct Work<'a> {
    bench: &'a Workbench,
    plan: &'a Plan,
    pub run: Run,
    memory_mib: u64,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        file: &Path,
        bench: &'a Workbench,
        plan: &'a Plan,
        wanted: &[CellIndex],
        args: &RunArgs,
    ) -> Result<Self, Failure> {
        let keys: Vec<Key> = wanted.iter().map(|id| plan.cells[id.0].key).collect();
        let name = segad_clusters::name(&keys);
        let program = std::env::current_exe()?.display().to_string();
        let mut command = vec![program];
        command.extend(cell_command::words(file, args, bench.settings.devices[0]));
        let variables = std::env::vars().filter(|(name, _)| name.starts_with("SEGAD_"));
        let machine = &args.plan.machine;
        Ok(Self {
            bench,
            plan,
            memory_mib: (machine.memory >> 20) + PROGRAM_MIB,
            run: Run {
                command,
                environment: variables.collect(),
                folder: std::env::current_dir()?,
                logs: bench.settings.cache.root().join("logs").join(&name),
                cpus: machine.threads.map_or(1, Into::into),
                doublings: 0,
                name,
            },
        })
    }

    /// These cells as tasks.
    pub(super) fn job(&self, cells: &[CellIndex], doublings: u32) -> Result<Job, Failure> {
        let kinds: BTreeSet<CellKind> = cells.iter().map(|id| self.plan.cells[id.0].kind).collect();
        let kinds: Vec<CellKind> = kinds.into_iter().collect();
        let past = Past::read(&self.bench.store, &kinds)?;
        let places = cells.iter().enumerate().map(|(at, id)| (*id, at));
        let places: HashMap<CellIndex, usize> = places.collect();
        let rendered: Vec<segad_clusters::Cell> = cells
            .iter()
            .map(|id| {
                let cell = &self.plan.cells[id.0];
                let needs = cell.needs.iter().filter_map(|need| places.get(need));
                segad_clusters::Cell {
                    key: cell.key,
                    kind: cell.kind,
                    needs: needs.copied().collect(),
                    request: self.request(cell, &past),
                }
            })
            .collect();
        let run = Run {
            doublings,
            ..self.run.clone()
        };
        Ok(Job::new(&rendered, run))
    }

    fn request(&self, cell: &Cell, past: &Past) -> Request {
        let network = is_network(cell.kind);
        let estimate = past.estimate(cell);
        // Earlier runs may have had more cells in one process, but never less.
        let known = estimate.map(|e| e.memory_mib + e.memory_mib / 4);
        Request {
            seconds: estimate.map(|e| e.seconds),
            memory_mib: known.or(network.then_some(self.memory_mib)),
            gpu: network && self.bench.settings.devices[0] != Device::Cpu,
            network,
        }
    }

    /// Waits until all cells are there or nothing of the job is queued any more.
    pub(super) fn wait(
        &self,
        scheduler: &Scheduler<'_>,
        cells: &[CellIndex],
    ) -> Result<(), Failure> {
        let bar = self.bench.bars.total("all", cells.len() as u64);
        let mut left = cells.to_vec();
        let mut pause = Duration::from_secs(1);
        let mut unanswered = 0;
        loop {
            self.pause(pause, left.len())?;
            pause = (2 * pause).min(LONGEST_PAUSE);
            let stored = self.bench.store.committed()?;
            left.retain(|id| {
                let cell = &self.plan.cells[id.0];
                !stored.contains(cell.kind, &cell.key)
            });
            bar.set_position((cells.len() - left.len()) as u64);
            if left.is_empty() {
                return Ok(());
            }
            match scheduler.ask(&self.run.name) {
                Ok(true) => unanswered = 0,
                Ok(false) => return Ok(()),
                Err(e) if unanswered == UNANSWERED => return Err(Failure::configuration(e)),
                Err(e) => {
                    // It says nothing about the jobs.
                    if unanswered == 0 {
                        self.bench.bars.line(&format!("{e}; still waiting"));
                    }
                    unanswered += 1;
                }
            }
        }
    }

    /// Sleeps, and ends early on Ctrl-C.
    fn pause(&self, time: Duration, left: usize) -> Result<(), Failure> {
        let watch = Stopwatch::start();
        while watch.elapsed() < time {
            if self.bench.interrupt.no_more.is_cancelled() {
                return Err(Failure::Interrupted(format!(
                    "interrupted; {left} cells are left, and the jobs {} stay queued; the same \
                     command waits for them",
                    self.run.name
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
