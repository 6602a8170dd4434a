//! Which images train what: the benchmark protocols of the paper's tables, the ELPV demo's, and two
//! for plain folders.
//!
//! A protocol turns an [`Index`], a [`Seed`] and [`ProtocolParams`] into a [`ProtocolSplit`]. All
//! draws follow numpy's `RandomState` and scikit-learn's `train_test_split` ([`crate::numpy`]), so
//! that they can be repeated in Python.
//!
//! | protocol | detector | forest good / bad | classifier | test |
//! |---|---|---|---|---|
//! | `vad-one-class` | A: half of train/good | B: the other half / one generated per image of B | – | test folder |
//! | `vad-high-shot` | A | B / all of train/bad | all of train | test folder |
//! | `vad-low-shot` | A | B / one published list of 100 | train/good + the list | test folder |
//! | `visa-supervised-10` | 90 % of train/good | the other 10 % / 10 carved from test/bad | train/good + the 10 | test/good + the rest of test/bad |
//! | `mvtec-supervised-20` | 90 % | 10 % / 20 carved | train/good + the 20 | as above |
//! | `segad-maps` | – (maps are imported) | rows of `df_training.csv` / 10 carved | – | rows of `df_test.csv`, good first |
//! | `elpv-high-shot`, `elpv-low-shot-20`, `elpv-low-shot-10` | good of 4 blocks | good of 3 blocks / bad of those 7 blocks: all, 20, 10 | both | the other 5 blocks |
//! | `elpv-one-class` | good of 4 blocks | good of 3 blocks / one generated per image | – | the other 5 blocks |
//! | `blocks`, `random` | good of 40 % | good of 30 % / bad of both | both | the other 30 % |
//!
//! What the paper leaves open is a parameter ([`ProtocolParams`], or of the network that it
//! concerns):
//!
//! | question | parameter | default, and why |
//! |---|---|---|
//! | do VAD's detectors train on 1000 good images (Section 5) or 2000 (3.1)? | `detector_good` of `vad-*` | `half`; the forest's good images are then new to the detector |
//! | which five seeds on VAD, and which list of bad images belongs to which? | the manifest's `seeds`, `low_shot_list` | the first five of the authors' VisA seeds; the i-th list for the i-th |
//! | how many bad images train? | `train_bad` | as the tables say; any number for sweeps |
//! | which VisA images train, and by which seed? | `holdout_fraction`, `holdout_seed` | 0.1 and 333, as the authors' code |
//! | may classifiers on VisA and MVTec AD see the detectors' hold-out? | `classifier_good` of `visa-*`, `mvtec-*` | `all` |
//! | does WRN train on 80 % (Appendix B) or on all (3.1)? | the classifier's share, taken by `stratified_part` | 80 % of the good and of the bad images |
//! | which images does EfficientAD normalise its maps with? | `holdout` of EfficientAD where the protocol holds none out | a tenth of its own on VAD; the 10 % held out on VisA and MVTec AD |
//! | which seeds on MVTec AD? | the manifest's `seeds` | the ten of VisA |
//!
//! **Nothing from a test split reaches fitting.** Bad training images are taken from a test folder
//! in one place only, `carve.rs`, for the protocols that the paper defines that way; a
//! [`ProtocolSplit`] with a test image in any of its training parts is an error.

mod blocks;
mod carve;
mod draw;
mod params;
mod supervised;
mod vad;

pub(crate) use blocks::ELPV_RUN;
pub use params::{ClassifierGood, DetectorGood, ProtocolParams};

use crate::error::nearest;
use crate::{DatasetError, Entry, Index};
use draw::{Draw, draw_bad, hold_out, joined, pick, samples};
use segad_core::{CoreError, ImageId, Sample, Seed, TestSplit, TrainSplit, named};
use std::collections::{HashMap, HashSet};

/// Raised whenever a protocol yields different splits for the same index, seed and parameters.
pub const REVISION: u32 = 1;

/// The images that each stage may see, under one protocol and seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolSplit {
    /// Good images for the one-class detectors. Empty for `segad-maps`, whose detectors were fitted
    /// elsewhere.
    pub detector: TrainSplit,
    /// Good images, disjoint from `detector`, with which EfficientAD normalises its maps. Without
    /// them it sets aside images of `detector` itself (900 + 100 on VAD).
    pub holdout: Option<TrainSplit>,
    /// Good, then bad images for the forest, in the order of the forest's rows.
    pub forest: TrainSplit,
    /// Number of bad images to generate from the forest's good ones (one each), in addition to
    /// those in `forest`.
    pub forest_generated: usize,
    /// All labelled images that a classifier may train on; none where the benchmark has no
    /// classifier. A classifier that trains on a share of them (the paper's WRN: 80 %) draws it
    /// itself.
    pub classifier: Option<TrainSplit>,
    /// The images that are scored.
    pub test: TestSplit,
    /// The groups of `test` that headline metrics count; others are reported separately.
    pub headline_groups: Vec<String>,
    /// The seed for fitting detectors: the run's seed, or a fixed one where the paper fits them
    /// once for all runs.
    pub detector_seed: Seed,
}

impl ProtocolSplit {
    /// True if headline metrics count this sample.
    pub fn is_headline(&self, sample: &Sample) -> bool {
        self.headline_groups.contains(&sample.group)
    }

    /// Fails if an image of the test split is in a training part, or the hold-out overlaps the
    /// detector's images.
    fn checked(self) -> Result<Self, DatasetError> {
        let test: HashSet<&ImageId> = self.test.samples().iter().map(|s| &s.id).collect();
        // Whatever may be fitted on; the hold-out is checked against the detector's images
        // separately.
        let parts = [
            Some(&self.detector),
            self.holdout.as_ref(),
            Some(&self.forest),
            self.classifier.as_ref(),
        ];
        let detector: HashSet<&ImageId> = self.detector.samples().iter().map(|s| &s.id).collect();
        let holdout = self.holdout.iter().flat_map(TrainSplit::samples);
        let shared = parts
            .into_iter()
            .flatten()
            .flat_map(TrainSplit::samples)
            .find(|s| test.contains(&s.id));
        match shared.or_else(|| holdout.into_iter().find(|s| detector.contains(&s.id))) {
            Some(s) => Err(CoreError::DuplicateImage(s.id.to_string()).into()),
            None => Ok(self),
        }
    }
}

/// A named way to split a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// VAD without real bad training images (Table 2).
    VadOneClass,
    /// VAD with 1000 bad training images (Tables 3 and 6, Fig. 6).
    VadHighShot,
    /// VAD with 100 bad training images from published lists (Table 4).
    VadLowShot,
    /// VisA with 10 bad training images per class (Tables 5 and 8).
    VisaSupervised10,
    /// MVTec AD with 20 bad training images per class (Table 9).
    MvtecSupervised20,
    /// The authors' published maps: the forest's part of `visa-supervised-10` over their lists.
    SegadMaps,
    /// ELPV in blocks of file order, all bad cells of the training blocks.
    ElpvHighShot,
    /// ELPV in blocks of file order, 20 bad cells.
    ElpvLowShot20,
    /// ELPV in blocks of file order, 10 bad cells.
    ElpvLowShot10,
    /// ELPV in blocks of file order, without real bad training cells.
    ElpvOneClass,
    /// Any data set, in contiguous blocks of its order.
    Blocks,
    /// Any data set, unit by unit at random.
    Random,
}

named!(Protocol by name, unknown => DatasetError {
    VadOneClass: "vad-one-class",
    VadHighShot: "vad-high-shot",
    VadLowShot: "vad-low-shot",
    VisaSupervised10: "visa-supervised-10",
    MvtecSupervised20: "mvtec-supervised-20",
    SegadMaps: "segad-maps",
    ElpvHighShot: "elpv-high-shot",
    ElpvLowShot20: "elpv-low-shot-20",
    ElpvLowShot10: "elpv-low-shot-10",
    ElpvOneClass: "elpv-one-class",
    Blocks: "blocks",
    Random: "random",
});

fn unknown(name: String) -> DatasetError {
    let known = Protocol::ALL.map(Protocol::name);
    DatasetError::UnknownProtocol {
        nearest: nearest(&name, known),
        known: known.join(", "),
        name,
    }
}

impl Protocol {
    /// Splits the images of one class.
    ///
    /// # Errors
    /// A parameter that does not apply or is out of range, too few images for a part, a seed above
    /// 2³² − 1, or a missing low-shot list.
    ///
    /// ```
    /// use segad_core::{ImageId, Label, Seed};
    /// use segad_datasets::{Entry, Index, Part, Protocol, ProtocolParams};
    /// let file = |label: Label, i| Entry::new(ImageId::new(format!("{label}/{i:03}.png")), label, Part::All);
    /// let entries = (0..50).map(|i| file(Label::Good, i)).chain((0..10).map(|i| file(Label::Bad, i)));
    /// let index = Index::new("screws", entries.collect())?;
    /// let split = Protocol::Random.split(&index, Seed(1), &ProtocolParams::default())?;
    /// assert_eq!(split.detector.count(Label::Good), 20);
    /// assert_eq!((split.forest.count(Label::Good), split.forest.count(Label::Bad)), (15, 7));
    /// assert_eq!((split.test.count(Label::Good), split.test.count(Label::Bad)), (15, 3));
    /// # Ok::<(), segad_datasets::DatasetError>(())
    /// ```
    pub fn split(
        self,
        index: &Index,
        seed: Seed,
        params: &ProtocolParams,
    ) -> Result<ProtocolSplit, DatasetError> {
        params.check(self)?;
        let draw = Draw {
            protocol: self,
            index,
            seed,
            params,
        };
        let split = match self {
            Self::VadOneClass => vad::one_class(&draw),
            Self::VadHighShot => vad::high_shot(&draw),
            Self::VadLowShot => vad::low_shot(&draw),
            Self::VisaSupervised10 => supervised::carved(&draw, 10),
            Self::MvtecSupervised20 => supervised::carved(&draw, 20),
            Self::SegadMaps => supervised::maps(&draw, 10),
            Self::ElpvHighShot => blocks::elpv(&draw, None),
            Self::ElpvLowShot20 => blocks::elpv(&draw, Some(20)),
            Self::ElpvLowShot10 => blocks::elpv(&draw, Some(10)),
            Self::ElpvOneClass => blocks::elpv_one_class(&draw),
            Self::Blocks => blocks::contiguous(&draw),
            Self::Random => blocks::random(&draw),
        };
        split?.checked()
    }

    /// Every image that this protocol could score or train a forest on under `split`'s draw,
    /// regardless of the number of bad images: protocols that differ only in that number have the
    /// same pool and can share anomaly maps.
    ///
    /// # Errors
    /// A parameter that does not apply or is out of range.
    pub fn pool(
        self,
        index: &Index,
        split: &ProtocolSplit,
        params: &ProtocolParams,
    ) -> Result<Vec<ImageId>, DatasetError> {
        params.check(self)?;
        let cells = match self {
            Self::ElpvHighShot | Self::ElpvLowShot20 | Self::ElpvLowShot10 | Self::ElpvOneClass => {
                blocks::elpv_cells(params)
            }
            _ => 0..=usize::MAX,
        };
        // Images that the detector saw are not scored, unless the split says so.
        let trained: HashSet<ImageId> = [Some(&split.detector), split.holdout.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|s| s.ids())
            .collect();
        let scored: HashSet<ImageId> = split
            .forest
            .ids()
            .into_iter()
            .chain(split.test.ids())
            .collect();
        let entries = index.entries().iter().filter(|e| cells.contains(&e.order));
        let ids = entries.map(|e| e.id.clone());
        Ok(ids
            .filter(|id| scored.contains(id) || !trained.contains(id))
            .collect())
    }

    /// For each of these images, the name of what must be kept whole between training and scoring:
    /// its block where the protocol splits by blocks, else its unit, else the image itself.
    ///
    /// # Errors
    /// An image that is not in the index; a parameter that does not apply or is out of range.
    pub fn units(
        self,
        index: &Index,
        samples: &[Sample],
        params: &ProtocolParams,
    ) -> Result<Vec<String>, DatasetError> {
        params.check(self)?;
        let blocks = match self {
            Self::ElpvHighShot | Self::ElpvLowShot20 | Self::ElpvLowShot10 | Self::ElpvOneClass => {
                blocks::elpv_blocks(index, params)
            }
            Self::Blocks => blocks::contiguous_blocks(index, params),
            _ => HashMap::new(),
        };
        let entries: HashMap<&ImageId, &Entry> =
            index.entries().iter().map(|e| (&e.id, e)).collect();
        let mut units = Vec::with_capacity(samples.len());
        for sample in samples {
            let entry = entries.get(&sample.id).ok_or_else(|| DatasetError::Param {
                protocol: self.name(),
                name: "units",
                reason: format!("{} is not in the index of {}", sample.id, index.class()),
            })?;
            units.push(match (blocks.get(&entry.id), &entry.unit) {
                (Some(block), _) => format!("block {block}"),
                (None, Some(unit)) => unit.clone(),
                (None, None) => entry.id.to_string(),
            });
        }
        Ok(units)
    }
}
