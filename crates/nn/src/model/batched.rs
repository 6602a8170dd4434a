use super::ModelError;
use crate::{NnError, to_vec};
use segad_core::{AnomalyMap, Image};
use tch::Tensor;

/// The maps of any number of images. `network` gives the maps of at most `batch` images, N×h×w.
///
/// # Errors
/// The network's; [`ModelError::Map`] for a map that is not finite.
pub fn batched_maps<E: From<ModelError>>(
    method: &'static str,
    images: &[Image],
    batch: usize,
    network: impl Fn(&[Image]) -> Result<Tensor, E>,
) -> Result<Vec<AnomalyMap>, E> {
    let mut maps = Vec::with_capacity(images.len());
    for chunk in images.chunks(batch.max(1)) {
        let found = split_maps(method, maps.len(), &network(chunk)?)?;
        maps.extend(found);
    }
    Ok(maps)
}

/// One map per image from a tensor N×h×w, whose first image is number `first` of a batch.
///
/// # Errors
/// [`NnError::Shape`] for another shape, [`ModelError::Map`] for a map that is not finite.
pub fn split_maps(
    method: &'static str,
    first: usize,
    maps: &Tensor,
) -> Result<Vec<AnomalyMap>, ModelError> {
    let [_, height, width] = maps.size()[..] else {
        return Err(ModelError::Nn(NnError::Shape {
            what: "maps",
            actual: maps.size(),
            expected: "N×h×w".into(),
        }));
    };
    let (height, width) = (height as usize, width as usize);
    let values = to_vec(maps)?;
    // Chunks of 0 would panic; maps without places are an error of `AnomalyMap`.
    let each = values.chunks_exact((height * width).max(1)).enumerate();
    each.map(|(i, values)| {
        AnomalyMap::new(height, width, values.to_vec()).map_err(|source| ModelError::Map {
            method,
            index: first + i,
            source,
        })
    })
    .collect()
}

/// The scores of any number of images. `network` gives those of at most `batch` images, one value
/// each.
///
/// # Errors
/// The network's; [`ModelError::Score`] for a score that is NaN or infinite.
pub fn batched_scores<E: From<ModelError>>(
    method: &'static str,
    images: &[Image],
    batch: usize,
    network: impl Fn(&[Image]) -> Result<Tensor, E>,
) -> Result<Vec<f32>, E> {
    let mut scores = Vec::with_capacity(images.len());
    for chunk in images.chunks(batch.max(1)) {
        scores.extend(to_vec(&network(chunk)?).map_err(ModelError::from)?);
    }
    // A NaN would sort anywhere and silently change every metric.
    match scores.iter().position(|s| !s.is_finite()) {
        None => Ok(scores),
        Some(index) => Err(ModelError::Score {
            method,
            index,
            value: scores[index],
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_slice;

    fn images(greys: &[u8]) -> Vec<Image> {
        let image = |&grey: &u8| Image::from_grey(1, 2, &[grey, 7]).unwrap();
        greys.iter().map(image).collect()
    }

    /// The first row of pixels, divided by the grey value 9 less than it.
    fn rows(images: &[Image]) -> Result<Tensor, ModelError> {
        let values: Vec<f32> = images
            .iter()
            .flat_map(|i| [i.rgb()[0], i.rgb()[3]])
            .map(|v| 1.0 / (f32::from(v) - 9.0))
            .collect();
        Ok(from_slice(&values, &[images.len() as i64, 1, 2])?)
    }

    #[test]
    fn maps_keep_their_order_over_batches() {
        let images = images(&[1, 2, 3, 4, 5]);
        let all = batched_maps("toy", &images, 8, rows).unwrap();
        for batch in 0..3 {
            assert_eq!(batched_maps("toy", &images, batch, rows).unwrap(), all);
        }
        assert_eq!(all[4].values(), [-0.25, -0.5]);
    }

    #[test]
    fn values_that_are_not_finite_name_their_image() {
        let images = images(&[1, 2, 9]);
        let e = batched_maps("toy", &images, 2, rows).unwrap_err();
        assert!(matches!(e, ModelError::Map { index: 2, .. }), "{e}");
        let first = |images: &[Image]| Ok::<_, ModelError>(rows(images)?.select(2, 0).view(-1));
        let e = batched_scores("toy", &images, 2, first).unwrap_err();
        assert!(matches!(e, ModelError::Score { index: 2, .. }), "{e}");
        let scores = batched_scores("toy", &images[..2], 1, first).unwrap();
        assert_eq!(scores, [-0.125, -1.0 / 7.0]);
    }
}
