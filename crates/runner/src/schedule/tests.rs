use super::*;
use crate::clock::Stopwatch;
use segad_core::{Seed, TestSplit, TrainSplit};
use segad_grid::{Cell, Label, Split, SplitDigests, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Cells of one kind that need nothing.
fn plan(cells: usize, kind: CellKind) -> Plan {
    let key = Key::of_bytes(b"");
    let split = Arc::new(Split {
        detector: TrainSplit::default(),
        holdout: None,
        forest: TrainSplit::default(),
        classifier: TrainSplit::default(),
        classifier_units: Vec::new(),
        test: TestSplit::default(),
        mapped: Vec::new(),
        headline: Vec::new(),
        detector_seed: Seed(0),
        seed: Seed(0),
        digests: SplitDigests {
            detector: key,
            mapped: key,
            forest: key,
            forest_good: key,
            classifier: key,
            pool: key,
            test: key,
        },
    });
    let cell = |i: usize| Cell {
        kind,
        key: Key::of_bytes(&i.to_le_bytes()),
        label: Label::default(),
        task: Task::ImportedMaps,
        needs: Vec::new(),
        split: Arc::clone(&split),
        missing: None,
    };
    Plan {
        cells: (0..cells).map(cell).collect(),
        results: Vec::new(),
    }
}

/// Runs all cells of a plan in a store of its own.
fn run(plan: &Plan, resources: Resources, execute: &dyn Execute) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let wanted: Vec<CellIndex> = (0..plan.cells.len()).map(CellIndex).collect();
    let schedule = Schedule {
        plan,
        wanted: &wanted,
        store: &Store::open(dir.path()).unwrap(),
        bars: &Bars::new(true),
        interrupt: &Interrupt::default(),
        policy: &Policy::default(),
        resources,
        execute,
    };
    schedule.run().unwrap()
}

/// Which devices are busy, and how often each was used.
#[derive(Default)]
struct Devices(Mutex<BTreeMap<String, (bool, usize)>>);

impl Execute for Devices {
    fn execute(&self, _: &Plan, _: CellIndex, grant: Grant, _: &Cancel) -> Result<(), Failure> {
        let name = grant.device.to_string();
        let mut devices = lock(&self.0);
        let (busy, times) = devices.entry(name.clone()).or_default();
        assert!(!*busy, "two networks on {name}");
        (*busy, *times) = (true, *times + 1);
        drop(devices);
        thread::sleep(Duration::from_millis(20));
        lock(&self.0).get_mut(&name).unwrap().0 = false;
        Ok(())
    }

    fn least_memory(&self, _: &Plan, _: CellIndex) -> u64 {
        0
    }
}

#[test]
fn networks_run_on_all_devices_and_one_at_a_time_on_each() {
    let devices = Devices::default();
    let resources = Resources {
        threads: 4,
        memory: 1 << 30,
        networks: vec![Device::Cuda(0), Device::Cuda(2)],
    };
    let outcome = run(&plan(12, CellKind::Fit), resources, &devices);
    assert_eq!((outcome.computed, outcome.failed.len()), (12, 0));
    let devices = devices.0.into_inner().unwrap();
    let names: Vec<&str> = devices.keys().map(String::as_str).collect();
    assert_eq!(names, ["cuda:0", "cuda:2"]);
    assert!(devices.values().all(|(_, times)| *times >= 3));
}

/// Cells that take no time.
struct Nothing;

impl Execute for Nothing {
    fn execute(&self, _: &Plan, _: CellIndex, _: Grant, _: &Cancel) -> Result<(), Failure> {
        Ok(())
    }

    fn least_memory(&self, _: &Plan, _: CellIndex) -> u64 {
        0
    }
}

#[test]
#[ignore = "measures, so nothing else may run"]
fn a_cell_costs_less_than_two_milliseconds() {
    let cells = 10_000;
    let resources = Resources {
        threads: 1,
        memory: 1 << 30,
        networks: vec![Device::Cpu],
    };
    let plan = plan(cells, CellKind::Scores);
    // The best of three: the machine may have other work.
    let seconds = |_| {
        let watch = Stopwatch::start();
        assert_eq!(run(&plan, resources.clone(), &Nothing).computed, cells);
        watch.seconds()
    };
    let best = (0..3).map(seconds).fold(f64::INFINITY, f64::min);
    let each = 1e3 * best / cells as f64;
    assert!(each < 2.0, "{each} ms");
}
