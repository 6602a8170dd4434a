use super::MethodSettings;
use crate::model::Checked;
use crate::{BackboneKind, SavedModel, Weights};
use segad_core::{BoxError, FeatureTable, FitContext, Image, KeyHasher, Label, Seed};

/// A classifier that is fitted on features of a frozen network.
pub trait FeatureMethod: 'static {
    /// Its name in experiments.
    const KIND: &'static str;
    /// Settings that a table must not hold, and why.
    const FIXED: &'static [(&'static str, &'static str)];
    /// Settings as an experiment writes them.
    type Settings: MethodSettings;
    /// The frozen network.
    type Embedder: Embed + 'static;
    /// What is fitted on the features.
    type Fitted: FittedOnFeatures + 'static;
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Completes the settings of a table by those that the kind stands for.
    fn complete(settings: Self::Settings) -> Self::Settings;

    /// The frozen network.
    fn backbone(params: &Checked<Self::Settings>) -> BackboneKind;

    /// Feeds revisions and parameters: everything that decides the scores but the weights.
    fn feed(params: &Checked<Self::Settings>, hasher: &mut KeyHasher);

    /// Feeds what decides the features of an image, but the weights.
    fn feed_embedding(params: &Checked<Self::Settings>, hasher: &mut KeyHasher);

    /// The network that gives the features.
    ///
    /// # Errors
    /// Weights that do not fit.
    fn embedder(
        params: &Checked<Self::Settings>,
        weights: &Weights,
        ctx: &FitContext,
    ) -> Result<Self::Embedder, Self::Error>;

    /// Fits on rows of features with their labels.
    ///
    /// # Errors
    /// The classifier's own.
    fn fit(
        params: &Checked<Self::Settings>,
        features: &FeatureTable,
        labels: &[Label],
        seed: Seed,
    ) -> Result<Self::Fitted, Self::Error>;

    /// Loads a saved model.
    ///
    /// # Errors
    /// A damaged or foreign model.
    fn load(saved: &SavedModel) -> Result<Self::Fitted, Self::Error>;
}

/// Features of images by a frozen network.
pub trait Embed {
    /// Names of the columns.
    fn names(&self) -> Vec<String>;

    /// The images' rows, one after the other.
    ///
    /// # Errors
    /// The network's.
    fn rows(&self, images: &[Image]) -> Result<Vec<f32>, BoxError>;
}

/// What was fitted on features.
pub trait FittedOnFeatures {
    /// The model as bytes.
    ///
    /// # Errors
    /// libtorch's.
    fn save(&self) -> Result<SavedModel, BoxError>;

    /// One raw logit per row.
    ///
    /// # Errors
    /// Other columns than it was fitted on.
    fn scores(&self, features: &FeatureTable) -> Result<Vec<f32>, BoxError>;
}
