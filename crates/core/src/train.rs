use crate::traits::BoxError;
use crate::{Image, ImageId, Label, Sample, TrainSplit};

impl TrainSplit {
    /// The good images, for a one-class detector; `loader` loads their pixels on demand.
    pub fn good<'a>(&self, loader: &'a dyn ImageLoader) -> TrainGood<'a> {
        TrainGood {
            ids: self
                .samples
                .iter()
                .filter(|s| !s.label.is_bad())
                .map(|s| s.id.clone())
                .collect(),
            loader,
        }
    }

    /// All images with their labels, for a supervised classifier; `loader` loads their pixels on
    /// demand.
    pub fn labelled<'a>(&self, loader: &'a dyn ImageLoader) -> TrainLabelled<'a> {
        TrainLabelled {
            samples: self.samples.clone(),
            loader,
        }
    }
}

/// Loads the pixels of an image, at its native size.
pub trait ImageLoader: Send + Sync {
    /// Loads one image.
    ///
    /// # Errors
    /// Whatever keeps the image from being read; the message names the file.
    fn load(&self, id: &ImageId) -> Result<Image, BoxError>;
}

/// Good training images, loaded on demand so that a detector decides how many it holds. Made only
/// by [`TrainSplit::good`].
#[derive(Clone)]
pub struct TrainGood<'a> {
    ids: Vec<ImageId>,
    loader: &'a dyn ImageLoader,
}

impl TrainGood<'_> {
    /// Which images, in order.
    pub fn ids(&self) -> &[ImageId] {
        &self.ids
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Loads image `index`, at its native size.
    ///
    /// # Errors
    /// As the loader's.
    ///
    /// # Panics
    /// If `index` is not below [`TrainGood::len`].
    pub fn load(&self, index: usize) -> Result<Image, BoxError> {
        self.loader.load(&self.ids[index])
    }

    /// Only the images at these positions, e.g. for a hold-out within the training images.
    pub fn subset(&self, positions: &[usize]) -> Self {
        Self {
            ids: positions.iter().map(|&i| self.ids[i].clone()).collect(),
            loader: self.loader,
        }
    }
}

/// Labelled training images, loaded on demand so that a classifier decides how many it holds. Made
/// only by [`TrainSplit::labelled`].
#[derive(Clone)]
pub struct TrainLabelled<'a> {
    samples: Vec<Sample>,
    loader: &'a dyn ImageLoader,
}

impl TrainLabelled<'_> {
    /// Which images, and what each is, in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The labels in order.
    pub fn labels(&self) -> Vec<Label> {
        self.samples.iter().map(|s| s.label).collect()
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of images with this label.
    pub fn count(&self, label: Label) -> usize {
        self.samples.iter().filter(|s| s.label == label).count()
    }

    /// Loads image `index`, at its native size.
    ///
    /// # Errors
    /// As the loader's.
    ///
    /// # Panics
    /// If `index` is not below [`TrainLabelled::len`].
    pub fn load(&self, index: usize) -> Result<Image, BoxError> {
        self.loader.load(&self.samples[index].id)
    }

    /// Only the images at these positions, in this order.
    ///
    /// # Panics
    /// If a position is not below [`TrainLabelled::len`].
    pub fn subset(&self, positions: &[usize]) -> Self {
        Self {
            samples: positions.iter().map(|&i| self.samples[i].clone()).collect(),
            loader: self.loader,
        }
    }
}
