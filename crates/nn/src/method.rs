//! What a method's crate says about itself, so that a registry can offer it under a name.
//!
//! A detector implements [`DetectorMethod`] and [`FittedDetector`], a classifier that trains on
//! images [`ClassifierMethod`] and [`FittedClassifier`], and one that is fitted on features of a
//! frozen network [`FeatureMethod`]. Nothing else needs to know the crate but the line of the
//! registry that names it.

mod features;

pub use features::{Embed, FeatureMethod, FittedOnFeatures};

use crate::model::{Checked, Settings};
use crate::{BackboneKind, Preprocess, SavedModel, Weights};
use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, CurvePoint, FitClassifier, FitContext, FitDetector,
    Image, ImageClassifier, Key, Seed, TrainGood,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

/// Settings that come out of a table and go into keys and model cards.
pub trait MethodSettings:
    Settings<Derived: Send + Sync, Error: Send + Sync + 'static>
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<S> MethodSettings for S where
    S: Settings<Derived: Send + Sync, Error: Send + Sync + 'static>
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Weights that fitting starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pretrained {
    /// A backbone's.
    Backbone {
        /// Which backbone.
        kind: BackboneKind,
        /// The last tap that is used; what lies behind it may be absent.
        through: String,
    },
    /// A network's that only one method knows.
    Network {
        /// Name of the file, without its extension.
        file: &'static str,
        /// The network, as a message names it.
        what: String,
        /// How to get the file.
        advice: &'static str,
    },
}

impl Pretrained {
    /// A backbone up to the last of these taps.
    pub fn backbone(kind: BackboneKind, taps: &[String]) -> Self {
        let through = taps.last().map_or(kind.last_tap(), String::as_str);
        Self::Backbone {
            kind,
            through: through.to_owned(),
        }
    }
}

/// A set of images that a method uses beside its training images.
pub trait ImageSet {
    /// The images.
    fn images(&self) -> TrainGood<'_>;

    /// Stands for the images in keys.
    fn digest(&self) -> Key;
}

/// What a method is given besides its settings and training images. Whoever runs methods knows
/// where these lie.
pub trait Inputs {
    /// Weights to start with.
    ///
    /// # Errors
    /// If they are missing, with how to get them, or damaged.
    fn weights(&self, of: &Pretrained) -> Result<Weights, BoxError>;

    /// Digest of these weights for keys, without reading the tensors.
    ///
    /// # Errors
    /// If they are missing, with how to get them.
    fn weights_digest(&self, of: &Pretrained) -> Result<Key, BoxError>;

    /// Images of all sorts of things, by the name of a data set or of a folder.
    ///
    /// # Errors
    /// If they are missing, with how to get them.
    fn general_images(&self, name: &str) -> Result<Box<dyn ImageSet>, BoxError>;
}

/// The score of an image as its map says it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MapScore {
    /// The largest value.
    #[default]
    Max,
    /// The mean of this share of the values, the largest ones.
    Top(f64),
}

impl MapScore {
    /// The score.
    pub fn of(self, map: &AnomalyMap) -> f32 {
        match self {
            Self::Max => map.max(),
            Self::Top(share) => map.top_mean(share),
        }
    }
}

impl std::fmt::Display for MapScore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Max => f.write_str("the largest value"),
            Self::Top(share) => write!(f, "the mean of the largest {} % of values", 100.0 * share),
        }
    }
}

/// A one-class detector that is not fitted yet: checked settings and weights.
pub trait DetectorMethod: FitDetector<Fitted: FittedDetector + 'static> + Sized + 'static {
    /// Its name in experiments and model cards.
    const KIND: &'static str;
    /// Raised when fitting gives another model for the same input.
    const FIT_REVISION: u32;
    /// Raised when a fitted model gives other maps for the same image.
    const MAPS_REVISION: u32;
    /// Whether fitting is a training by [`crate::train`], whose revision is in its keys then.
    const TRAINED: bool;
    /// Whether a saved model loads without the weights that its fit started with.
    const SELF_CONTAINED: bool = false;
    /// Settings as an experiment writes them.
    type Settings: MethodSettings;

    /// The backbone that it runs on where this one is offered; another one if it cannot use that.
    fn backbone(offered: BackboneKind) -> BackboneKind {
        offered
    }

    /// Defaults on this backbone and side of the network's square input in pixels.
    fn defaults(backbone: BackboneKind, image_size: usize) -> Self::Settings;

    /// How the score of an image follows from its map.
    fn map_score(params: &Checked<Self::Settings>) -> MapScore {
        let _ = params;
        MapScore::Max
    }

    /// How an image becomes the network's input.
    fn preprocess(params: &Checked<Self::Settings>) -> Preprocess;

    /// The weights that fitting starts with.
    fn pretrained(params: &Checked<Self::Settings>) -> Pretrained;

    /// Bytes that a fit on so many images holds at a time and cannot do without, besides the network;
    /// 0 where memory only saves time.
    fn least_memory(params: &Checked<Self::Settings>, images: usize) -> u64 {
        let _ = (params, images);
        0
    }

    /// The detector, ready to be fitted.
    ///
    /// # Errors
    /// Weights that do not fit.
    fn with_weights(params: Checked<Self::Settings>, weights: Weights)
    -> Result<Self, Self::Error>;

    /// Stands for everything in keys that comes from `inputs`.
    ///
    /// # Errors
    /// What is missing.
    fn inputs_digest(
        params: &Checked<Self::Settings>,
        inputs: &dyn Inputs,
    ) -> Result<Key, BoxError> {
        inputs.weights_digest(&Self::pretrained(params))
    }

    /// Fits on good images; `holdout` are further good images for detectors that normalise on
    /// images that trained nothing.
    ///
    /// # Errors
    /// What is missing, and the detector's own.
    fn fit_with(
        params: &Checked<Self::Settings>,
        inputs: &dyn Inputs,
        good: &TrainGood<'_>,
        holdout: Option<&TrainGood<'_>>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Self::Fitted, BoxError> {
        let _ = holdout;
        let weights = inputs.weights(&Self::pretrained(params))?;
        let detector = Self::with_weights(params.clone(), weights)?;
        Ok(detector.fit(good, seed, ctx)?)
    }

    /// Loads a saved model; `ctx` says on which device and how many images go through the network
    /// at once.
    ///
    /// # Errors
    /// What is missing, and a model that is damaged or was fitted with other weights.
    fn load_with(
        params: &Checked<Self::Settings>,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<Self::Fitted, BoxError>;
}

/// A fitted detector that can be saved and exported.
pub trait FittedDetector: AnomalyDetector {
    /// The model as bytes.
    ///
    /// # Errors
    /// libtorch's.
    fn save(&self) -> Result<SavedModel, Self::Error>;

    /// The losses of its training, if it was trained.
    fn curve(&self) -> &[CurvePoint] {
        &[]
    }

    /// The network input of images, N×3×S×S.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    fn input(&self, images: &[Image]) -> Result<Tensor, Self::Error>;

    /// From network input to maps, N×M×M, by operations on tensors only, so that it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    fn network(&self, input: &Tensor) -> Result<Tensor, Self::Error>;

    /// The good patches that it compares with, for detectors that keep some.
    fn memory_bank(&self) -> Option<&dyn MemoryBank> {
        None
    }
}

/// Patches of good images that a detector keeps.
pub trait MemoryBank {
    /// Places along each side of the grid of patches.
    fn grid(&self) -> usize;

    /// Side of the network's square input in pixels.
    fn image_size(&self) -> usize;

    /// Which training patch each row of the bank was: its position in the order image, y, x.
    /// `None` for a model that was read from a file, which does not keep it.
    fn sources(&self) -> Option<&[usize]>;

    /// For each place of one image's grid, row by row, the distance to the nearest row of the bank
    /// and which row that is.
    ///
    /// # Errors
    /// The detector's own.
    fn nearest(&self, image: &Image) -> Result<Vec<(f32, usize)>, BoxError>;
}

/// A classifier that trains on labelled images: checked settings and weights.
pub trait ClassifierMethod:
    FitClassifier<Fitted: FittedClassifier + 'static> + Sized + 'static
{
    /// Its name in experiments.
    const KIND: &'static str;
    /// Raised when fitting gives another model for the same input.
    const FIT_REVISION: u32;
    /// Raised when a fitted model gives other scores for the same image.
    const SCORES_REVISION: u32;
    /// Settings as an experiment writes them.
    type Settings: MethodSettings;

    /// The network that training starts with.
    fn backbone(params: &Checked<Self::Settings>) -> BackboneKind;

    /// The classifier, ready to be fitted.
    ///
    /// # Errors
    /// Weights that do not fit.
    fn with_weights(params: Checked<Self::Settings>, weights: Weights)
    -> Result<Self, Self::Error>;

    /// Loads a saved model; `ctx` says on which device and how many images go through the network
    /// at once.
    ///
    /// # Errors
    /// A damaged or foreign model.
    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<Self::Fitted, Self::Error>;
}

/// A fitted classifier that can be saved.
pub trait FittedClassifier: ImageClassifier {
    /// The model as bytes.
    ///
    /// # Errors
    /// libtorch's.
    fn save(&self) -> Result<SavedModel, Self::Error>;

    /// The losses of its training.
    fn curve(&self) -> &[CurvePoint];
}
