use crate::model::{FittedFrozen, FittedHead, Model, Origin};
use crate::params::HeadParams;
use crate::{Embedder, FrozenError, FrozenParams, Logistic};
use segad_core::{FeatureTable, FitClassifier, FitContext, ImageId, Label, Seed, TrainLabelled};
use segad_forest::Forest;
use segad_nn::Weights;
use std::num::NonZeroUsize;

/// Frozen features and a head, not fitted yet: parameters and the backbone's weights.
pub struct Frozen {
    params: FrozenParams,
    weights: Weights,
}

impl Frozen {
    /// With weights of `params.backbone()`, complete up to the last tap used.
    ///
    /// # Errors
    /// [`FrozenError::Weights`] if they are not.
    pub fn new(params: FrozenParams, weights: Weights) -> Result<Self, FrozenError> {
        for layer in &params.embedding().layers {
            weights
                .check(params.backbone(), Some(layer))
                .map_err(FrozenError::Weights)?;
        }
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &FrozenParams {
        &self.params
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
        check_labels(&train.labels())?;
        let embedding = self.params.embedding();
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
        for (i, sample) in train.samples().iter().enumerate() {
            if ctx.cancel.is_cancelled() {
                return Err(FrozenError::Cancelled);
            }
            let load = |source| FrozenError::Load {
                id: sample.id.to_string(),
                source,
            };
            rows.extend(embedder.rows(&[train.load(i).map_err(load)?])?);
            task.advance(1);
        }
        let ids: Vec<ImageId> = train.samples().iter().map(|s| s.id.clone()).collect();
        let table = FeatureTable::new(embedder.names(), ids, rows)?;
        FittedFrozen::new(embedder, fit(&self.params, &table, &train.labels(), seed)?)
    }
}

/// Fits the head on rows that an [`Embedder`] made, one label a row.
///
/// # Errors
/// [`FrozenError::OneClass`], [`FrozenError::Table`], [`FrozenError::NotFinite`],
/// [`FrozenError::NotConverged`], the forest's.
pub fn fit(
    params: &FrozenParams,
    table: &FeatureTable,
    labels: &[Label],
    seed: Seed,
) -> Result<FittedHead, FrozenError> {
    let (good, bad) = check_labels(labels)?;
    check_finite(table)?;
    let model = match params.head() {
        HeadParams::Logistic(settings) => Model::Logistic(Logistic::fit(
            table.values(),
            table.columns(),
            labels,
            *settings,
        )?),
        HeadParams::Trees(trees) => {
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

fn check_labels(labels: &[Label]) -> Result<(usize, usize), FrozenError> {
    let bad = labels.iter().filter(|l| l.is_bad()).count();
    let good = labels.len() - bad;
    if good == 0 || bad == 0 {
        Err(FrozenError::OneClass { good, bad })
    } else {
        Ok((good, bad))
    }
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
