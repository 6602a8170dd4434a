use segad_core::{BoxError, CoreError, Key};
use segad_nn::NnError;
use segad_nn::train::TrainError;

/// What can go wrong in RD4AD.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rd4adError {
    /// A setting that makes no sense.
    #[error("rd4ad setting {field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The encoder's weights do not fit.
    #[error(
        "{0}; weights come as safetensors made by the weight importer from the published file of the backbone (`cargo xtask fetch weights`)"
    )]
    Weights(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Training stopped: cancelled, or the loss is not finite, or a checkpoint does not fit.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There are too few good training images.
    #[error("rd4ad: {0} good training images; at least 2 are needed")]
    TooFewImages(usize),
    /// A training image could not be read.
    #[error("training image {id}: {source}")]
    Load {
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// A saved model was trained with other weights.
    #[error(
        "saved rd4ad model: trained with weights {expected}, given {actual}; give it those, or fit again"
    )]
    OtherWeights {
        /// Digest in the model.
        expected: Key,
        /// Digest of the weights given.
        actual: Key,
    },
    /// A map that is not finite.
    #[error("rd4ad: image {index} of the batch: {source}")]
    Map {
        /// Position in the batch.
        index: usize,
        /// Why.
        source: CoreError,
    },
}

impl From<tch::TchError> for Rd4adError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
