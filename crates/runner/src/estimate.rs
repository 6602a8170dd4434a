//! How long cells will take and how much memory, from what stored cells of the same sort recorded.

use crate::record::Record;
use segad_core::CellKind;
use segad_grid::{Cell, Definition, Task};
use segad_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use toml::Value;

/// Stored cells of a kind that are looked at.
const SAMPLE: usize = 500;

/// What decides how long a cell takes, as its provenance records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Kind of detector, classifier or forest; empty for others.
    pub what: String,
    /// Its settings as the experiment gives them.
    pub settings: String,
    /// Images that are read, maps that are cut, or rows that are fitted and scored.
    pub images: usize,
}

impl TaskRecord {
    /// What is recorded of a cell.
    pub fn of(cell: &Cell) -> Self {
        let split = &cell.split;
        match &cell.task {
            Task::FitDetector { def } => Self::by(def, split.detector.samples().len()),
            Task::FitClassifier { def, .. } | Task::OutOfFold { def, .. } => {
                Self::by(def, split.classifier.samples().len())
            }
            Task::Embed { def } => Self::by(def, split.pool().len()),
            Task::Maps { def, .. } | Task::Classify { def, .. } => {
                Self::by(def, split.mapped.len())
            }
            Task::FitSegments { segments, .. } => {
                let images = split.forest.samples().len();
                Self::new("segments", segments.to_string(), images)
            }
            Task::LabelMaps { segments, .. } => {
                Self::new("segments", segments.to_string(), split.mapped.len())
            }
            Task::Features {
                segments, features, ..
            } => {
                let settings = format!("{}\n{features}", text(segments.as_ref()));
                Self::new("", settings, split.mapped.len())
            }
            Task::JoinFeatures { parts } => {
                Self::new("join", String::new(), parts.len() * split.mapped.len())
            }
            Task::Forest { forest, .. } => {
                Self::new("", text(forest.as_ref()), split.forest.samples().len())
            }
            Task::ImportedMaps => Self::new("", String::new(), split.mapped.len()),
            Task::Stack { detectors, .. } => {
                let kinds: Vec<&str> = detectors.iter().map(|d| d.kind.as_str()).collect();
                let images = split.classifier.samples().len() + split.test.samples().len();
                Self::new("stack", kinds.join(" + "), images)
            }
            Task::TestScores { .. } => Self::new("", String::new(), split.test.samples().len()),
        }
    }

    fn new(what: &str, settings: String, images: usize) -> Self {
        Self {
            what: what.to_owned(),
            settings,
            images,
        }
    }

    fn by(def: &Definition, images: usize) -> Self {
        Self::new(&def.kind, def.params.to_string(), images)
    }
}

fn text(settings: Option<&Value>) -> String {
    settings.map_or_else(String::new, Value::to_string)
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
        // What takes long goes image by image, so the time grows with their number.
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
                let recorded = Record::of(&meta);
                // Written by a program that kept no such record.
                let Some(task) = recorded.task else { continue };
                let seconds = recorded.seconds;
                let memory = recorded.peak_memory_mib;
                // By what alone too: other settings of a method are a better guess than none.
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
        } = TaskRecord::of(cell);
        let alike = self.alike.get(&(cell.kind, what.clone()))?;
        Some(
            self.same
                .get(&(cell.kind, what, settings))
                .unwrap_or(alike)
                .scaled(images),
        )
    }
}
