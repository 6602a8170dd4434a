//! A few images that go with a model, for benches and for checks of what is exported.

use crate::data::Data;
use crate::error::Result;
use segad_core::{Image, Label};

/// Larger images are brought down to this side.
const LARGEST: usize = 1024;

/// Of good and of bad images, the one in the middle and the one with the highest score, as PNG.
pub(crate) fn choose(data: &Data<'_>, scores: &[f32]) -> Result<Vec<Vec<u8>>> {
    let mut chosen: Vec<usize> = Vec::new();
    for label in [Label::Good, Label::Bad] {
        let mut of: Vec<usize> = (0..scores.len())
            .filter(|&i| data.items[i].sample.label == label)
            .collect();
        of.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
        chosen.extend(of.get(of.len() / 2));
        chosen.extend(of.last());
    }
    let images = chosen.into_iter().map(|i| data.load(&data.items[i]));
    images.map(|image| encode(&image?)).collect()
}

fn encode(image: &Image) -> Result<Vec<u8>> {
    let most = image.height().max(image.width());
    if most <= LARGEST {
        return Ok(segad_imaging::encode_png(image)?);
    }
    let [height, width] =
        [image.height(), image.width()].map(|side| (side * LARGEST / most).max(1));
    let small = segad_imaging::resize_bilinear(image, height, width)?;
    Ok(segad_imaging::encode_png(&small)?)
}
