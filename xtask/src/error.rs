use segad_fetch::FetchError;
use segad_files::FileError;
use segad_provision::{ProvisionError, exit};
use thiserror::Error;

/// Why a command of `cargo xtask` stopped.
#[derive(Debug, Error)]
pub(crate) enum XtaskError {
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
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
            Self::Provision(e) => e.exit_code(),
            Self::Fetch(e) => e.exit_code(),
            Self::Input(_) => exit::INPUT,
            Self::Usage(_) => exit::USAGE,
            Self::Start { .. } => exit::CONFIGURATION,
            Self::Build(_) => exit::FAILED,
        }
    }
}
