use segad_core::{BoxError, CoreError, Key};
use segad_nn::NnError;
use segad_nn::train::TrainError;

/// What can go wrong in FastFlow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FastFlowError {
    /// A setting that makes no sense.
    #[error("fastflow setting {field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The backbone's weights do not fit.
    #[error(
        "{0}; weights come as safetensors made by the weight importer from the published file of the backbone (`cargo xtask fetch weights`)"
    )]
    Weights(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Training failed.
    #[error(transparent)]
    Train(TrainError),
    /// There are too few good training images.
    #[error(
        "fastflow: {0} good training images; at least 2 are needed to learn how good images vary"
    )]
    TooFewImages(usize),
    /// A training image could not be read.
    #[error("training image {id}: {source}")]
    Load {
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// Somebody asked to stop.
    #[error(
        "fastflow: cancelled after step {step}; a checkpoint of it was written where a folder was given"
    )]
    Cancelled {
        /// Steps done.
        step: u64,
    },
    /// A saved model was fitted with other weights.
    #[error(
        "saved fastflow model: fitted with weights {expected}, given {actual}; give it those, or fit again"
    )]
    OtherWeights {
        /// Digest in the model.
        expected: Key,
        /// Digest of the weights given.
        actual: Key,
    },
    /// A map that is not finite.
    #[error("fastflow: image {index} of the batch: {source}")]
    Map {
        /// Position in the batch.
        index: usize,
        /// Why.
        source: CoreError,
    },
}

impl From<tch::TchError> for FastFlowError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}

impl From<TrainError> for FastFlowError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Nn(error) => Self::Nn(error),
            TrainError::Cancelled { step, .. } => Self::Cancelled { step },
            error => Self::Train(error),
        }
    }
}
