//! The registry of detectors and classifiers, and what experiments and products share about them.
//!
//! [`DETECTORS`] and [`CLASSIFIERS`] are the registry: each method is a crate that implements the
//! traits of [`segad_nn::method`], and one line here. A table of settings is read once into a
//! [`DetectorSettings`] or [`ClassifierSettings`], which fits, loads and gives keys from then on;
//! [`Registry`] remembers the tables it has read. The caller implements [`Inputs`], which provides
//! weights and further images.
//!
//! - [`clusters`]: segments found from features and maps of good images.
//! - [`folds`]: folds that keep units together, and scores by models that were not trained on the
//!   unit.
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
mod detector;
mod error;
pub mod folds;
mod registry;

pub use classifier::{Classifier, ClassifierKey, ClassifierSettings, ReadyClassifier, Training};
pub use detector::{Detector, DetectorSettings, ReadyDetector};
pub use error::MethodError;
pub use registry::{CLASSIFIERS, DETECTORS, MethodKey, Registry};
pub use segad_nn::method::{
    Embed, FittedOnFeatures, ImageSet, Inputs, MapScore, MemoryBank, Pretrained,
};

/// The classifiers of a product: a head fitted on features of a frozen backbone.
pub mod frozen {
    pub use segad_classifier_frozen::{
        EMBED_REVISION, Embedder, Embedding, FIT_REVISION, FittedHead, FrozenError, FrozenParams,
        FrozenSettings, Head, fit,
    };
}

/// The teacher of EfficientAD, which has a command of its own to make it.
pub mod teacher {
    pub use segad_detector_efficientad::{
        DistillSettings, FIT_REVISION, PdnSize, distill, published,
    };
}
