use crate::model::{FittedFrozen, FittedHead, Model};
use crate::{FrozenError, fit};
use segad_core::{FeatureTable, Image, ImageClassifier, ImageId};
use segad_forest::Forest;
use tch::{Kind, Tensor};

impl FittedHead {
    /// One raw logit or margin per row of the table, in its order.
    ///
    /// # Errors
    /// [`FrozenError::Table`] for other columns than those of the fit, [`FrozenError::NotFinite`].
    pub fn scores(&self, table: &FeatureTable) -> Result<Vec<f32>, FrozenError> {
        self.same_columns(table.names())?;
        fit::check_finite(table)?;
        Ok(match &self.model {
            Model::Logistic(logistic) => logistic.scores(table.values()),
            Model::Trees(forest) => forest.margins(table)?,
        })
    }

    /// From rows, N×columns, to logits, N, as operations on tensors only, so that it can be
    /// traced. Trees are no such operations: rows come back as they are, for [`FittedHead::trees`].
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self) -> Result<impl Fn(&Tensor) -> Result<Tensor, FrozenError>, FrozenError> {
        // Made here: a recording takes tensors that are made while it runs for zeros.
        let numbers = match &self.model {
            Model::Logistic(l) => Some((
                [
                    f64_row(&l.mean)?,
                    f64_row(&l.deviation)?,
                    f64_row(&l.weight)?,
                ],
                f64::from(l.bias),
            )),
            Model::Trees(_) => None,
        };
        Ok(move |rows: &Tensor| {
            let Some(([mean, deviation, weight], bias)) = &numbers else {
                return Ok(rows.shallow_clone());
            };
            // As `Logistic::scores` computes, so that an exported network gives the same logit.
            let wide = rows.f_to_kind(Kind::Double)?;
            let standard = wide.f_sub(mean)?.f_div(deviation)?;
            let logit = standard.f_mul(weight)?.f_sum_dim_intlist(1, false, None)?;
            Ok(logit.f_add_scalar(*bias)?.f_to_kind(Kind::Float)?)
        })
    }

    /// The boosted trees, where there are any.
    pub fn trees(&self) -> Option<&Forest> {
        match &self.model {
            Model::Logistic(_) => None,
            Model::Trees(forest) => Some(forest),
        }
    }
}

/// Sums run in f64, as in [`crate::Logistic::scores`].
fn f64_row(values: &[f32]) -> Result<Tensor, FrozenError> {
    Ok(Tensor::f_from_slice(values)?.f_to_kind(Kind::Double)?)
}

impl ImageClassifier for FittedFrozen {
    type Error = FrozenError;

    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, FrozenError> {
        let rows = self.embedder.rows(images)?;
        // Images have no names here; an error about a row still says which.
        let ids = (0..images.len())
            .map(|i| ImageId::new(format!("image {i} of the batch")))
            .collect();
        self.head
            .scores(&FeatureTable::new(self.embedder.names(), ids, rows)?)
    }
}
