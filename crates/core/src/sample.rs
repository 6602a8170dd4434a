use crate::{CacheKey, CoreError, KeyHasher};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Which image: its path below the data set's folder, with `/` between the parts, e.g.
/// `train/good/0001.png`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    /// An id from a relative path. Back-slashes become `/`.
    pub fn new(path: impl Into<String>) -> Self {
        // One spelling on every system: ids are part of keys.
        Self(path.into().replace('\\', "/"))
    }

    /// The relative path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file name without folder and extension.
    pub fn stem(&self) -> &str {
        let name = self.file_name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// The file name: the part after the last slash.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl CacheKey for ImageId {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.0.feed(hasher);
    }
}

/// What an image is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// Without defect; 0 in tables.
    Good,
    /// With a defect; 1 in tables.
    Bad,
}

impl Label {
    /// 0 for good, 1 for bad.
    pub fn as_u8(self) -> u8 {
        u8::from(self == Self::Bad)
    }

    /// True for bad.
    pub fn is_bad(self) -> bool {
        self == Self::Bad
    }

    /// `good` or `bad`.
    pub fn as_str(self) -> &'static str {
        if self.is_bad() { "bad" } else { "good" }
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Label {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match text {
            "good" | "0" => Ok(Self::Good),
            "bad" | "1" => Ok(Self::Bad),
            _ => Err(CoreError::LabelName(text.to_owned())),
        }
    }
}

impl CacheKey for Label {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.as_u8().feed(hasher);
    }
}

/// One labelled image. `group` is a finer name within the label, e.g. `bad_unseen`; equal to the
/// label by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Which image.
    pub id: ImageId,
    /// Good or bad.
    pub label: Label,
    /// A finer group, for metrics per group.
    pub group: String,
}

impl Sample {
    /// A sample whose group is its label.
    pub fn new(id: ImageId, label: Label) -> Self {
        Self {
            id,
            label,
            group: label.as_str().to_owned(),
        }
    }
}

impl CacheKey for Sample {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.id.feed(hasher);
        self.label.feed(hasher);
        self.group.feed(hasher);
    }
}

/// Images that may train something. Fitting takes this and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainSplit {
    pub(crate) samples: Vec<Sample>,
}

/// Images that only metrics may see with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestSplit {
    samples: Vec<Sample>,
}

fn unique(samples: Vec<Sample>) -> Result<Vec<Sample>, CoreError> {
    let mut seen = HashSet::with_capacity(samples.len());
    if let Some(twice) = samples.iter().find(|s| !seen.insert(&s.id)) {
        return Err(CoreError::DuplicateImage(twice.id.to_string()));
    }
    Ok(samples)
}

// Two types with the same body: a training set can never be passed where test images belong.
macro_rules! split {
    ($t:ident) => {
        impl $t {
            /// A split of the given samples, in this order.
            ///
            /// # Errors
            /// [`CoreError::DuplicateImage`] if an image is listed twice.
            pub fn new(samples: Vec<Sample>) -> Result<Self, CoreError> {
                Ok(Self {
                    samples: unique(samples)?,
                })
            }

            /// The samples in order.
            pub fn samples(&self) -> &[Sample] {
                &self.samples
            }

            /// The ids in order.
            pub fn ids(&self) -> Vec<ImageId> {
                self.samples.iter().map(|s| s.id.clone()).collect()
            }

            /// Number of samples with this label.
            pub fn count(&self, label: Label) -> usize {
                self.samples.iter().filter(|s| s.label == label).count()
            }
        }
    };
}
split!(TrainSplit);
split!(TestSplit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_portable() {
        let id = ImageId::new("bad\\0003.JPG");
        assert_eq!((id.as_str(), id.stem()), ("bad/0003.JPG", "0003"));
    }

    #[test]
    fn an_image_stands_once() {
        let s = Sample::new(ImageId::new("a.png"), Label::Good);
        assert!(matches!(
            TrainSplit::new(vec![s.clone(), s]),
            Err(CoreError::DuplicateImage(_))
        ));
    }
}
