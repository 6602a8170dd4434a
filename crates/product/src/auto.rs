//! Segments that the program finds by itself.

use crate::detect::Backbones;
use crate::error::{ProductError, Result};
use crate::fit::Data;
use crate::parts::Segments;
use segad_core::{FitContext, Label, Precision, Seed};
use segad_nn::{BackboneKind, PatchFeatures};
use segad_segments::{ClusteredParams, PlaceSums};

/// One map for all images: places whose features are alike over all good images, as many segments
/// as halves of the images agree on (see [`segad_segments`]). The whole image where they agree on
/// none.
pub(crate) fn segments(
    data: &Data<'_>,
    backbones: &Backbones,
    kind: BackboneKind,
    size: usize,
    seed: Seed,
    ctx: &FitContext,
) -> Result<Segments> {
    let params = ClusteredParams {
        backbone: Some(kind.to_string()),
        image_size: size,
        size,
        maps: false,
        ..ClusteredParams::default()
    };
    let place = (ctx.device, Precision::F32);
    let weights = backbones.weights(kind)?;
    let network = PatchFeatures::new(kind, &[], &weights, size, params.channels, seed, place)?;
    let good: Vec<_> = data
        .items
        .iter()
        .filter(|i| i.sample.label == Label::Good)
        .collect();
    let mut sums = PlaceSums::new(
        network.side(),
        network.side(),
        &[network.channels()],
        good.len(),
    )?;
    let task = ctx.progress.start("segments", Some(good.len() as u64));
    for item in good {
        if ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        let id = &item.sample.id;
        let failed = |source| ProductError::Image {
            id: id.to_string(),
            source,
        };
        let image = data.loader.load(id).map_err(failed)?;
        network
            .of(std::slice::from_ref(&image))?
            .iter()
            .try_for_each(|values| sums.push(values))?;
        task.advance(1);
    }
    let found = sums.cluster(&params, size, size, seed)?;
    if found.names.len() < 2 {
        return Ok(Segments::Whole);
    }
    Ok(Segments::found(&found.map, &found.names))
}
