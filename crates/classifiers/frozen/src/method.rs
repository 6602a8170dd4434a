use crate::{Embedder, FittedHead, FrozenError, FrozenParams, FrozenSettings, Head, fit};
use segad_core::{BoxError, FeatureTable, FitContext, Image, KeyHasher, Label, Seed};
use segad_nn::method::{Embed, FeatureMethod, FittedOnFeatures};
use segad_nn::{BackboneKind, SavedModel, Weights};

/// The head as a method of its own: logistic regression or, with `TREES`, boosted trees.
pub struct FrozenMethod<const TREES: bool>;

impl<const TREES: bool> FeatureMethod for FrozenMethod<TREES> {
    // Trees depend on XGBoost's own version, the regression on nothing outside this program.
    const KIND: &'static str = if TREES { "frozen-gbt" } else { "frozen-lr" };
    const FIXED: &'static [(&'static str, &'static str)] =
        &[("head", "the kinds frozen-lr and frozen-gbt differ in it")];
    type Settings = FrozenSettings;
    type Embedder = Embedder;
    type Fitted = FittedHead;
    type Error = FrozenError;

    fn complete(settings: FrozenSettings) -> FrozenSettings {
        let head = if TREES { Head::Trees } else { Head::Logistic };
        FrozenSettings { head, ..settings }
    }

    fn backbone(params: &FrozenParams) -> BackboneKind {
        params.backbone
    }

    fn feed(params: &FrozenParams, hasher: &mut KeyHasher) {
        hasher
            .field("embed", &crate::EMBED_REVISION)
            .field("fit", &crate::FIT_REVISION)
            .field("scores", &crate::SCORES_REVISION)
            .field("params", params);
        if TREES {
            hasher
                .field("forest", &segad_forest::REVISION)
                .field("library", &segad_forest::library_version().to_string());
        }
    }

    fn feed_embedding(params: &FrozenParams, hasher: &mut KeyHasher) {
        hasher
            .field("embed", &crate::EMBED_REVISION)
            .field("embedding", &params.derived().embedding);
    }

    fn embedder(
        params: &FrozenParams,
        weights: &Weights,
        ctx: &FitContext,
    ) -> Result<Embedder, FrozenError> {
        let embedding = &params.derived().embedding;
        Embedder::new(embedding, weights, ctx.device, ctx.precision, ctx.batch)
    }

    fn fit(
        params: &FrozenParams,
        features: &FeatureTable,
        labels: &[Label],
        seed: Seed,
    ) -> Result<FittedHead, FrozenError> {
        fit(params, features, labels, seed)
    }

    fn load(saved: &SavedModel) -> Result<FittedHead, FrozenError> {
        FittedHead::load(saved)
    }
}

impl Embed for Embedder {
    fn names(&self) -> Vec<String> {
        self.names()
    }

    fn rows(&self, images: &[Image]) -> Result<Vec<f32>, BoxError> {
        Ok(self.rows(images)?)
    }
}

impl FittedOnFeatures for FittedHead {
    fn save(&self) -> Result<SavedModel, BoxError> {
        Ok(self.save()?)
    }

    fn scores(&self, features: &FeatureTable) -> Result<Vec<f32>, BoxError> {
        Ok(self.scores(features)?)
    }
}
