use crate::PdnSize;
use segad_core::{BoxError, CoreError};
use segad_nn::NnError;
use segad_nn::train::TrainError;

/// What can go wrong in EfficientAD.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EfficientAdError {
    /// A setting that makes no sense.
    #[error("efficientad setting {field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The teacher's weights do not fit.
    #[error(
        "teacher of efficientad ({size}): {source}; give it the published teacher_{size}.pth, imported to safetensors, or make one with `segad fit efficientad-teacher`"
    )]
    Teacher {
        /// Which teacher was expected.
        size: PdnSize,
        /// What does not fit.
        source: NnError,
    },
    /// The weights of the backbone that a teacher is distilled from do not fit.
    #[error("backbone of the efficientad teacher: {0}")]
    Backbone(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Too few images.
    #[error("efficientad: {actual} {what}; at least {expected} needed")]
    TooFewImages {
        /// Which images.
        what: &'static str,
        /// How many there are.
        actual: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The penalty is on in the settings and no images for it were given, or the other way round.
    #[error("efficientad setting penalty is {}, but {given} images for it were given", if *.on { "on" } else { "off" })]
    Penalty {
        /// Whether the settings name a folder.
        on: bool,
        /// Number of images given.
        given: usize,
    },
    /// An image could not be read.
    #[error("{role} image {id}: {source}")]
    Load {
        /// What it is for.
        role: &'static str,
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// A channel of the teacher's output never changes, so that it cannot be normalised.
    #[error(
        "efficientad: channel {channel} of the teacher's output is {value} everywhere in all {images} training images; the images are constant, or the teacher is not trained"
    )]
    ConstantChannel {
        /// The first such channel.
        channel: usize,
        /// Its value.
        value: f64,
        /// Number of images.
        images: usize,
    },
    /// The hold-out's maps do not vary, so that they cannot be normalised.
    #[error(
        "efficientad: the {map} maps of {images} hold-out images have equal quantiles ({value}); the images are constant"
    )]
    ConstantMaps {
        /// Which of the two maps.
        map: &'static str,
        /// The value of both quantiles.
        value: f32,
        /// Number of images.
        images: usize,
    },
    /// Training failed.
    #[error(transparent)]
    Train(TrainError),
    /// Somebody asked to stop.
    #[error("efficientad: cancelled")]
    Cancelled,
    /// A map that is not finite.
    #[error("efficientad: image {index} of the batch: {source}")]
    Map {
        /// Position in the batch.
        index: usize,
        /// Why.
        source: CoreError,
    },
}

impl From<tch::TchError> for EfficientAdError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}

impl From<TrainError> for EfficientAdError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Cancelled { .. } => Self::Cancelled,
            TrainError::Nn(error) => Self::Nn(error),
            other => Self::Train(other),
        }
    }
}
