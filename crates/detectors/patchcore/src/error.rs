use segad_core::CoreError;
use segad_nn::NnError;
use segad_nn::model::ModelError;

/// What can go wrong in PatchCore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchCoreError {
    /// What can go wrong in any method; a cause of its own, since its kind decides the exit code.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// The memory bank would be empty, or there are fewer patches than neighbours.
    #[error(
        "{source}, for a memory bank of {bank} and {neighbours} neighbours; add images or raise coreset_ratio"
    )]
    TooFewPatches {
        /// Rows of the memory bank.
        bank: usize,
        /// Neighbours asked for.
        neighbours: usize,
        /// How many patches there are, and how many are needed; its kind decides the exit code.
        source: ModelError,
    },
    /// Not even the projected patches fit into the memory budget.
    #[error(
        "patchcore: {patches} patches of {images} images: {source}; raise it, or use fewer or smaller images"
    )]
    Memory {
        /// Number of images.
        images: usize,
        /// Number of patches of all images.
        patches: usize,
        /// How much memory that takes.
        source: CoreError,
    },
}

impl From<NnError> for PatchCoreError {
    fn from(error: NnError) -> Self {
        Self::Model(error.into())
    }
}

impl From<tch::TchError> for PatchCoreError {
    fn from(error: tch::TchError) -> Self {
        Self::Model(error.into())
    }
}
