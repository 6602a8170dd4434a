use thiserror::Error;

/// Why a recorded network was not written as ONNX.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The recording is not what libtorch writes.
    #[error(transparent)]
    Weights(#[from] segad_weights::WeightsError),
    /// A statement of the recording that cannot be read.
    #[error("recorded network, {statement:?}: {problem}")]
    Statement {
        /// The statement.
        statement: String,
        /// What is wrong.
        problem: String,
    },
    /// An operation, or a form of one, that is not written.
    #[error("{operation}: no ONNX is written for it; export the model as TorchScript instead")]
    Operation {
        /// Its name in libtorch, and what is special about its use here.
        operation: String,
    },
}

pub(crate) type Result<T> = std::result::Result<T, OnnxError>;

pub(crate) fn unsupported<T>(operation: impl Into<String>) -> Result<T> {
    Err(OnnxError::Operation {
        operation: operation.into(),
    })
}
