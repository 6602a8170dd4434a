use segad_core::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a data set can be obtained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Address of an archive. Either this or `package`.
    pub url: Option<String>,
    /// Name of a package that contains the files.
    pub package: Option<String>,
    /// The package's version.
    pub version: Option<String>,
    /// The package's registry, e.g. `pypi`.
    pub registry: Option<String>,
    /// File name of the archive.
    pub file: String,
    /// Size of the archive in bytes, where known.
    pub size: Option<u64>,
    /// SHA-256 of the archive, 64 hexadecimal digits, where known.
    pub sha256: Option<String>,
    /// The folder within the archive that holds the data set; the whole archive by default.
    pub inside: Option<String>,
    /// True if it can only be downloaded by hand.
    #[serde(default)]
    pub manual: bool,
    /// What a reader should know.
    pub note: Option<String>,
}

/// A finer name within a label, and how a layout recognises it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name in tables.
    pub name: String,
    /// Good or bad.
    pub label: Label,
    /// The folder; `name` by default.
    pub folder: Option<String>,
    /// The value in a list (`elpv`: the defect probability).
    pub value: Option<String>,
    /// True if its images are never used for training and headline metrics leave them out.
    #[serde(default)]
    pub set_aside: bool,
    /// True if its defects are of kinds that training never shows; plots set them apart.
    #[serde(default)]
    pub unseen: bool,
}

impl Group {
    /// The folder of its images.
    pub fn folder(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }
}

/// One class (product) and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name and, for layouts with several classes, folder.
    pub name: String,
    /// Number of segments L that the paper uses, or that the project proposes.
    pub segments: Option<u8>,
    /// Training images per group.
    #[serde(default)]
    pub train: BTreeMap<String, usize>,
    /// Test images per group.
    #[serde(default)]
    pub test: BTreeMap<String, usize>,
    /// Images per group where the data set has no training and test part.
    #[serde(default)]
    pub all: BTreeMap<String, usize>,
    /// Bad test images of all groups together, where the number per group is not known.
    pub test_bad: Option<usize>,
    /// Folders of `test` besides `good` (`mvtec`); any folder if none is named.
    #[serde(default)]
    pub defects: Vec<String>,
    /// Numbers of the normal images that belong to the test set (`visa`, published layout).
    pub test_normal: Option<Vec<usize>>,
}

/// What the low-shot lists must look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowShot {
    /// Number of lists.
    pub lists: usize,
    /// Images per list.
    pub images: usize,
    /// The named seeds that the lists belong to, in this order.
    pub seeds: String,
}
