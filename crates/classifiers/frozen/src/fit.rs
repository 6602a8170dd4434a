use crate::model::{FittedFrozen, FittedHead, KIND, Model, Origin};
use crate::params::HeadParams;
use crate::{Embedder, FrozenError, FrozenParams, Logistic};
use segad_core::{FeatureTable, FitClassifier, FitContext, ImageId, Label, Seed, TrainLabelled};
use segad_forest::Forest;
use segad_nn::Weights;
use segad_nn::model::{ModelError, check_cancelled, expect_labels, load_labelled};
use std::num::NonZeroUsize;

/// Frozen features and a head, not fitted yet: parameters and the backbone's weights.
pub struct Frozen {
    params: FrozenParams,
    weights: Weights,
}

impl Frozen {
    /// With weights of `params.backbone`, complete up to the last tap used.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: FrozenParams, weights: Weights) -> Result<Self, FrozenError> {
        for layer in &params.derived().embedding.layers {
            weights
                .check(params.backbone, Some(layer))
                .map_err(ModelError::from_weights)?;
        }
        Ok(Self { params, weights })
    }
}

impl FitClassifier for Frozen {
    type Fitted = FittedFrozen;
    type Error = FrozenError;

    fn fit(
        &self,
        train: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedFrozen, FrozenError> {
        expect_labels(KIND, &train.labels(), 1)?;
        let embedding = &self.params.derived().embedding;
        let embedder = Embedder::new(
            embedding,
            &self.weights,
            ctx.device,
            ctx.precision,
            ctx.batch,
        )?;
        let task = ctx
            .progress
            .start("frozen features", Some(train.len() as u64));
        let mut rows = Vec::new();
        for i in 0..train.len() {
            check_cancelled(KIND, ctx)?;
            // One image at a time: memory stays small, and a row is the same in any company.
            rows.extend(embedder.rows(&[load_labelled(train, i)?])?);
            task.advance(1);
        }
        let ids: Vec<ImageId> = train.samples().iter().map(|s| s.id.clone()).collect();
        let table = FeatureTable::new(embedder.names(), ids, rows)?;
        FittedFrozen::new(embedder, fit(&self.params, &table, &train.labels(), seed)?)
    }
}

/// Fits the head on rows that an [`Embedder`] made, one label per row.
///
/// # Errors
/// [`ModelError::TooFewLabelled`], [`FrozenError::Table`], [`FrozenError::NotFinite`],
/// [`FrozenError::NotConverged`], the forest's.
pub fn fit(
    params: &FrozenParams,
    table: &FeatureTable,
    labels: &[Label],
    seed: Seed,
) -> Result<FittedHead, FrozenError> {
    let (good, bad) = expect_labels(KIND, labels, 1)?;
    // A NaN is a missing value to trees and would be learned silently.
    check_finite(table)?;
    let model = match &params.derived().head {
        HeadParams::Logistic(settings) => Model::Logistic(Logistic::fit(
            table.values(),
            table.columns(),
            labels,
            *settings,
        )?),
        HeadParams::Trees(trees) => {
            // One thread: histogram sums then have one order, and the trees are the same
            // everywhere.
            let forest = Forest::fit(trees, table, labels, &[], seed, NonZeroUsize::MIN)?;
            Model::Trees(Box::new(forest))
        }
    };
    tracing::debug!(
        good,
        bad,
        columns = table.columns(),
        "head of frozen features fitted"
    );
    let columns = table.names().to_vec();
    Ok(FittedHead {
        params: params.clone(),
        origin: Origin { good, bad, seed },
        columns,
        model,
    })
}

pub(crate) fn check_finite(table: &FeatureTable) -> Result<(), FrozenError> {
    match table.values().iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(FrozenError::NotFinite {
            id: table.ids()[at / table.columns()].to_string(),
            column: table.names()[at % table.columns()].clone(),
            value: table.values()[at],
        }),
    }
}
