use crate::model::{FittedFrozen, FittedHead, Model};
use crate::{FrozenError, fit};
use segad_core::{FeatureTable, Image, ImageClassifier, ImageId};

impl FittedHead {
    /// One raw logit or margin a row of the table, in its order.
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
}

impl ImageClassifier for FittedFrozen {
    type Error = FrozenError;

    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, FrozenError> {
        let rows = self.embedder.rows(images)?;
        let ids = (0..images.len()).map(|i| ImageId::new(format!("image {i} of the batch"))).collect();
        self.head.scores(&FeatureTable::new(self.embedder.names(), ids, rows)?)
    }
}
