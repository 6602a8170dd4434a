use segad_core::{BoxError, CoreError, Key};
use segad_nn::NnError;

/// What can go wrong in PatchCore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchCoreError {
    /// A setting that makes no sense.
    #[error("patchcore setting {field} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The backbone's weights do not fit.
    #[error(
        "{0}; weights come as safetensors made by the weight importer from the published file of the backbone (`cargo xtask fetch weights`)"
    )]
    Weights(#[source] NnError),
    /// A network operation failed.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// There is no good training image.
    #[error("patchcore: no good training image; at least one is needed")]
    NoImages,
    /// A training image could not be read.
    #[error("training image {id}: {source}")]
    Load {
        /// Which image.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// The memory bank would be empty, or there are fewer patches than neighbours.
    #[error(
        "patchcore: {images} images give {patches} patches and a memory bank of {bank}, but {neighbours} neighbours are to be compared; add images or raise coreset_ratio"
    )]
    TooFewPatches {
        /// Number of images.
        images: usize,
        /// Number of patches of all images.
        patches: usize,
        /// Rows of the memory bank.
        bank: usize,
        /// Neighbours asked for.
        neighbours: usize,
    },
    /// Not even the projected patches fit the memory budget.
    #[error(
        "patchcore: {patches} patches of {images} images need {needed} bytes, the memory budget is {budget}; raise it, or use fewer images or smaller ones"
    )]
    Memory {
        /// Number of images.
        images: usize,
        /// Number of patches of all images.
        patches: usize,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// Somebody asked to stop.
    #[error("patchcore: cancelled")]
    Cancelled,
    /// A saved model was fitted with other weights.
    #[error(
        "saved patchcore model: fitted with weights {expected}, given {actual}; give it those, or fit again"
    )]
    OtherWeights {
        /// Digest in the model.
        expected: Key,
        /// Digest of the weights given.
        actual: Key,
    },
    /// A map that is not finite.
    #[error("patchcore: image {index} of the batch: {source}")]
    Map {
        /// Position in the batch.
        index: usize,
        /// Why.
        source: CoreError,
    },
}

impl From<tch::TchError> for PatchCoreError {
    fn from(error: tch::TchError) -> Self {
        Self::Nn(error.into())
    }
}
