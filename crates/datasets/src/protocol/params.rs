use super::Protocol;
use crate::DatasetError;
use serde::{Deserialize, Serialize};

/// Which good images VAD's detectors train on; the paper can be read both ways for Table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorGood {
    /// Half A only (Section 5); the default.
    Half,
    /// All of train/good (Section 3.1), so that the forest's good images were seen by the detector.
    All,
}

/// Which good images a classifier trains on besides the carved bad ones; the paper does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassifierGood {
    /// All of train/good; the default.
    All,
    /// The detector's 90 % only.
    Detector,
}

/// What a protocol leaves open. What is not set has the protocol's default; a parameter that the
/// protocol does not have is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProtocolParams {
    /// `vad-*`: good images for the detectors. Default half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_good: Option<DetectorGood>,
    /// `visa-*`, `mvtec-*`: good images for the classifier. Default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_good: Option<ClassifierGood>,
    /// Number of bad images for the forest and the classifier. Default: 10 for `visa-*` and
    /// `segad-maps`, 20 for `mvtec-*`, as named for `elpv-low-shot-*`, else all there are. Smaller
    /// draws are contained in larger ones by the same seed except where they are carved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_bad: Option<usize>,
    /// `vad-low-shot`: which published list, from 0. Default: the one that belongs to the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_shot_list: Option<usize>,
    /// `visa-*`, `mvtec-*`: share of train/good held out for the forest. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdout_fraction: Option<f64>,
    /// `visa-*`, `mvtec-*`: seed of that hold-out and of the detectors. Default 333, as the
    /// authors'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdout_seed: Option<u64>,
    /// `elpv-*`: number of the first cell. Default 901.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
    /// `elpv-*`: number of the last cell. Default 1614.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// `elpv-*`, `blocks`: number of contiguous blocks. Default 12 and 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<usize>,
    /// `elpv-*`: blocks whose good cells train the detector. Default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_blocks: Option<usize>,
    /// `elpv-*`: blocks whose good cells train the forest. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forest_blocks: Option<usize>,
    /// `blocks`, `random`: share of the blocks or units whose good images train the detector.
    /// Default 0.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_fraction: Option<f64>,
    /// `blocks`, `random`: share of the blocks or units whose good images train the forest. Default
    /// 0.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forest_fraction: Option<f64>,
}

impl ProtocolParams {
    /// The parameters that a protocol has.
    pub fn names(protocol: Protocol) -> &'static [&'static str] {
        match protocol {
            Protocol::VadOneClass => &["detector_good"],
            Protocol::VadHighShot => &["detector_good", "train_bad"],
            Protocol::VadLowShot => &["detector_good", "low_shot_list"],
            Protocol::VisaSupervised10 | Protocol::MvtecSupervised20 => &[
                "classifier_good",
                "train_bad",
                "holdout_fraction",
                "holdout_seed",
            ],
            Protocol::SegadMaps => &["train_bad"],
            Protocol::ElpvHighShot | Protocol::ElpvLowShot20 | Protocol::ElpvLowShot10 => &[
                "train_bad",
                "first",
                "last",
                "blocks",
                "detector_blocks",
                "forest_blocks",
            ],
            Protocol::ElpvOneClass => &[
                "first",
                "last",
                "blocks",
                "detector_blocks",
                "forest_blocks",
            ],
            Protocol::Blocks => &[
                "train_bad",
                "blocks",
                "detector_fraction",
                "forest_fraction",
            ],
            Protocol::Random => &["train_bad", "detector_fraction", "forest_fraction"],
        }
    }

    fn set(&self) -> impl Iterator<Item = &'static str> {
        [
            ("detector_good", self.detector_good.is_some()),
            ("classifier_good", self.classifier_good.is_some()),
            ("train_bad", self.train_bad.is_some()),
            ("low_shot_list", self.low_shot_list.is_some()),
            ("holdout_fraction", self.holdout_fraction.is_some()),
            ("holdout_seed", self.holdout_seed.is_some()),
            ("first", self.first.is_some()),
            ("last", self.last.is_some()),
            ("blocks", self.blocks.is_some()),
            ("detector_blocks", self.detector_blocks.is_some()),
            ("forest_blocks", self.forest_blocks.is_some()),
            ("detector_fraction", self.detector_fraction.is_some()),
            ("forest_fraction", self.forest_fraction.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
    }

    /// Fails if a parameter is set that the protocol does not have, or `train_bad` is 0.
    ///
    /// # Errors
    /// [`DatasetError::Param`].
    pub fn check(&self, protocol: Protocol) -> Result<(), DatasetError> {
        let known = Self::names(protocol);
        let (name, reason) = if let Some(name) = self.set().find(|n| !known.contains(n)) {
            let reason = format!("unknown parameter {name}; known: {}", known.join(", "));
            (name, reason)
        } else if self.train_bad == Some(0) {
            let reason = "train_bad = 0: expected at least 1, as the forest needs bad images";
            ("train_bad", reason.to_owned())
        } else {
            return Ok(());
        };
        Err(DatasetError::Param {
            protocol: protocol.name(),
            name,
            reason,
        })
    }
}
