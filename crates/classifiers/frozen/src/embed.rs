use crate::{Embedding, FrozenError, Pool};
use segad_core::{Device, Image, Precision};
use segad_nn::model::Extractor;
use segad_nn::{Weights, to_vec};
use tch::{Kind, Tensor};

/// From images to rows of features: one value for each pool, tap and channel.
pub struct Embedder {
    extractor: Extractor,
    embedding: Embedding,
    batch: usize,
}

impl Embedder {
    /// With weights of `embedding.backbone`, complete up to the last tap used. `batch` images go
    /// through the network at once.
    ///
    /// # Errors
    /// [`segad_nn::model::ModelError::Weights`] if they are not; a device that is not found.
    pub fn new(
        embedding: &Embedding,
        weights: &Weights,
        device: Device,
        precision: Precision,
        batch: usize,
    ) -> Result<Self, FrozenError> {
        let kind = embedding.backbone;
        let place = (device, precision);
        let extractor = Extractor::new(
            kind,
            &embedding.layers,
            weights,
            embedding.image_size,
            place,
        )?;
        Ok(Self {
            extractor,
            embedding: embedding.clone(),
            batch: batch.max(1),
        })
    }

    /// Names of the columns, e.g. `layer3.max.17`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for tap in self.extractor.backbone().taps() {
            for pool in &self.embedding.pools {
                let stem = format!("{}.{}", tap.name, pool.as_str());
                names.extend((0..tap.channels).map(|c| format!("{stem}.{c}")));
            }
        }
        names
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    ///
    /// # Errors
    /// An image that cannot be resized; libtorch's.
    pub fn input(&self, images: &[Image]) -> Result<Tensor, FrozenError> {
        Ok(self.extractor.input(images)?)
    }

    /// From network input to rows, N×[`Embedder::names`], as operations on tensors only, so that
    /// it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, FrozenError> {
        let mut columns = Vec::new();
        for features in self.extractor.backbone().features(input)? {
            for pool in &self.embedding.pools {
                columns.push(pooled(&features, *pool, self.embedding.top_share)?);
            }
        }
        Ok(Tensor::f_cat(&columns, 1)?)
    }

    /// The rows of these images, one after the other: images × [`Embedder::names`] values.
    ///
    /// # Errors
    /// libtorch's.
    pub fn rows(&self, images: &[Image]) -> Result<Vec<f32>, FrozenError> {
        let mut rows = Vec::new();
        for chunk in images.chunks(self.batch) {
            rows.extend(to_vec(&self.network(&self.input(chunk)?)?)?);
        }
        Ok(rows)
    }
}

/// N×C×h×w → N×C.
fn pooled(features: &Tensor, pool: Pool, top_share: f64) -> Result<Tensor, FrozenError> {
    let flat = features.f_flatten(2, 3)?;
    // In f32 also after a bf16 network: a mean over thousands of places would lose digits.
    Ok(match pool {
        Pool::Mean => flat.f_mean_dim([2i64].as_slice(), false, Kind::Float)?,
        Pool::Max => flat.f_amax([2i64].as_slice(), false)?,
        Pool::Top => {
            let places = *flat.size().last().unwrap_or(&1);
            // Rounded down; small maps keep at least one place.
            let k = ((places as f64 * top_share).floor() as i64).max(1);
            flat.f_topk(k, 2, true, false)?
                .0
                .f_mean_dim([2i64].as_slice(), false, Kind::Float)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::from_slice;

    #[test]
    fn pools_by_hand() {
        let x = from_slice(&[1., 5., 3., 2., -1., -4., 0., -3.], &[1, 2, 2, 2]).unwrap();
        let of = |pool, share| to_vec(&pooled(&x, pool, share).unwrap()).unwrap();
        assert_eq!(of(Pool::Mean, 0.1), [2.75, -2.0]);
        assert_eq!(of(Pool::Max, 0.1), [5.0, 0.0]);
        assert_eq!(of(Pool::Top, 0.1), [5.0, 0.0]);
        assert_eq!(of(Pool::Top, 0.5), [4.0, -0.5]);
        assert_eq!(of(Pool::Top, 1.0), of(Pool::Mean, 1.0));
    }
}
