use segad_core::BoxError;

/// What can go wrong around the methods; what goes wrong inside one comes as its own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A kind that the registry does not have.
    #[error("kind = {kind:?}: expected one of {known}")]
    Kind {
        /// The kind.
        kind: String,
        /// Those there are.
        known: String,
    },
    /// A setting that the kind stands for.
    #[error("{setting}: {reason}; leave it out")]
    Fixed {
        /// The setting.
        setting: &'static str,
        /// Why it cannot be set.
        reason: &'static str,
    },
    /// A setting that is unknown or makes no sense, as the method's crate says it.
    #[error("{source}")]
    Settings {
        /// The kind.
        kind: &'static str,
        /// The method's own.
        source: BoxError,
    },
    /// Images that cannot be split into so many folds.
    #[error("{folds} folds: {reason}")]
    Folds {
        /// How many were asked for.
        folds: usize,
        /// Why that cannot be.
        reason: String,
    },
    /// Clusters that need features without a network to give them.
    #[error("mode = \"image\": expected a backbone, whose features tell the patches apart")]
    NoBackbone,
    /// Weights that are missing or damaged.
    #[error("{0}")]
    Weights(BoxError),
    /// The segments'.
    #[error(transparent)]
    Segments(#[from] segad_segments::SegmentsError),
    /// The network's.
    #[error(transparent)]
    Network(#[from] segad_nn::NnError),
}
