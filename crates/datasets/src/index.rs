use crate::DatasetError;
use segad_core::{CoreError, ImageId, Label, Sample};
use std::collections::{BTreeMap, HashSet};

/// Where the data set itself puts an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A training folder or list.
    Train,
    /// A test folder or list.
    Test,
    /// The data set has no such division.
    All,
}

impl Part {
    /// `train`, `test` or `all`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

/// One image of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the data set's folder.
    pub id: ImageId,
    /// Good or bad.
    pub label: Label,
    /// A finer name within the label: a defect folder, `bad_unseen`, `p33`; `good` or `bad`
    /// otherwise.
    pub group: String,
    /// Where the data set itself puts it.
    pub part: Part,
    /// Its place in the order in which the images were taken or numbered (the cell number for ELPV,
    /// from 1), where neighbours may come from the same product. Without such an order, the
    /// position in the index.
    pub order: usize,
    /// What must not be torn apart by a split, e.g. the product that several pictures show; none if
    /// every image is a group of its own.
    pub unit: Option<String>,
}

impl Entry {
    /// An entry whose group is its label, at place 0, of no unit.
    pub fn new(id: ImageId, label: Label, part: Part) -> Self {
        Self {
            id,
            label,
            group: label.as_str().to_owned(),
            part,
            order: 0,
            unit: None,
        }
    }

    /// This entry with another group.
    pub fn with_group(self, group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            ..self
        }
    }

    /// What a split holds of it.
    pub fn sample(&self) -> Sample {
        Sample {
            id: self.id.clone(),
            label: self.label,
            group: self.group.clone(),
        }
    }
}

/// A published list of bad training images for the low-shot benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowShotList {
    /// Its key in `low_shot_train.json`.
    pub name: String,
    /// The images in the order of the list.
    pub images: Vec<ImageId>,
}

/// All images of one class in their canonical order, which every split builds upon.
///
/// The order is bytewise by id (what torchvision's `ImageFolder` gives on an ASCII file system), by
/// number for ELPV, and as listed for lists of maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    class: String,
    entries: Vec<Entry>,
    set_aside: Vec<String>,
    low_shot: Result<Vec<LowShotList>, String>,
    low_shot_seeds: Vec<u64>,
}

impl Index {
    /// An index of the entries in the given order.
    ///
    /// # Errors
    /// [`CoreError::DuplicateImage`] if an image is listed twice.
    pub fn new(class: impl Into<String>, entries: Vec<Entry>) -> Result<Self, DatasetError> {
        // An image that appears twice could be in two splits.
        let mut seen = HashSet::with_capacity(entries.len());
        if let Some(twice) = entries.iter().find(|e| !seen.insert(&e.id)) {
            return Err(CoreError::DuplicateImage(twice.id.to_string()).into());
        }
        Ok(Self {
            class: class.into(),
            entries,
            set_aside: Vec::new(),
            low_shot: Ok(Vec::new()),
            low_shot_seeds: Vec::new(),
        })
    }

    /// Names the groups that never train and that headline metrics leave out, e.g. images whose
    /// label is in doubt.
    pub fn with_set_aside(self, groups: Vec<String>) -> Self {
        Self {
            set_aside: groups,
            ..self
        }
    }

    /// Adds published low-shot lists, or why they cannot be used (which only the low-shot protocol
    /// then reports); list `i` belongs to seed `seeds[i]`.
    pub fn with_low_shot(self, lists: Result<Vec<LowShotList>, String>, seeds: Vec<u64>) -> Self {
        Self {
            low_shot: lists,
            low_shot_seeds: seeds,
            ..self
        }
    }

    /// The class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// All entries in canonical order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Groups that never train and that headline metrics leave out.
    pub fn set_aside(&self) -> &[String] {
        &self.set_aside
    }

    /// True if the entry's group is set aside.
    pub fn is_set_aside(&self, entry: &Entry) -> bool {
        self.set_aside.contains(&entry.group)
    }

    /// Published low-shot lists; empty if the data set has none.
    ///
    /// # Errors
    /// Why the lists cannot be used.
    pub fn low_shot(&self) -> Result<&[LowShotList], &str> {
        self.low_shot.as_deref().map_err(String::as_str)
    }

    /// The seed that each low-shot list belongs to.
    pub fn low_shot_seeds(&self) -> &[u64] {
        &self.low_shot_seeds
    }

    /// The entries of a part and label that may train, in canonical order.
    pub fn select(&self, part: Part, label: Label) -> Vec<&Entry> {
        self.entries
            .iter()
            .filter(|e| e.part == part && e.label == label && !self.is_set_aside(e))
            .collect()
    }

    /// All entries of a part, set aside or not, in canonical order.
    pub fn part(&self, part: Part) -> Vec<&Entry> {
        self.entries.iter().filter(|e| e.part == part).collect()
    }

    /// Number of images per part and group.
    pub fn counts(&self) -> BTreeMap<(Part, String), usize> {
        let mut counts = BTreeMap::new();
        for e in &self.entries {
            *counts.entry((e.part, e.group.clone())).or_default() += 1;
        }
        counts
    }

    /// All groups, sorted.
    pub fn groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = self.entries.iter().map(|e| e.group.clone()).collect();
        groups.sort();
        groups.dedup();
        groups
    }
}
