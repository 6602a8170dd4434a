//! How long cells will take and how much memory, from what stored cells of the same sort recorded.

use segad_core::CellKind;
use segad_grid::{Cell, Task};
use segad_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Stored cells of a kind that are looked at.
const SAMPLE: usize = 500;

/// What decides how long a cell takes, as its provenance records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    /// Kind of detector, classifier or forest; empty for others.
    pub what: String,
    /// Its settings as the experiment gives them.
    pub settings: String,
    /// Images that are read, maps that are cut, or rows that are fitted and scored.
    pub images: usize,
}

/// What is recorded of a cell.
pub(crate) fn task(cell: &Cell) -> TaskRecord {
    let split = &cell.split;
    let (what, settings, images) = match &cell.task {
        Task::FitDetector { def } => (
            def.kind.clone(),
            def.params.to_string(),
            split.detector.samples().len(),
        ),
        Task::FitClassifier { def, .. } | Task::OutOfFold { def, .. } => (
            def.kind.clone(),
            def.params.to_string(),
            split.classifier.samples().len(),
        ),
        Task::Embed { def } => (def.kind.clone(), def.params.to_string(), split.pool().len()),
        Task::Maps { def, .. } | Task::Classify { def, .. } => {
            (def.kind.clone(), def.params.to_string(), split.mapped.len())
        }
        Task::ImportedMaps => (String::new(), String::new(), split.mapped.len()),
        Task::FitSegments { segments, .. } => (
            "segments".to_owned(),
            segments.to_string(),
            split.forest.samples().len(),
        ),
        Task::LabelMaps { segments, .. } => (
            "segments".to_owned(),
            segments.to_string(),
            split.mapped.len(),
        ),
        Task::Features {
            maps,
            segments,
            features,
            ..
        } => {
            let settings = format!(
                "{}\n{features}",
                segments
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            );
            (String::new(), settings, maps.len() * split.mapped.len())
        }
        Task::Forest { forest, .. } => {
            let settings = forest.as_ref().map(ToString::to_string).unwrap_or_default();
            (String::new(), settings, split.forest.samples().len())
        }
        Task::Evaluate { .. } => (String::new(), String::new(), split.test.samples().len()),
    };
    TaskRecord {
        what,
        settings,
        images,
    }
}

/// An expectation for one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// Peak memory of the process in MiB.
    pub memory_mib: u64,
}

/// Sums over stored cells.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    seconds: f64,
    images: usize,
    memory_mib: u64,
}

impl Sum {
    fn add(&mut self, seconds: f64, images: usize, memory_mib: u64) {
        self.seconds += seconds;
        self.images += images;
        self.memory_mib = self.memory_mib.max(memory_mib);
    }

    fn scaled(&self, images: usize) -> Estimate {
        let seconds = self.seconds * images as f64 / self.images.max(1) as f64;
        Estimate {
            seconds,
            memory_mib: self.memory_mib,
        }
    }
}

/// What earlier runs recorded.
#[derive(Debug, Default)]
pub struct Past {
    same: HashMap<(CellKind, String, String), Sum>,
    alike: HashMap<(CellKind, String), Sum>,
}

impl Past {
    /// Looks at the stored cells of the kinds that are to be computed.
    pub fn read(store: &Store, kinds: &[CellKind]) -> Result<Self, StoreError> {
        let mut past = Self::default();
        for &kind in kinds {
            for meta in store.sample(kind, SAMPLE)? {
                let recorded = &meta.provenance;
                let task = recorded
                    .get("task")
                    .and_then(|t| TaskRecord::deserialize(t).ok());
                let (Some(task), Some(seconds)) =
                    (task, recorded.get("seconds").and_then(|s| s.as_f64()))
                else {
                    continue;
                };
                let memory = recorded
                    .get("peak_memory_mib")
                    .and_then(|m| m.as_u64())
                    .unwrap_or(0);
                let alike = past.alike.entry((kind, task.what.clone())).or_default();
                alike.add(seconds, task.images, memory);
                let same = past
                    .same
                    .entry((kind, task.what, task.settings))
                    .or_default();
                same.add(seconds, task.images, memory);
            }
        }
        Ok(past)
    }

    /// From cells with the same settings, or else from those of the same sort, in proportion to the
    /// number of images.
    pub fn estimate(&self, cell: &Cell) -> Option<Estimate> {
        let TaskRecord {
            what,
            settings,
            images,
        } = task(cell);
        let alike = self.alike.get(&(cell.kind, what.clone()))?;
        Some(
            self.same
                .get(&(cell.kind, what, settings))
                .unwrap_or(alike)
                .scaled(images),
        )
    }
}
