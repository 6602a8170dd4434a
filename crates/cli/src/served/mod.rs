//! What `serve` shows: a model, the images that it was fitted on, the experiments of a store.

mod model;
mod photos;
mod store;

pub(crate) use model::{FittedOn, Worker};
pub(crate) use photos::Photos;
pub(crate) use store::Experiments;

use segad_core::{BoxError, Image, LabelMap};

/// Segments in their colours.
fn coloured(map: &LabelMap) -> Result<Image, BoxError> {
    Ok(segad_imaging::tint(&black(map)?, map, 1.0)?)
}

/// Their borders, white on black.
fn outlined(map: &LabelMap) -> Result<Image, BoxError> {
    Ok(segad_imaging::outline(&black(map)?, map, [255, 255, 255])?)
}

fn black(map: &LabelMap) -> Result<Image, BoxError> {
    Ok(Image::from_grey(
        map.height(),
        map.width(),
        &vec![0; map.labels().len()],
    )?)
}
