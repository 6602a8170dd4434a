use segad_core::CoreError;
use segad_forest::ForestError;
use segad_nn::NnError;
use segad_nn::model::ModelError;

/// What can go wrong with frozen features and what is fitted on them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrozenError {
    /// What can go wrong in any method; a cause of its own, since its kind decides the exit code.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// Boosted trees could not be fitted or read.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// A table of features could not be made.
    #[error(transparent)]
    Core(#[from] CoreError),
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
    /// The optimiser did not converge.
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
}

impl From<NnError> for FrozenError {
    fn from(error: NnError) -> Self {
        Self::Model(error.into())
    }
}

impl From<tch::TchError> for FrozenError {
    fn from(error: tch::TchError) -> Self {
        Self::Model(error.into())
    }
}
