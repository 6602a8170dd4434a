//! What one cell is.

use crate::{Definition, Fault, Head, Split};
use segad_core::{CellKind, Key};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use toml::{Table, Value};

/// Position of a cell in [`Plan::cells`](crate::Plan::cells).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CellIndex(pub usize);

/// What to run for a cell. Everything that decides the result is in the cell's key as well.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fit a detector on `split.detector`.
    FitDetector {
        /// The detector.
        def: Arc<Definition>,
    },
    /// Features of every image of [`Split::pool`], by the frozen network of a classifier.
    Embed {
        /// The classifier.
        def: Arc<Definition>,
    },
    /// Fit a classifier on `split.classifier`.
    FitClassifier {
        /// The classifier.
        def: Arc<Definition>,
        /// The features that it trains on, if not on the images.
        embed: Option<CellIndex>,
        /// The part that it must not see.
        fold: Option<Fold>,
    },
    /// Map every image of `split.mapped` with the detector that `fit` gave.
    Maps {
        /// The fitted detector.
        fit: CellIndex,
        /// The detector.
        def: Arc<Definition>,
    },
    /// Maps imported from outside.
    ImportedMaps,
    /// Learn segments from the good images of `split.forest`.
    FitSegments {
        /// The detectors' maps that it looks at.
        maps: Vec<CellIndex>,
        /// The segment source.
        segments: Value,
    },
    /// A label map of every image of `split.mapped`.
    LabelMaps {
        /// What was learned, if anything is.
        fit: Option<CellIndex>,
        /// The segment source.
        segments: Value,
    },
    /// Score every image of `split.mapped` with the classifier that `fit` gave.
    Classify {
        /// The fitted classifier.
        fit: CellIndex,
        /// The classifier.
        def: Arc<Definition>,
        /// The features that it scores, if not the images.
        embed: Option<CellIndex>,
    },
    /// Score every image of `split.classifier` with the classifier that was fitted without its
    /// fold.
    OutOfFold {
        /// One fitted classifier per fold.
        fits: Vec<CellIndex>,
        /// The classifier.
        def: Arc<Definition>,
        /// The features that it scores, if not the images.
        embed: Option<CellIndex>,
    },
    /// Statistics of one detector's maps inside each segment.
    Features {
        /// The detector's maps.
        maps: CellIndex,
        /// The detector's name, for the columns.
        detector: String,
        /// The segment source; `None`: the data set's own.
        segments: Option<Value>,
        /// The cell that holds the label maps, where they are made in one.
        labels: Option<CellIndex>,
        /// Parameters of the statistics.
        features: Table,
    },
    /// The statistics of several detectors side by side.
    JoinFeatures {
        /// One [`Task::Features`] per detector, in the order of the columns.
        parts: Vec<CellIndex>,
    },
    /// Fit on `split.forest`, score every row.
    Forest {
        /// The statistics, unless the row uses a classifier alone.
        features: Option<CellIndex>,
        /// The classifier's scores, added as a column.
        classify: Option<CellIndex>,
        /// Scores that take their place in the rows that it is fitted on.
        out_of_fold: Option<CellIndex>,
        /// The classifier's name, for the column.
        classifier: Option<String>,
        /// Parameters of the forest.
        forest: Option<Value>,
    },
    /// What `segad fit` makes of `split.classifier`: scores of every image of `split.test`, one
    /// column a part.
    Stack {
        /// The detectors.
        detectors: Vec<Arc<Definition>>,
        /// The network of patch tokens.
        tokens: Option<String>,
        /// The segments; `None`: found in the good images.
        segments: Option<Value>,
    },
    /// The row's scores of `split.test`: maxima of maps, or scores of a classifier, forest or stack.
    /// Kept apart because the cells before cover other images too and are shared by several rows.
    TestScores {
        /// Where the scores come from.
        source: CellIndex,
        /// What they are.
        head: Head,
        /// Which of a stack's parts.
        part: Option<String>,
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

/// What a cell is for: the part or row, and where it was first needed. Cells are shared, so a cell
/// may serve other protocols and seeds as well. For people and provenance; not in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Label {
    /// Detector, classifier, segments or row, as the experiment calls it.
    pub what: String,
    /// The class.
    pub class: String,
    /// The protocol.
    pub protocol: String,
    /// The detector that takes the place of [`crate::EACH`], if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The experiment's seed.
    pub seed: u64,
}

impl Label {
    /// Class, protocol and seed, for people.
    pub fn place(&self) -> String {
        let Self {
            class,
            protocol,
            seed,
            ..
        } = self;
        match &self.each {
            Some(each) => format!("{class} {protocol} {each} seed {seed}"),
            None => format!("{class} {protocol} seed {seed}"),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {}", self.what, self.place())
    }
}

/// One computation. Displayed as its kind and label.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it computes.
    pub kind: CellKind,
    /// Where its result is stored.
    pub key: Key,
    /// What it is for.
    pub label: Label,
    /// How to compute it.
    pub task: Task,
    /// Cells whose results it reads.
    pub needs: Vec<CellIndex>,
    /// Who trains and who is tested.
    pub split: Arc<Split>,
    /// An input that is missing.
    pub missing: Option<String>,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            // Its kind is stored as `evaluate`, which would be read as something that runs.
            CellKind::Scores => write!(f, "scores of {}", self.label),
            kind => write!(f, "{kind} {}", self.label),
        }
    }
}

/// Where the scores of one row, class, protocol and seed come from.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Position in [`Experiment::rows`](crate::Experiment::rows).
    pub row: usize,
    /// The class.
    pub class: String,
    /// The protocol.
    pub protocol: String,
    /// The seed.
    pub seed: u64,
    /// The detector that takes the place of `EACH`, if the experiment has a list of them.
    pub each: Option<String>,
    /// The cell of the test scores, or why there is none.
    pub cell: Result<CellIndex, Fault>,
}
