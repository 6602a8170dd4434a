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
    let grid = bank.grid();
    let size = bank.image_size();
    let good = data.good();
    let mut by_image: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (row, &source) in sources.iter().enumerate() {
        by_image
            .entry(source / (grid * grid))
            .or_default()
            .push((row, source % (grid * grid)));
    }
    let height = sources.len().div_ceil(COLUMNS) * SIDE;
    let width = COLUMNS * SIDE;
    let mut rgb = vec![0; height * width * 3];
    for (index, patches) in by_image {
        if ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        let image = data.load(good[index])?;
        let image = segad_imaging::resize_bilinear(&image, size, size)?;
        for (row, place) in patches {
            let patch = crop(&image, place, grid)?;
            let [top, left] = corner(row);
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
    let middle = [
        centre(place / grid, grid, image.height()) as isize,
        centre(place % grid, grid, image.width()) as isize,
    ];
    let half = (SIDE / 2) as isize;
    let mut rgb = Vec::with_capacity(SIDE * SIDE * 3);
    for y in -half..half {
        for x in -half..half {
            let y = (middle[0] + y).clamp(0, image.height() as isize - 1) as usize;
            let x = (middle[1] + x).clamp(0, image.width() as isize - 1) as usize;
            let pixel = image.pixel(y, x);
            rgb.extend(pixel.expect("the place was clamped to the image"));
        }
    }
    Ok(Image::from_rgb(SIDE, SIDE, rgb)?)
}

/// The pixel in the middle of place `at` of a grid, along an axis of `side` pixels.
pub(crate) fn centre(at: usize, grid: usize, side: usize) -> usize {
    (2 * at + 1) * side / (2 * grid)
}

/// Top and left of picture `row` of a sheet.
pub(crate) fn corner(row: usize) -> [usize; 2] {
    [row / COLUMNS * SIDE, row % COLUMNS * SIDE]
}
