//! From cells to tasks and waves of tasks.

use segad_core::{CellKind, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How long a task should at least take, in seconds: starting the program and planning the
/// experiment takes one or two.
const WORTH_STARTING: f64 = 120.0;

/// The most cells of one task; more would leave processors idle.
const MOST_CELLS: usize = 64;

/// Cells of one task where no earlier run tells how long they take, and they run no networks.
const UNKNOWN_CELLS: usize = 16;

/// Digits of a key that a task names: enough for 2³² cells, and short enough for a script.
const DIGITS: usize = 16;

/// What a cell or task needs of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    /// Expected time; `None` if no earlier run tells.
    pub seconds: Option<f64>,
    /// Main memory in MiB; `None` leaves it to the scheduler.
    pub memory_mib: Option<u64>,
    /// Whether it needs a GPU.
    pub gpu: bool,
    /// Whether it runs a network.
    pub network: bool,
}

/// A cell that is to be computed.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its key.
    pub key: Key,
    /// Its kind.
    pub kind: CellKind,
    /// Which of the cells before it must be computed first.
    pub needs: Vec<usize>,
    /// What it needs of a machine.
    pub request: Request,
}

/// Cells that one call of the program computes.
#[derive(Clone, Debug)]
pub struct Task {
    /// What sort of cells.
    pub kind: CellKind,
    /// Which of the cells of the job.
    pub cells: Vec<usize>,
    /// The beginnings of their keys.
    pub keys: Vec<String>,
    /// Which of the tasks before it must be over.
    pub needs: Vec<usize>,
    /// What it needs of a machine.
    pub request: Request,
    /// How many tasks before it at least must be over one after the other.
    depth: usize,
}

/// What all tasks of a job have in common.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the jobs are called: [`name`] of the results that are wanted in the end.
    pub name: String,
    /// The program and its arguments up to the keys.
    pub command: Vec<String>,
    /// Variables that it reads; schedulers may start tasks with others.
    pub environment: BTreeMap<String, String>,
    /// The folder to run in.
    pub folder: PathBuf,
    /// The folder for what tasks print.
    pub logs: PathBuf,
    /// Processors of one task.
    pub cpus: usize,
    /// How often time and memory are doubled that earlier runs suggest.
    pub doublings: u32,
}

/// A name that the same results always have, by which a later call finds what is still queued.
pub fn name(wanted: &[Key]) -> String {
    let keys: Vec<u8> = wanted.iter().flat_map(|key| *key.as_bytes()).collect();
    format!("segad-{}", &Key::of_bytes(&keys).to_string()[..12])
}

/// Tasks for a scheduler.
#[derive(Clone, Debug)]
pub struct Job {
    /// Each after those it needs.
    pub tasks: Vec<Task>,
    /// What they have in common.
    pub run: Run,
}

impl Job {
    /// Groups cells, each of which comes after those it needs, into tasks.
    pub fn new(cells: &[Cell], run: Run) -> Self {
        let tasks = tasks(cells);
        Self { tasks, run }
    }

    /// Groups of tasks of the same kind and needs, such that no task needs one of its own group.
    /// Each group comes after those it needs.
    pub(crate) fn waves(&self) -> Vec<Vec<usize>> {
        let mut waves: BTreeMap<(usize, CellKind, bool), Vec<usize>> = BTreeMap::new();
        for (i, task) in self.tasks.iter().enumerate() {
            let wave = (task.depth, task.kind, task.request.gpu);
            waves.entry(wave).or_default().push(i);
        }
        waves.into_values().collect()
    }

    /// What several tasks need of a machine, each.
    pub(crate) fn request(&self, tasks: &[usize]) -> Request {
        let factor = 1u64 << self.run.doublings;
        let each = || tasks.iter().map(|&i| &self.tasks[i].request);
        let seconds = each().map(|r| r.seconds).collect::<Option<Vec<f64>>>();
        Request {
            seconds: seconds.map(|s| s.into_iter().fold(0.0, f64::max) * factor as f64),
            memory_mib: each()
                .filter_map(|r| r.memory_mib)
                .max()
                .map(|m| m * factor),
            gpu: each().any(|r| r.gpu),
            network: each().any(|r| r.network),
        }
    }
}

fn tasks(cells: &[Cell]) -> Vec<Task> {
    let mut depths = Vec::with_capacity(cells.len());
    // A task is open while it takes more cells; one for each sort.
    let mut open: BTreeMap<(usize, CellKind, bool), usize> = BTreeMap::new();
    let mut tasks: Vec<Task> = Vec::new();
    let mut task_of = Vec::with_capacity(cells.len());
    for (i, cell) in cells.iter().enumerate() {
        let above = cell.needs.iter().map(|&need| depths[need] + 1);
        let depth = above.max().unwrap_or(0);
        depths.push(depth);
        let sort = (depth, cell.kind, cell.request.gpu);
        let found = open.get(&sort).filter(|&&at| takes(&tasks[at], cell));
        let at = found.copied().unwrap_or_else(|| {
            tasks.push(Task {
                kind: cell.kind,
                cells: Vec::new(),
                keys: Vec::new(),
                needs: Vec::new(),
                request: Request {
                    seconds: Some(0.0),
                    ..cell.request
                },
                depth,
            });
            tasks.len() - 1
        });
        open.insert(sort, at);
        task_of.push(at);
        let task = &mut tasks[at];
        task.cells.push(i);
        task.keys.push(cell.key.to_string()[..DIGITS].to_owned());
        let seconds = task.request.seconds.zip(cell.request.seconds);
        task.request.seconds = seconds.map(|(a, b)| a + b);
        task.request.memory_mib = task.request.memory_mib.max(cell.request.memory_mib);
        let needs: BTreeSet<usize> = cell.needs.iter().map(|&need| task_of[need]).collect();
        task.needs.extend(needs);
    }
    in_order(tasks)
}

/// Whether a task takes one more cell.
fn takes(task: &Task, cell: &Cell) -> bool {
    let count = task.cells.len();
    match (task.request.seconds, cell.request.seconds) {
        (Some(so_far), Some(more)) => count < MOST_CELLS && so_far + more <= WORTH_STARTING,
        _ => count < UNKNOWN_CELLS && !cell.request.network,
    }
}

/// Each task after those it needs: one that took a later cell may need a later task.
fn in_order(tasks: Vec<Task>) -> Vec<Task> {
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|&i| tasks[i].depth);
    let mut places = vec![0; tasks.len()];
    for (place, &i) in order.iter().enumerate() {
        places[i] = place;
    }
    let placed = |task: &Task| {
        let needs: BTreeSet<usize> = task.needs.iter().map(|&need| places[need]).collect();
        Task {
            needs: needs.into_iter().collect(),
            ..task.clone()
        }
    };
    order.iter().map(|&i| placed(&tasks[i])).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `n` products, each a fit, maps and statistics; then one row over all of them.
    pub(crate) fn job(n: usize, seconds: Option<f64>) -> Job {
        let request = |network| Request {
            seconds: seconds.map(|s| if network { 10.0 * s } else { s }),
            memory_mib: network.then_some(3000),
            gpu: network,
            network,
        };
        let mut cells = Vec::new();
        let mut add = |kind, needs, network| {
            cells.push(Cell {
                key: Key::of_bytes(&cells.len().to_le_bytes()),
                kind,
                needs,
                request: request(network),
            });
            cells.len() - 1
        };
        let mut last = Vec::new();
        for _ in 0..n {
            let fit = add(CellKind::Fit, vec![], true);
            let maps = add(CellKind::Maps, vec![fit], true);
            last.push(add(CellKind::Features, vec![maps], false));
        }
        add(CellKind::Forest, last, false);
        let command = ["/opt/segad", "cell", "a b.toml", "--set", "seeds=[1]"];
        let run = Run {
            name: name(&[Key::of_bytes(b"a")]),
            command: command.map(String::from).to_vec(),
            environment: [("SEGAD_STORE".to_owned(), "a b".to_owned())].into(),
            folder: "/work".into(),
            logs: "/work/logs".into(),
            cpus: 1,
            doublings: 0,
        };
        Job::new(&cells, run)
    }

    #[test]
    fn tasks_come_after_what_they_need() {
        for (n, seconds) in [(3, None), (40, Some(1.0)), (40, Some(50.0))] {
            let job = job(n, seconds);
            let cells: usize = job.tasks.iter().map(|t| t.cells.len()).sum();
            assert_eq!(cells, 3 * n + 1);
            for (i, task) in job.tasks.iter().enumerate() {
                assert!(task.needs.iter().all(|&need| need < i));
            }
            let mut done = BTreeSet::new();
            for wave in job.waves() {
                let met = |i: &usize| job.tasks[*i].needs.iter().all(|need| done.contains(need));
                assert!(wave.iter().all(met), "{wave:?}");
                done.extend(wave);
            }
            assert_eq!(done.len(), job.tasks.len());
        }
    }

    #[test]
    fn short_cells_share_a_task_and_long_ones_do_not() {
        let count = |job: &Job, kind| job.tasks.iter().filter(|t| t.kind == kind).count();
        // Unknown: a network each, 16 of the others.
        let unknown = job(40, None);
        assert_eq!(count(&unknown, CellKind::Fit), 40);
        assert_eq!(count(&unknown, CellKind::Features), 3);
        // 10 s for a network: 12 to a task of two minutes; 1 s for the others: all 40.
        let short = job(40, Some(1.0));
        assert_eq!(count(&short, CellKind::Fit), 4);
        assert_eq!(count(&short, CellKind::Features), 1);
        assert_eq!(short.tasks[0].request.seconds, Some(120.0));
        let long = job(40, Some(1000.0));
        assert_eq!(count(&long, CellKind::Features), 40);
    }

    #[test]
    fn the_same_results_have_the_same_name() {
        let [a, b] = [b"a", b"b"].map(|bytes| Key::of_bytes(bytes));
        assert_eq!(name(&[a, b]), name(&[a, b]));
        assert_ne!(name(&[a, b]), name(&[a]));
    }

    #[test]
    fn a_wave_asks_for_what_its_largest_task_needs() {
        let mut job = job(2, Some(100.0));
        job.tasks[1].request.seconds = Some(5000.0);
        job.run.doublings = 1;
        let request = job.request(&[0, 1]);
        assert_eq!(request.seconds, Some(10_000.0));
        assert_eq!(request.memory_mib, Some(6000));
        job.tasks[0].request.seconds = None;
        assert_eq!(job.request(&[0, 1]).seconds, None);
    }
}
