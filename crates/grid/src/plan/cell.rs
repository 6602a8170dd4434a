//! What one cell is.

use crate::{DetectorDef, Head, Split};
use segad_core::{CellKind, Key};
use serde::Serialize;
use std::sync::Arc;
use toml::{Table, Value};

/// Position of a cell in [`Plan::cells`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CellId(pub usize);

/// What to run for a cell. Everything that decides the result is in the cell's key as well.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fit a detector on `split.detector`.
    FitDetector {
        /// The detector.
        def: Arc<DetectorDef>,
    },
    /// Features of every image of [`Split::pool`], by the frozen network of a classifier.
    Embed {
        /// The classifier.
        def: Arc<DetectorDef>,
    },
    /// Fit a classifier on `split.classifier`.
    FitClassifier {
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it trains on, if not on the images.
        embed: Option<CellId>,
        /// The part that it must not see.
        fold: Option<Fold>,
    },
    /// Map every image of `split.mapped` with the detector that `fit` gave.
    Maps {
        /// The fitted detector.
        fit: CellId,
        /// The detector.
        def: Arc<DetectorDef>,
    },
    /// Maps that were brought in from outside.
    ImportedMaps,
    /// Learn segments from the good images of `split.forest`.
    FitSegments {
        /// The detectors' maps that it looks at.
        maps: Vec<CellId>,
        /// The segment source.
        segments: Value,
    },
    /// A label map of every image of `split.mapped`.
    LabelMaps {
        /// What was learned, if anything is.
        fit: Option<CellId>,
        /// The segment source.
        segments: Value,
    },
    /// Score every image of `split.mapped` with the classifier that `fit` gave.
    Classify {
        /// The fitted classifier.
        fit: CellId,
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it scores, if not the images.
        embed: Option<CellId>,
    },
    /// Score every image of `split.classifier` with the classifier that was fitted without its
    /// fold.
    OutOfFold {
        /// One fitted classifier a fold.
        fits: Vec<CellId>,
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it scores, if not the images.
        embed: Option<CellId>,
    },
    /// Statistics of the maps inside each segment.
    Features {
        /// One per detector, in the order of the columns.
        maps: Vec<CellId>,
        /// The detectors' names, for the columns.
        detectors: Vec<String>,
        /// The segment source; `None`: the data set's own.
        segments: Option<Value>,
        /// The cell that holds the label maps, where they are made in one.
        labels: Option<CellId>,
        /// Parameters of the statistics.
        features: Table,
        /// Of several detectors: the statistics of each, which are put side by side. Empty if there
        /// is one.
        parts: Vec<CellId>,
    },
    /// Fit on `split.forest`, score every row.
    Forest {
        /// The statistics, unless the row uses a classifier alone.
        features: Option<CellId>,
        /// The classifier's scores, added as a column.
        classify: Option<CellId>,
        /// Scores that take their place in the rows that it is fitted on.
        out_of_fold: Option<CellId>,
        /// The classifier's name, for the column.
        classifier: Option<String>,
        /// Parameters of the forest.
        forest: Option<Value>,
    },
    /// Scores of `split.test` out of maps (their maximum), classifier scores, or a forest's scores.
    Evaluate {
        /// Where the scores come from.
        source: CellId,
        /// What they are.
        head: Head,
    },
}

/// One of the parts that a classifier's training images are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

/// One computation.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it computes.
    pub kind: CellKind,
    /// Where its result is stored.
    pub key: Key,
    /// For people: what, class, protocol, seed.
    pub name: String,
    /// The class.
    pub class: String,
    /// How to compute it.
    pub task: Task,
    /// Cells whose results it reads.
    pub needs: Vec<CellId>,
    /// Who trains and who is tested.
    pub split: Arc<Split>,
    /// An input that is not there.
    pub missing: Option<String>,
}

/// Where the scores of one row, class, protocol and seed come from.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Position in [`Experiment::rows`].
    pub row: usize,
    /// The class.
    pub class: String,
    /// The protocol.
    pub protocol: String,
    /// The seed.
    pub seed: u64,
    /// The detector that stands for [`EACH`], if the experiment has a list of them.
    pub each: Option<String>,
    /// The evaluate cell, or why there is none.
    pub cell: Result<CellId, String>,
}
