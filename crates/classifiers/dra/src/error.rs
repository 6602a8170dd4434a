use segad_core::Label;
use segad_nn::NnError;
use segad_nn::train::TrainError;

/// What can go wrong in DRA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraError {
    /// A setting that makes no sense.
    #[error("dra setting {field} = {value}: expected {expected}")]
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
    /// Training stopped: cancelled, or the loss is not finite, or an image cannot be read, or a
    /// checkpoint does not fit.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// There are too few training images of a label.
    #[error(
        "dra: {actual} {label} training images; at least {expected} needed: it learns from labelled images of both kinds, so take a protocol that has them"
    )]
    TooFewImages {
        /// Good or bad.
        label: Label,
        /// How many there are.
        actual: usize,
        /// How many are needed.
        expected: usize,
    },
    /// A score that is NaN or infinite.
    #[error(
        "dra: image {index} of the batch: score {value}; the model is damaged or diverged, fit it again"
    )]
    Score {
        /// Position in the batch.
        index: usize,
        /// The score.
        value: f32,
    },
}

impl From<tch::TchError> for DraError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
