use segad_files::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// What can go wrong while miniature sets are made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MiniatureError {
    /// A parameter is out of range.
    #[error("size {0}: expected 32 to 512 pixels")]
    Size(usize),
    /// The folder holds something already.
    #[error("{}: is not empty; name a new folder", path.display())]
    NotEmpty {
        /// Which folder.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An image could not be made or encoded.
    #[error("{path}: {reason}")]
    Image {
        /// Which.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// A manifest could not be derived from the real one.
    #[error("manifest of {dataset}: {reason}")]
    Manifest {
        /// Of which data set.
        dataset: &'static str,
        /// What is wrong.
        reason: String,
    },
}
