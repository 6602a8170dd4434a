use std::path::Path;

use segad_files::FileError;
use segad_provision::ProvisionError;
use thiserror::Error;

/// Why a file of weights was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file ends too early.
    #[error(
        "{what}: the file ends at byte {at}, {needed} more bytes were expected; it is truncated, get it again"
    )]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where the file ends.
        at: usize,
        /// How many bytes are missing at least.
        needed: u64,
    },
    /// The pickle calls something that a file of weights does not need.
    #[error(
        "the pickle names {module}.{name}, which is not allowed: only dictionaries of tensors are read, nothing is executed"
    )]
    Global {
        /// Python module.
        module: String,
        /// Name in that module.
        name: String,
    },
    /// The file pickles a module instead of its weights.
    #[error(
        "the file pickles a whole module ({0}), which cannot be read without running its code; save module.state_dict() instead"
    )]
    WholeModule(String),
    /// The pickle is not one that PyTorch writes for tensors.
    #[error("pickle, byte {at}: {problem}")]
    Pickle {
        /// Offset in the pickle.
        at: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file is not a PyTorch file, or has a layout that is not read.
    #[error("layout: {0}")]
    Layout(String),
    /// A tensor that is not read.
    #[error("tensor {name:?}: {problem}")]
    Tensor {
        /// Its name in the dictionary.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The tensors cannot be written as safetensors.
    #[error("safetensors: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// The file cannot be read or written, or its digest is wrong.
    #[error(transparent)]
    File(#[from] ProvisionError),
    /// An error together with the file it is about.
    #[error("{path}: {source}")]
    InFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: Box<WeightsError>,
    },
}

impl From<FileError> for WeightsError {
    fn from(e: FileError) -> Self {
        Self::File(e.into())
    }
}

impl WeightsError {
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            // These name the file already.
            Self::File(_) | Self::InFile { .. } => self,
            source => Self::InFile {
                path: path.display().to_string(),
                source: Box::new(source),
            },
        }
    }
}
