use crate::{Definition, Fault};
use segad_core::{ImageId, Key, KeyHasher, Sample, Seed, TestSplit, TrainSplit};
use std::collections::BTreeSet;
use std::sync::Arc;
use toml::{Table, Value};

/// A part of an experiment whose parameters are valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Covers the kind, its revision, the checked parameters and the content of files it needs.
    pub key: Key,
    /// An input that is missing (weights, a folder), and how to get it. Cells that need it cannot
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

/// A classifier whose parameters are valid.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedClassifier {
    /// The classifier as a whole.
    pub whole: Checked,
    /// For classifiers that train on features of a frozen network: covers what decides an image's
    /// features, which are computed once for all seeds, folds and classifiers that share them.
    /// `None`: it trains on the images.
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

/// A forest whose parameters are valid.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedForest {
    /// The forest itself.
    pub forest: Checked,
    /// Which scores of g it trains on.
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
    /// The unit that each image of `classifier` belongs to; images of one unit look alike and are
    /// never split across a fold.
    pub classifier_units: Vec<String>,
    /// Images that are scored and measured.
    pub test: TestSplit,
    /// Every image that gets a map: all images of the class that no detector trained on.
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
    // Sorted, so that the order of protocols does not change the key.
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

/// The parts of a [`Split`] whose images decide results.
#[derive(Clone, Copy, Debug)]
pub struct SplitParts<'a> {
    /// Good images for the detectors.
    pub detector: &'a TrainSplit,
    /// Good images that detectors which need it normalise on.
    pub holdout: Option<&'a TrainSplit>,
    /// Images for the forest.
    pub forest: &'a TrainSplit,
    /// Images for a supervised classifier.
    pub classifier: &'a TrainSplit,
    /// Images that are scored and measured.
    pub test: &'a TestSplit,
    /// Images that get a map.
    pub mapped: &'a [ImageId],
}

impl SplitDigests {
    /// The digests, where `content` gives the digest of one image's file.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn new<E>(
        parts: SplitParts<'_>,
        mut content: impl FnMut(&ImageId) -> Result<Key, E>,
    ) -> Result<Self, E> {
        let content = &mut content;
        let mut good = KeyHasher::new("forest-good-images", 1);
        for sample in parts.forest.samples().iter().filter(|s| !s.label.is_bad()) {
            good.field("id", &sample.id)
                .field("content", &content(&sample.id)?);
        }
        // With labels and groups: they decide metrics, which depend on this cell.
        let mut test = KeyHasher::new("test-images", 1);
        for sample in parts.test.samples() {
            test.field("sample", sample)
                .field("content", &content(&sample.id)?);
        }
        // Holdout images decide how maps are normalised, so they belong to the detector's images.
        let detector: Vec<&TrainSplit> =
            [parts.detector].into_iter().chain(parts.holdout).collect();
        let pool = pool(parts.mapped, parts.classifier);
        Ok(Self {
            detector: train_key("detector-images", &detector, content)?,
            mapped: images_key("mapped-images", parts.mapped, content)?,
            forest: train_key("forest-images", &[parts.forest], content)?,
            forest_good: good.finish(),
            classifier: train_key("classifier-images", &[parts.classifier], content)?,
            pool: images_key("pool-images", &pool, content)?,
            test: test.finish(),
        })
    }
}

/// Key of labelled images; the number of samples keeps neighbouring splits apart.
fn train_key<E>(
    name: &str,
    splits: &[&TrainSplit],
    content: &mut impl FnMut(&ImageId) -> Result<Key, E>,
) -> Result<Key, E> {
    let mut hasher = KeyHasher::new(name, 1);
    for split in splits {
        hasher.field("samples", &split.samples().len());
        for sample in split.samples() {
            hasher.field("id", &sample.id).field("label", &sample.label);
            hasher.field("content", &content(&sample.id)?);
        }
    }
    Ok(hasher.finish())
}

/// Key of images without their labels.
fn images_key<E>(
    name: &str,
    ids: &[ImageId],
    content: &mut impl FnMut(&ImageId) -> Result<Key, E>,
) -> Result<Key, E> {
    let mut hasher = KeyHasher::new(name, 1);
    for id in ids {
        hasher.field("id", id).field("content", &content(id)?);
    }
    Ok(hasher.finish())
}

/// What the names in an experiment mean. The runner's knows the crates; tests have small ones.
///
/// Messages are fragments that follow the key, e.g. `coreset_ratio = 2: expected a number in
/// (0, 1]`. A [`Fault`] keeps its cause, so that whoever reports it can tell a wrong setting from a
/// missing file.
pub trait Catalogue {
    /// Checks a detector's parameters.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    fn detector(&self, kind: &str, params: &Table) -> Result<Checked, Fault>;

    /// For detectors whose maps come from outside: the key under which the class's maps are stored.
    /// `None` for all others.
    ///
    /// # Errors
    /// As above.
    fn imported(&self, kind: &str, params: &Table, class: &str) -> Result<Option<Checked>, Fault> {
        let _ = (kind, params, class);
        Ok(None)
    }

    /// Checks a classifier's parameters.
    ///
    /// # Errors
    /// As above.
    fn classifier(&self, kind: &str, params: &Table) -> Result<CheckedClassifier, Fault>;

    /// Checks a segment source for one class; `None` asks for the data set's own.
    ///
    /// # Errors
    /// As above.
    fn segments(&self, spec: Option<&Value>, class: &str) -> Result<Checked, Fault>;

    /// For segments whose label maps are made in cells of their own, for one class: which cells.
    /// `None` for all others, which [`Catalogue::segments`] checks.
    ///
    /// # Errors
    /// As above.
    fn segment_cells(
        &self,
        spec: Option<&Value>,
        class: &str,
    ) -> Result<Option<SegmentCells>, Fault> {
        let _ = (spec, class);
        Ok(None)
    }

    /// Checks the parameters of the statistics.
    ///
    /// # Errors
    /// As above.
    fn features(&self, params: &Table) -> Result<Checked, Fault>;

    /// Checks the forest's parameters.
    ///
    /// # Errors
    /// As above.
    fn forest(&self, spec: Option<&Value>) -> Result<CheckedForest, Fault>;

    /// Checks what a row with [`crate::Head::Stack`] is made of, for one class.
    ///
    /// # Errors
    /// As above.
    fn stack(
        &self,
        detectors: &[Arc<Definition>],
        tokens: Option<&str>,
        segments: Option<&Value>,
        class: &str,
    ) -> Result<Checked, Fault> {
        let _ = (detectors, tokens, segments, class);
        Err("head = \"stack\": not known here".into())
    }

    /// The classes of the data set, in order.
    ///
    /// # Errors
    /// As above.
    fn classes(&self) -> Result<Vec<String>, Fault>;

    /// The seeds of a named list.
    ///
    /// # Errors
    /// As above.
    fn seeds(&self, name: &str) -> Result<Vec<u64>, Fault>;

    /// Who trains on what. Where the data set is missing, the plan reports the error for every cell
    /// of the class.
    ///
    /// # Errors
    /// As above.
    fn split(&self, class: &str, protocol: &Definition, seed: u64) -> Result<Arc<Split>, Fault>;
}
