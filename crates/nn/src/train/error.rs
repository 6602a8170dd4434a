use crate::NnError;
use segad_core::BoxError;
use segad_files::FileError;
use std::path::PathBuf;

/// What can go wrong while a network is trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// A setting that makes no sense.
    #[error("{field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// There are too few samples for one step.
    #[error(
        "training: {samples} samples do not fill a batch of {batch}; add samples, shrink the batch, or keep the last, smaller batch"
    )]
    TooFewSamples {
        /// Number of samples.
        samples: usize,
        /// Samples a step.
        batch: usize,
    },
    /// A variable is not of 32-bit floats.
    #[error("training: variable {0} is not f32; variables stay f32, also under bf16 autocast")]
    Kind(String),
    /// The loss, one of its parts or a weight is NaN or infinite.
    #[error(
        "{name}: {what} is {value} at step {step}; training stops ({kept}); lower the learning rate or clip gradients"
    )]
    Diverged {
        /// Which training.
        name: String,
        /// What is not finite.
        what: String,
        /// Its value.
        value: f64,
        /// Steps done before.
        step: u64,
        /// Where the last good checkpoint is.
        kept: String,
    },
    /// A training image cannot be read.
    #[error("training image {id}: {source}")]
    Image {
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// Somebody asked to stop.
    #[error("{name}: cancelled after step {step}")]
    Cancelled {
        /// Which training.
        name: String,
        /// Steps done; a checkpoint of it was written where a folder was given.
        step: u64,
    },
    /// The file of a checkpoint could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint is damaged or belongs to another training.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl From<tch::TchError> for TrainError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
