use crate::DetectorDef;
use segad_core::{ImageId, Key, KeyHasher, Sample, Seed, TestSplit, TrainSplit};
use std::collections::BTreeSet;
use std::sync::Arc;
use toml::{Table, Value};

/// A part of an experiment whose parameters were understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Stands for the kind, its revision, the checked parameters and the content of files it needs.
    pub key: Key,
    /// An input that is not there (weights, a folder), and how to get it. Cells that need it cannot
    /// run.
    pub missing: Option<String>,
}

/// Segments whose label maps are made in cells of their own, because they need a network or are
/// learned.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentCells {
    /// Settings, revisions, and the content of files.
    pub checked: Checked,
    /// Learned from the good images of [`Split::forest`], in a fit cell.
    pub fitted: bool,
    /// That fit reads the detectors' maps too.
    pub maps: bool,
    /// Every image has a label map of its own, made in a cell of kind maps; otherwise the fit gives
    /// the one map of all.
    pub per_image: bool,
}

/// A classifier whose parameters were understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedClassifier {
    /// The classifier as a whole.
    pub whole: Checked,
    /// For classifiers that train on features of a frozen network: stands for what decides an
    /// image's features. They are computed once for all seeds, folds and classifiers that share
    /// them. `None`: it trains on the images.
    pub embedding: Option<Key>,
}

/// Which scores of the classifier g the forest trains on. Images that g did not train on always
/// have the score of the classifier that was fitted on all of its training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GScores {
    /// Those of that same classifier, over-confident where it trained on the image; as in the
    /// paper.
    #[default]
    InSample,
    /// Those of classifiers fitted without the image and without all others of its unit.
    OutOfFold {
        /// Number of parts that g's training images are split into, at least 2.
        folds: usize,
    },
}

/// A forest whose parameters were understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedForest {
    /// The forest itself.
    pub forest: Checked,
    /// What it is told of g.
    pub g_scores: GScores,
}

/// Who trains on what and who is tested, for one class, protocol and seed.
#[derive(Clone, Debug)]
pub struct Split {
    /// Good images for the detectors.
    pub detector: TrainSplit,
    /// Good images that detectors which need it normalise on.
    pub holdout: Option<TrainSplit>,
    /// Images for the forest.
    pub forest: TrainSplit,
    /// Images for a supervised classifier.
    pub classifier: TrainSplit,
    /// For each image of `classifier`, which unit it is of; images of one unit look alike and never
    /// stand on both sides of a fold.
    pub classifier_units: Vec<String>,
    /// Images that are scored and measured.
    pub test: TestSplit,
    /// Every image that gets a map: all of the class that no detector trained on.
    pub mapped: Vec<ImageId>,
    /// Groups that the headline metrics count; empty: all.
    pub headline: Vec<String>,
    /// Seed of the detectors.
    pub detector_seed: Seed,
    /// Seed of forest and classifier.
    pub seed: Seed,
    /// Content digests of the images of each part.
    pub digests: SplitDigests,
}

impl Split {
    /// True if the headline metrics count images of this group.
    pub fn counts(&self, group: &str) -> bool {
        self.headline.is_empty() || self.headline.iter().any(|g| g == group)
    }

    /// Every image that a classifier trains on or scores, sorted. Mostly the same for all seeds.
    pub fn pool(&self) -> Vec<ImageId> {
        pool(&self.mapped, &self.classifier)
    }

    /// True if the headline metrics count this image.
    pub fn is_headline(&self, sample: &Sample) -> bool {
        self.counts(&sample.group)
    }
}

fn pool(mapped: &[ImageId], classifier: &TrainSplit) -> Vec<ImageId> {
    let all: BTreeSet<ImageId> = mapped.iter().cloned().chain(classifier.ids()).collect();
    all.into_iter().collect()
}

/// Keys of the parts of a [`Split`]: ids, labels and content of the images.
#[derive(Clone, Copy, Debug)]
pub struct SplitDigests {
    /// Of `detector` and `holdout`.
    pub detector: Key,
    /// Of `mapped`.
    pub mapped: Key,
    /// Of `forest`.
    pub forest: Key,
    /// Of the good images of `forest`.
    pub forest_good: Key,
    /// Of `classifier`.
    pub classifier: Key,
    /// Of [`Split::pool`].
    pub pool: Key,
    /// Of `test`, labels and groups included.
    pub test: Key,
}

impl SplitDigests {
    /// The digests, where `content` gives the digest of one image's file.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn new<E>(
        parts: (
            &TrainSplit,
            Option<&TrainSplit>,
            &TrainSplit,
            &TrainSplit,
            &TestSplit,
            &[ImageId],
        ),
        mut content: impl FnMut(&ImageId) -> Result<Key, E>,
    ) -> Result<Self, E> {
        let (detector, holdout, forest, classifier, test, mapped) = parts;
        let good = forest.samples().iter().filter(|s| !s.label.is_bad());
        let mut hasher = KeyHasher::new("forest-good-images", 1);
        for sample in good {
            hasher
                .field("id", &sample.id)
                .field("content", &content(&sample.id)?);
        }
        let forest_good = hasher.finish();
        let mut train = |name: &str, splits: &[&TrainSplit]| -> Result<Key, E> {
            let mut hasher = KeyHasher::new(name, 1);
            for split in splits {
                hasher.field("samples", &split.samples().len());
                for sample in split.samples() {
                    hasher.field("id", &sample.id).field("label", &sample.label);
                    hasher.field("content", &content(&sample.id)?);
                }
            }
            Ok(hasher.finish())
        };
        let detector: Vec<&TrainSplit> = [Some(detector), holdout].into_iter().flatten().collect();
        let detector = train("detector-images", &detector)?;
        let forest = train("forest-images", &[forest])?;
        let pool = pool(mapped, classifier);
        let classifier = train("classifier-images", &[classifier])?;
        let mut images = |name: &str, ids: &[ImageId]| -> Result<Key, E> {
            let mut hasher = KeyHasher::new(name, 1);
            for id in ids {
                hasher.field("id", id).field("content", &content(id)?);
            }
            Ok(hasher.finish())
        };
        let (mapped, pool) = (
            images("mapped-images", mapped)?,
            images("pool-images", &pool)?,
        );
        let mut hasher = KeyHasher::new("test-images", 1);
        for sample in test.samples() {
            hasher
                .field("sample", sample)
                .field("content", &content(&sample.id)?);
        }
        Ok(Self {
            detector,
            mapped,
            forest,
            forest_good,
            classifier,
            pool,
            test: hasher.finish(),
        })
    }
}

/// What the names in an experiment mean. The runner has one that knows the crates; tests have small
/// ones. Messages are fragments that follow the key, e.g. "coreset_ratio 2: expected a number in
/// (0, 1]".
pub trait Catalogue {
    /// Checks a detector's parameters.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    fn detector(&self, kind: &str, params: &Table) -> Result<Checked, String>;

    /// For detectors whose maps come from outside: the key under which the class's maps are stored.
    /// `None` for all others.
    ///
    /// # Errors
    /// As above.
    fn imported(&self, kind: &str, params: &Table, class: &str) -> Result<Option<Checked>, String> {
        let _ = (kind, params, class);
        Ok(None)
    }

    /// Checks a classifier's parameters.
    ///
    /// # Errors
    /// As above.
    fn classifier(&self, kind: &str, params: &Table) -> Result<CheckedClassifier, String>;

    /// Checks a segment source for one class; `None` asks for the data set's own.
    ///
    /// # Errors
    /// As above.
    fn segments(&self, spec: Option<&Value>, class: &str) -> Result<Checked, String>;

    /// For segments whose label maps are made in cells of their own, for one class: which cells.
    /// `None` for all others, which [`Catalogue::segments`] checks.
    ///
    /// # Errors
    /// As above.
    fn segment_cells(
        &self,
        spec: Option<&Value>,
        class: &str,
    ) -> Result<Option<SegmentCells>, String> {
        let _ = (spec, class);
        Ok(None)
    }

    /// Checks the parameters of the statistics.
    ///
    /// # Errors
    /// As above.
    fn features(&self, params: &Table) -> Result<Checked, String>;

    /// Checks the forest's parameters.
    ///
    /// # Errors
    /// As above.
    fn forest(&self, spec: Option<&Value>) -> Result<CheckedForest, String>;

    /// The classes of the data set, in order.
    ///
    /// # Errors
    /// As above.
    fn classes(&self) -> Result<Vec<String>, String>;

    /// The seeds of a named list.
    ///
    /// # Errors
    /// As above.
    fn seeds(&self, name: &str) -> Result<Vec<u64>, String>;

    /// Who trains on what. A data set that is not there gives an error, which the plan reports for
    /// every cell of the class.
    ///
    /// # Errors
    /// As above.
    fn split(&self, class: &str, protocol: &DetectorDef, seed: u64) -> Result<Arc<Split>, String>;
}
