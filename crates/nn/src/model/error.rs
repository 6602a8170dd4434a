use crate::NnError;
use crate::train::TrainError;
use segad_core::{BoxError, CoreError, Key};

/// What can go wrong in any method that runs or trains a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A setting that makes no sense.
    #[error("{field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The backbone's weights do not fit.
    #[error("{0}; expected the safetensors file that `fetch` makes of the published weights")]
    Weights(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Training failed.
    #[error(transparent)]
    Train(TrainError),
    /// There are too few images.
    #[error("{method}: {actual} {what}; expected at least {expected}")]
    TooFewImages {
        /// Which method.
        method: &'static str,
        /// Which images, e.g. `good training images`.
        what: &'static str,
        /// How many there are.
        actual: usize,
        /// How many are needed.
        expected: usize,
    },
    /// There are too few good or bad training images.
    #[error(
        "{method}: {good} good and {bad} bad training images; expected at least {needed} good and 1 bad"
    )]
    TooFewLabelled {
        /// Which method.
        method: &'static str,
        /// Good images.
        good: usize,
        /// Bad images.
        bad: usize,
        /// Good images that are needed.
        needed: usize,
    },
    /// An image could not be read.
    #[error("{role} image {id}: {source}")]
    Load {
        /// What it is for, e.g. `training`.
        role: &'static str,
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// Somebody asked to stop.
    #[error("{method}: cancelled{}", after(*step))]
    Cancelled {
        /// Which method.
        method: String,
        /// Training steps done; a checkpoint of them was written if a folder was given.
        step: Option<u64>,
    },
    /// A saved model was fitted with other weights.
    #[error(
        "saved {model} model: fitted with weights {expected}, got {actual}; use those weights, or fit again"
    )]
    OtherWeights {
        /// Which model.
        model: &'static str,
        /// Digest in the model.
        expected: Key,
        /// Digest of the weights given.
        actual: Key,
    },
    /// A map that is not finite.
    #[error("{method}: image {index} of the batch: {source}")]
    Map {
        /// Which method.
        method: &'static str,
        /// Position in the batch.
        index: usize,
        /// Why.
        source: CoreError,
    },
    /// A score that is NaN or infinite.
    #[error(
        "{method}: the score of image {index} of the batch is {value}; the model is damaged or its training diverged: fit it again, with a lower learning rate if it diverged"
    )]
    Score {
        /// Which method.
        method: &'static str,
        /// Position in the batch.
        index: usize,
        /// The score.
        value: f32,
    },
}

fn after(step: Option<u64>) -> String {
    step.map_or_else(String::new, |step| format!(" after step {step}"))
}

impl ModelError {
    /// An error of loading backbone weights: where names or shapes do not fit, it says where
    /// weights come from.
    pub fn from_weights(error: NnError) -> Self {
        match error {
            NnError::WeightNames { .. } | NnError::WeightShape { .. } => Self::Weights(error),
            other => Self::Nn(other),
        }
    }
}

impl From<tch::TchError> for ModelError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}

impl From<TrainError> for ModelError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Nn(error) => Self::Nn(error),
            TrainError::Setting {
                field,
                value,
                expected,
            } => Self::Setting {
                field,
                value,
                expected: expected.to_owned(),
            },
            TrainError::Image { id, source } => Self::Load {
                role: "training",
                id,
                source,
            },
            TrainError::Cancelled { name, step } => Self::Cancelled {
                method: name,
                step: Some(step),
            },
            other => Self::Train(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_errors_keep_their_meaning() {
        let stopped = TrainError::Cancelled {
            name: "toy".into(),
            step: 7,
        };
        let e = ModelError::from(stopped).to_string();
        assert_eq!(e, "toy: cancelled after step 7");
        let never_started = ModelError::Cancelled {
            method: "toy".into(),
            step: None,
        };
        assert_eq!(never_started.to_string(), "toy: cancelled");
        let empty = ModelError::from(TrainError::Nn(NnError::EmptyBatch));
        assert!(matches!(empty, ModelError::Nn(NnError::EmptyBatch)));
    }
}
