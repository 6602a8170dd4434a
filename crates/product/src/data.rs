//! The images of a product.

use crate::error::{ProductError, Result};
use segad_core::{Image, ImageLoader, Label, Sample};

/// One labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which image, good or bad, and as `group` the kind of defect, if it is known.
    pub sample: Sample,
    /// What must not be torn apart by a split, e.g. the piece that several pictures show; `None`
    /// for an image on its own.
    pub unit: Option<String>,
}

impl Item {
    /// The kind of defect, for a bad image where it is known.
    pub fn kind(&self) -> Option<&str> {
        // Without a folder of its own, an image's group is its label, which is no kind.
        let is_named = self.is_bad() && self.sample.group != Label::Bad.as_str();
        is_named.then_some(self.sample.group.as_str())
    }

    pub(crate) fn is_bad(&self) -> bool {
        self.sample.label.is_bad()
    }

    /// Blames this image for an error.
    pub(crate) fn failed(&self, source: impl Into<segad_core::BoxError>) -> ProductError {
        ProductError::Image {
            id: self.sample.id.to_string(),
            source: source.into(),
        }
    }
}

/// The images of a product.
pub struct Data<'a> {
    /// The images. Their order is part of what decides the model.
    pub items: Vec<Item>,
    /// Loads their pixels.
    pub loader: &'a dyn ImageLoader,
    /// Files among the images that cannot be used, found when they were listed. They end a fit
    /// together with the images that cannot be decoded.
    pub refused: Vec<Refused>,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub path: String,
    /// Why, and what would help.
    pub reason: String,
}

impl<'a> Data<'a> {
    /// These images, with nothing refused.
    pub fn new(items: Vec<Item>, loader: &'a dyn ImageLoader) -> Self {
        Self {
            items,
            loader,
            refused: Vec::new(),
        }
    }

    pub(crate) fn load(&self, item: &Item) -> Result<Image> {
        let image = self.loader.load(&item.sample.id);
        image.map_err(|e| item.failed(e))
    }

    pub(crate) fn good(&self) -> Vec<&Item> {
        self.items.iter().filter(|i| !i.is_bad()).collect()
    }

    pub(crate) fn labels(&self) -> Vec<Label> {
        self.items.iter().map(|i| i.sample.label).collect()
    }
}
