use segad_datasets::DatasetError;
use segad_files::FileError;
use segad_provision::{ProvisionError, exit};
use segad_weights::WeightsError;
use thiserror::Error;

/// Why something was not fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A download, a digest, an archive or the cache folder.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A data set's manifest or images.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// What is there is not what it should be, or cannot be had without help.
    #[error("{0}")]
    Input(String),
    /// Names that do not exist or do not fit together.
    #[error("{0}")]
    Usage(String),
}

impl From<FileError> for FetchError {
    fn from(e: FileError) -> Self {
        Self::Provision(e.into())
    }
}

impl FetchError {
    /// The exit code of a program that stops with this error; see [`exit`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Provision(e) | Self::Weights(WeightsError::File(e)) => e.exit_code(),
            Self::Weights(_) | Self::Dataset(_) | Self::Input(_) => exit::INPUT,
            Self::Usage(_) => exit::USAGE,
        }
    }
}
