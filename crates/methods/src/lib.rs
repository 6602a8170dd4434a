//! The detectors and classifiers by the kind that names them, and what experiments and products
//! share around them.
//!
//! [`DETECTORS`] and [`CLASSIFIERS`] are the registry: each method is a crate of its own that
//! implements the traits of [`segad_nn::method`], and one line here. A table of settings is read
//! once into a [`DetectorSettings`] or [`ClassifierSettings`], which from then on fits, loads and
//! gives keys; [`Registry`] remembers the tables that were read. Where weights and further images
//! lie is for the caller to know, who implements [`Inputs`].
//!
//! - [`clusters`]: segments learned from features of good images and from maps of them.
//! - [`folds`]: folds that keep units whole, and scores by models that had not seen the unit.
//! - [`columns`]: names of the forest's columns, and which of them may only raise the score.
//!
//! ```
//! use segad_methods::DetectorSettings;
//! use segad_nn::BackboneKind;
//!
//! let table = toml::from_str("backbone = 'resnet18'\nimage_size = 64")?;
//! let detector = DetectorSettings::read("patchcore", &table)?;
//! assert_eq!((detector.kind(), detector.image_size()), ("patchcore", 64));
//! assert_eq!(detector, DetectorSettings::named("patchcore", BackboneKind::Resnet18, 64)?);
//! assert!(DetectorSettings::read("patchcare", &table).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod classifier;
pub mod clusters;
pub mod columns;
mod detector;
mod error;
pub mod folds;
mod registry;

pub use classifier::{Classifier, ClassifierKey, ClassifierSettings, ReadyClassifier, Training};
pub use detector::{Detector, DetectorSettings, ReadyDetector};
pub use error::MethodError;
pub use registry::{CLASSIFIERS, DETECTORS, MethodKey, Registry, detector_kinds};
pub use segad_nn::method::{Embed, FittedOnFeatures, ImageSet, Inputs, MemoryBank, Pretrained};

/// The classifiers of a product: a head fitted on features of a frozen backbone.
pub mod frozen {
    pub use segad_classifier_frozen::{
        Embedder, Embedding, FittedHead, FrozenError, FrozenParams, FrozenSettings, Head, fit,
    };
}

/// The teacher of EfficientAD, which has a command of its own to make it.
pub mod teacher {
    pub use segad_detector_efficientad::{
        DistillSettings, FIT_REVISION, PdnSize, distill, published,
    };
}
