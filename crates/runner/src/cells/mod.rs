//! One file per kind of cell: reads its inputs from the store, computes, publishes.

mod classify;
mod embed;
mod features;
mod fit;
mod forest;
mod maps;
mod scores;
mod segments;
pub(crate) mod stack;

pub(crate) use forest::with_scores;

use crate::clock::Stopwatch;
use crate::error::{Failure, RunnerError};
use crate::machine::{self, Machine};
use crate::record::Record;
use crate::schedule::{Execute, Grant};
use crate::workbench::{Workbench, lock};
use rayon::prelude::*;
use segad_core::{BoxError, Cancel, FeatureTable, FitContext, Image, ImageId, Label};
use segad_datasets::numpy::RandomState;
use segad_grid::{Cell, CellIndex, Plan, Task};
use segad_methods::folds::{self, Rule};
use segad_nn::SavedModel;
use segad_store::{Draft, Entry};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

const SCORES: &str = "scores.parquet";

/// What a cell's code may use.
pub(crate) struct At<'a> {
    pub bench: &'a Workbench,
    pub plan: &'a Plan,
    pub cell: &'a Cell,
    /// What it may use.
    pub grant: Grant,
    /// Asks this cell to stop.
    pub cancel: &'a Cancel,
    notes: Mutex<Vec<String>>,
}

impl At<'_> {
    /// A cell that this one needs; the scheduler ran it before.
    pub(crate) fn input(&self, id: CellIndex) -> Result<Entry, BoxError> {
        self.bench.stored(&self.plan.cells[id.0])
    }

    pub(crate) fn draft(&self) -> Result<Draft, BoxError> {
        Ok(self.bench.store.draft(self.cell.kind, &self.cell.key)?)
    }

    /// Something that was decided on the way and belongs into the provenance.
    pub(crate) fn note(&self, text: String) {
        lock(&self.notes).push(text);
    }

    /// The pixels of some images, in their order.
    pub(crate) fn load(&self, ids: &[ImageId]) -> Result<Vec<Image>, BoxError> {
        let loader = self.bench.loader();
        // Decoding takes longer than reading, so it is spread over the processors.
        ids.par_iter().map(|id| loader.load(id)).collect()
    }

    /// Loads images batch by batch and passes each batch on with its ids.
    pub(crate) fn each_batch(
        &self,
        ids: &[ImageId],
        mut work: impl FnMut(&[ImageId], &[Image]) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let ctx = self.context();
        let name = self.cell.to_string();
        let task = ctx.progress.start(&name, Some(ids.len() as u64));
        for ids in ids.chunks(ctx.batch.max(1)) {
            self.check_cancelled()?;
            work(ids, &self.load(ids)?)?;
            task.advance(ids.len() as u64);
        }
        Ok(())
    }

    /// A draft with one score per image.
    pub(crate) fn draft_of_scores(
        &self,
        ids: Vec<ImageId>,
        scores: Vec<f32>,
    ) -> Result<Draft, BoxError> {
        let draft = self.draft()?;
        let table = FeatureTable::new(vec!["score".to_owned()], ids, scores)?;
        segad_store::write_features(&draft.path(SCORES)?, &table)?;
        Ok(draft)
    }

    /// What [`At::draft_of_scores`] left in the store.
    pub(crate) fn scores(&self, cell: CellIndex) -> Result<FeatureTable, BoxError> {
        Ok(segad_store::read_features(
            &self.input(cell)?.path(SCORES)?,
        )?)
    }

    /// An error once this cell is asked to stop; for safe places.
    pub(crate) fn check_cancelled(&self) -> Result<(), RunnerError> {
        if self.cancel.is_cancelled() {
            Err(RunnerError::Cancelled)
        } else {
            Ok(())
        }
    }

    pub(crate) fn context(&self) -> FitContext {
        self.bench
            .fit_context(&self.cell.key, self.grant, self.cancel)
    }

    /// The table of an `embed` or `features` cell.
    pub(crate) fn features(
        &self,
        cell: Option<CellIndex>,
    ) -> Result<Option<FeatureTable>, BoxError> {
        let Some(id) = cell else { return Ok(None) };
        let path = self.input(id)?.path("features.parquet")?;
        Ok(Some(segad_store::read_features(&path)?))
    }

    /// The fold of each of the classifier's training images.
    pub(crate) fn folds(&self, of: usize) -> Result<Vec<usize>, BoxError> {
        let split = &self.cell.split;
        let labels: Vec<Label> = split.classifier.samples().iter().map(|s| s.label).collect();
        let (units, count) = folds::number(&split.classifier_units);
        // By the seed of the split, so that all cells of a row agree on the folds.
        let order = RandomState::from_seed(split.seed)?.permutation(count);
        Ok(folds::assign(&labels, &units, order, of, Rule::Stratified)?)
    }
}

/// The model of a `fit` cell.
fn saved_model(entry: &Entry) -> Result<SavedModel, BoxError> {
    Ok(SavedModel {
        header: String::from_utf8(entry.read("model.json")?)?,
        tensors: entry.read("model.safetensors")?,
    })
}

/// The row of each image.
pub(crate) fn rows_by_id(table: &FeatureTable) -> HashMap<&ImageId, usize> {
    table.ids().iter().zip(0..).collect()
}

/// The score of each image, of a table with one column.
fn scores_by_id(table: &FeatureTable) -> HashMap<&ImageId, f32> {
    let scores = table.values().iter().copied();
    table.ids().iter().zip(scores).collect()
}

/// The rows of these images, in their order.
fn select(table: &FeatureTable, ids: &[ImageId]) -> Result<FeatureTable, BoxError> {
    let by_id = rows_by_id(table);
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.push(
            *by_id
                .get(id)
                .ok_or_else(|| format!("{id} has no features"))?,
        );
    }
    Ok(table.select_rows(&rows))
}

impl Execute for Workbench {
    fn least_memory(&self, plan: &Plan, id: CellIndex) -> u64 {
        let cell = &plan.cells[id.0];
        let Task::FitDetector { def } = &cell.task else {
            return 0;
        };
        // Settings that cannot be read are an error of the cell.
        let detector = self.methods.detector(&def.kind, &def.params).ok();
        let images = cell.split.detector.samples().len();
        detector.map_or(0, |d| d.least_memory(images))
    }

    fn execute(
        &self,
        plan: &Plan,
        id: CellIndex,
        grant: Grant,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let cell = &plan.cells[id.0];
        let at = At {
            bench: self,
            plan,
            cell,
            grant,
            cancel,
            notes: Mutex::default(),
        };
        let watch = Stopwatch::start();
        let done = match &cell.task {
            Task::FitDetector { def } => fit::detector(&at, def),
            Task::Embed { def } => embed::run(&at, def),
            Task::FitClassifier { def, embed, fold } => fit::classifier(&at, def, *embed, *fold),
            Task::Maps { fit, def } => maps::run(&at, *fit, def),
            Task::ImportedMaps => {
                let message = "these maps come from outside and are not in the store";
                Err(RunnerError::Input(message.to_owned()).into())
            }
            Task::FitSegments { maps, segments } => segments::fit(&at, maps, segments),
            Task::LabelMaps { fit, segments } => segments::label_maps(&at, *fit, segments),
            Task::Classify { fit, def, embed } => classify::run(&at, *fit, def, *embed),
            Task::OutOfFold { fits, def, embed } => classify::out_of_fold(&at, fits, def, *embed),
            Task::Features {
                maps,
                detector,
                segments,
                labels,
                features,
            } => {
                let segments = (segments.as_ref(), *labels);
                features::run(&at, *maps, detector, segments, features)
            }
            Task::JoinFeatures { parts } => features::join(&at, parts),
            Task::Forest {
                features,
                classify,
                out_of_fold,
                classifier,
                forest,
            } => {
                let classify = classify.zip(classifier.as_deref());
                forest::run(&at, *features, classify, *out_of_fold, forest.as_ref())
            }
            Task::Stack {
                detectors,
                tokens,
                segments,
            } => stack::run(&at, detectors, tokens.as_deref(), segments.as_ref()),
            Task::TestScores { source, head, part } => {
                scores::run(&at, *source, *head, part.as_deref())
            }
        };
        let draft = done?;
        draft.commit(serde_json::to_value(record(&at, watch.seconds()))?)?;
        let checkpoints = self.checkpoints(&cell.key);
        if checkpoints.exists() {
            // The stored model has taken their place. What cannot be removed only takes space.
            let removed = segad_files::remove(&checkpoints);
            removed.unwrap_or_else(|e| tracing::warn!("checkpoints of a finished fit remain: {e}"));
        }
        Ok(())
    }
}

/// The groups of a row's test images that headline metrics leave out.
fn set_aside(cell: &Cell) -> Option<Vec<String>> {
    if !matches!(cell.task, Task::TestScores { .. }) {
        return None;
    }
    let samples = cell.split.test.samples().iter();
    let aside = samples.filter(|s| !cell.split.is_headline(s));
    let groups: BTreeSet<String> = aside.map(|s| s.group.clone()).collect();
    Some(groups.into_iter().collect())
}

/// What is recorded beside every result.
fn record(at: &At<'_>, seconds: f64) -> Record {
    let cells = &at.plan.cells;
    let inputs = at.cell.needs.iter().map(|id| cells[id.0].key).collect();
    let versions = crate::versions::versions().into_iter();
    Record {
        seconds,
        peak_memory_mib: machine::peak_memory_mib(),
        machine: Some(Machine::here()),
        versions: versions.map(|(name, v)| (name.to_owned(), v)).collect(),
        device: machine::device_name(at.grant.device),
        threads: 1,
        notes: lock(&at.notes).clone(),
        set_aside: set_aside(at.cell),
        ..Record::new(at.cell, inputs)
    }
}
