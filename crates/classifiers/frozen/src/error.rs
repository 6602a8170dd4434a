use segad_core::{BoxError, CoreError};
use segad_forest::ForestError;
use segad_nn::NnError;

/// What can go wrong with frozen features and what is fitted on them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrozenError {
    /// A setting that makes no sense.
    #[error("frozen setting {field} = {value}: expected {expected}")]
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
    /// Boosted trees could not be fitted or read.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// A table of features could not be made.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// There is nothing to tell apart.
    #[error("frozen: {good} good and {bad} bad training images; at least 1 of each is needed")]
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
    /// A feature is NaN or infinite.
    #[error(
        "features of {id}: column {column} is {value}, expected a finite number; are the weights damaged?"
    )]
    NotFinite {
        /// Which image.
        id: String,
        /// Which column.
        column: String,
        /// Its value.
        value: f32,
    },
    /// Rows, labels or columns that do not belong together.
    #[error("frozen features: {0}")]
    Table(String),
    /// The optimiser did not arrive.
    #[error(
        "logistic regression: after {iterations} steps the gradient is still {gradient:.1e}, expected at most {tolerance:.1e}; lower c"
    )]
    NotConverged {
        /// Steps done.
        iterations: usize,
        /// Largest part of the gradient.
        gradient: f64,
        /// What it should be at most.
        tolerance: f64,
    },
    /// Somebody asked to stop.
    #[error("frozen: cancelled")]
    Cancelled,
}

impl From<tch::TchError> for FrozenError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
