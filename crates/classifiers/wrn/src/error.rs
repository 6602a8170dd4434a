use segad_core::BoxError;
use segad_nn::NnError;
use segad_nn::train::TrainError;

/// What can go wrong in WRN.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrnError {
    /// A setting that makes no sense.
    #[error("wrn setting {field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The backbone's weights do not fit.
    #[error(
        "{0}; weights come as safetensors made by the weight importer from the published file of the backbone (`cargo xtask fetch weights`)"
    )]
    Weights(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Training stopped: cancelled, or the loss is not finite, or a checkpoint does not fit, or no
    /// batch fills.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There is nothing to tell apart.
    #[error("wrn: {good} good and {bad} bad training images; at least 1 of each is needed")]
    OneClass {
        /// Good images.
        good: usize,
        /// Bad images.
        bad: usize,
    },
    /// A training image could not be read.
    #[error("training image {id}: {source}")]
    Load {
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// A score that is not finite.
    #[error(
        "wrn: the score of image {index} of the batch is {value}; the model's weights overflow, fit it again with a lower learning rate"
    )]
    Score {
        /// Position in the batch.
        index: usize,
        /// The score.
        value: f32,
    },
}

impl From<tch::TchError> for WrnError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
