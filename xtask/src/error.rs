use segad_datasets::DatasetError;
use segad_files::FileError;
use segad_provision::{ProvisionError, exit};
use segad_weights::WeightsError;
use thiserror::Error;

/// Why a command of `cargo xtask` stopped.
#[derive(Debug, Error)]
pub(crate) enum XtaskError {
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error("{0}")]
    Input(String),
    #[error("{0}")]
    Usage(String),
    #[error("{command}: {source}")]
    Start {
        command: String,
        source: std::io::Error,
    },
    #[error("{0}")]
    Build(String),
}

impl From<FileError> for XtaskError {
    fn from(e: FileError) -> Self {
        Self::Provision(e.into())
    }
}

impl XtaskError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Provision(e) | Self::Weights(WeightsError::File(e)) => e.exit_code(),
            Self::Weights(_) | Self::Dataset(_) | Self::Input(_) => exit::INPUT,
            Self::Usage(_) => exit::USAGE,
            Self::Start { .. } => exit::CONFIGURATION,
            Self::Build(_) => exit::FAILED,
        }
    }
}
