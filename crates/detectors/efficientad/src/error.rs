use crate::PdnSize;
use segad_nn::NnError;
use segad_nn::model::ModelError;
use segad_nn::train::TrainError;

/// What can go wrong in EfficientAD.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EfficientAdError {
    /// What can go wrong in any method; a cause of its own, since its kind decides the exit code.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// The teacher's weights do not fit.
    #[error(
        "teacher of efficientad ({size}): {source}; expected the published teacher_{size}.pth imported to safetensors, or a teacher made with `segad fit efficientad-teacher`"
    )]
    Teacher {
        /// Which teacher was expected.
        size: PdnSize,
        /// What does not fit.
        source: NnError,
    },
    /// The weights of the backbone that a teacher is distilled from do not fit.
    #[error("backbone of the efficientad teacher: {0}")]
    Backbone(#[source] ModelError),
    /// The penalty is on in the settings and no images for it were given, or the other way round.
    #[error("efficientad: penalty is {}, but {given} images for it were given", if *.on { "on" } else { "off" })]
    Penalty {
        /// Whether the settings name a folder.
        on: bool,
        /// Number of images given.
        given: usize,
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
}

impl From<NnError> for EfficientAdError {
    fn from(error: NnError) -> Self {
        Self::Model(error.into())
    }
}

impl From<TrainError> for EfficientAdError {
    fn from(error: TrainError) -> Self {
        Self::Model(error.into())
    }
}

impl From<tch::TchError> for EfficientAdError {
    fn from(error: tch::TchError) -> Self {
        Self::Model(error.into())
    }
}
