//! Small pictures of the patches in a memory bank.

use crate::data::Data;
use crate::error::{ProductError, Result};
use segad_core::{FitContext, Image};
use segad_methods::MemoryBank;
use std::collections::BTreeMap;

/// Side of a patch's picture, in pixels of the detector's input.
pub(crate) const SIDE: usize = 32;
/// Pictures in a row of the sheet.
pub(crate) const COLUMNS: usize = 64;

/// The patches of a bank in its order, row after row, as a PNG; `None` if it is not known where
/// they come from.
pub(crate) fn sheet(
    bank: &dyn MemoryBank,
    data: &Data<'_>,
    ctx: &FitContext,
) -> Result<Option<Vec<u8>>> {
    let Some(sources) = bank.sources() else {
        return Ok(None);
    };
    let (grid, size) = (bank.grid(), bank.image_size());
    let good = data.good();
    let mut by_image: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (row, &source) in sources.iter().enumerate() {
        by_image
            .entry(source / (grid * grid))
            .or_default()
            .push((row, source % (grid * grid)));
    }
    let (height, width) = (sources.len().div_ceil(COLUMNS) * SIDE, COLUMNS * SIDE);
    let mut rgb = vec![0; height * width * 3];
    for (index, patches) in by_image {
        if ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        let image = data.load(good[index])?;
        let image = segad_imaging::resize_bilinear(&image, size, size)?;
        for (row, place) in patches {
            let patch = crop(&image, place, grid)?;
            let (top, left) = (row / COLUMNS * SIDE, row % COLUMNS * SIDE);
            for (y, line) in patch.rgb().chunks_exact(SIDE * 3).enumerate() {
                let at = ((top + y) * width + left) * 3;
                rgb[at..at + line.len()].copy_from_slice(line);
            }
        }
    }
    Ok(Some(segad_imaging::encode_png(&Image::from_rgb(
        height, width, rgb,
    )?)?))
}

/// The picture of a place of the patch grid, cut out of an image of the detector's input size; the
/// border is repeated.
pub(crate) fn crop(image: &Image, place: usize, grid: usize) -> Result<Image> {
    let centre = |at: usize, side: usize| ((2 * at + 1) * side / (2 * grid)) as isize;
    let (cy, cx) = (
        centre(place / grid, image.height()),
        centre(place % grid, image.width()),
    );
    let half = (SIDE / 2) as isize;
    let clamp = |v: isize, side: usize| v.clamp(0, side as isize - 1) as usize;
    let mut rgb = Vec::with_capacity(SIDE * SIDE * 3);
    for y in -half..half {
        for x in -half..half {
            let (y, x) = (clamp(cy + y, image.height()), clamp(cx + x, image.width()));
            rgb.extend(image.pixel(y, x).unwrap_or_default());
        }
    }
    Ok(Image::from_rgb(SIDE, SIDE, rgb)?)
}
