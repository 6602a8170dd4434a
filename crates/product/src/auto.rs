//! Segments that the program finds by itself.

use crate::backbones::Backbones;
use crate::data::{Data, Item};
use crate::error::{ProductError, Result};
use segad_core::{FitContext, Image, Precision, ProgressTask, Seed};
use segad_methods::clusters::{GoodImages, learn_places, network};
use segad_nn::BackboneKind;
use segad_segments::{ClusteredParams, PortableSegments};
use std::ops::Range;

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
) -> Result<PortableSegments> {
    let params = ClusteredParams {
        backbone: Some(kind.to_string()),
        image_size: size,
        size,
        // No detector is fitted yet; its maps could only be those of images it has seen.
        maps: false,
        ..ClusteredParams::default()
    };
    let network = network(&params, backbones, seed, (ctx.device, Precision::F32))?;
    let items = data.good();
    let good = Good {
        data,
        task: ctx.progress.start("segments", Some(items.len() as u64)),
        items,
        ctx,
    };
    let found = learn_places(&params, network.as_ref(), &good, seed)?;
    // A single segment is the whole image, which needs no map in the model file.
    if found.names.len() < 2 {
        return Ok(PortableSegments::Whole);
    }
    Ok(PortableSegments::found(&found.map, &found.names))
}

/// The good images of a product.
struct Good<'a> {
    data: &'a Data<'a>,
    items: Vec<&'a Item>,
    task: Box<dyn ProgressTask>,
    ctx: &'a FitContext,
}

impl GoodImages<ProductError> for Good<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    /// One image at a time, so that neighbours in a batch cannot change a bit.
    fn batch(&self) -> usize {
        1
    }

    fn advance(&self, images: usize) -> Result<()> {
        if self.ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        self.task.advance(images as u64);
        Ok(())
    }

    fn load(&self, images: Range<usize>) -> Result<Vec<Image>> {
        let items = self.items[images].iter();
        items.map(|item| self.data.load(item)).collect()
    }
}
