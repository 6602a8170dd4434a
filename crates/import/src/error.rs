use segad_datasets::DatasetError;
use segad_files::FileError;
use segad_store::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a folder of maps cannot be used at all. What is wrong with one list or file in it is a
/// [`Fault`](crate::Fault).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Neither layout, or not the requested one.
    #[error("{}: {reason}; expected {expected}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
        /// What the layout looks like.
        expected: &'static str,
    },
    /// A name that is no layout.
    #[error("layout {0:?}: expected segad or folder")]
    UnknownLayout(String),
    /// A class, or a model's list of it, that is not in the folder.
    #[error("{}: {what} is missing", path.display())]
    Absent {
        /// The folder.
        path: PathBuf,
        /// What was requested.
        what: String,
    },
    /// A class or list with faults; the first.
    #[error("{0}")]
    Faulty(String),
    /// Segments that cannot be.
    #[error("{}: {reason}", path.display())]
    Segments {
        /// The file, or folder of masks.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// Ctrl-C.
    #[error("interrupted; what was complete is stored")]
    Interrupted,
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Splits or manifests.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}
