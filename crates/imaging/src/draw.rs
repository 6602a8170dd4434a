use crate::colour::{mix, segment_colour};
use crate::{ImagingError, resize_labels};
use segad_core::{Image, LabelMap};
use std::borrow::Cow;

/// The labels at the size of the picture they are drawn on.
fn fitted<'a>(image: &Image, map: &'a LabelMap) -> Result<Cow<'a, LabelMap>, ImagingError> {
    if (image.height(), image.width()) == (map.height(), map.width()) {
        return Ok(Cow::Borrowed(map));
    }
    Ok(Cow::Owned(resize_labels(
        map,
        image.height(),
        image.width(),
    )?))
}

/// Draws the borders between segments in one colour. A label map of another size is resized to the
/// image's (nearest).
///
/// # Errors
/// None for images and maps as `segad-core` makes them.
pub fn outline(image: &Image, map: &LabelMap, colour: [u8; 3]) -> Result<Image, ImagingError> {
    let map = fitted(image, map)?;
    let height = map.height();
    let width = map.width();
    let labels = map.labels();
    let mut rgb = image.rgb().to_vec();
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            // Not left and above as well, or a border would be two pixels wide.
            let right = x + 1 < width && labels[i + 1] != labels[i];
            let below = y + 1 < height && labels[i + width] != labels[i];
            if right || below {
                rgb[i * 3..i * 3 + 3].copy_from_slice(&colour);
            }
        }
    }
    Ok(Image::from_rgb(height, width, rgb)?)
}

/// Lays each segment's colour over the image with weight `alpha` (0 shows only the image, 1 only
/// the colours). A label map of another size is resized to the image's (nearest).
///
/// # Errors
/// None for images and maps as `segad-core` makes them.
pub fn tint(image: &Image, map: &LabelMap, alpha: f32) -> Result<Image, ImagingError> {
    let map = fitted(image, map)?;
    let pixels = image.rgb().chunks_exact(3).zip(map.labels());
    let rgb = pixels
        .flat_map(|(p, &label)| {
            let colour = segment_colour(label);
            [0, 1, 2].map(|c| mix(p[c], colour[c], alpha))
        })
        .collect();
    Ok(Image::from_rgb(image.height(), image.width(), rgb)?)
}

/// Lays images out in rows of `columns`, each centred in a tile as large as the largest image,
/// `gap` pixels of `background` between and around them.
///
/// # Errors
/// [`ImagingError::EmptySheet`] without images or columns, [`ImagingError::TooLarge`] for a sheet
/// of more than 400 million pixels.
pub fn contact_sheet(
    images: &[Image],
    columns: usize,
    gap: usize,
    background: [u8; 3],
) -> Result<Image, ImagingError> {
    let (tile_height, tile_width) = images
        .iter()
        .fold((0, 0), |(h, w), i| (i.height().max(h), i.width().max(w)));
    if images.is_empty() || columns == 0 {
        return Err(ImagingError::EmptySheet {
            images: images.len(),
            columns,
        });
    }
    const LIMIT: u64 = 400_000_000;
    let columns = columns.min(images.len());
    let rows = images.len().div_ceil(columns);
    let height = sheet_side(rows, tile_height, gap);
    let width = sheet_side(columns, tile_width, gap);
    if height.saturating_mul(width) > LIMIT {
        return Err(ImagingError::TooLarge {
            height,
            width,
            limit: LIMIT,
        });
    }
    let height = height as usize;
    let width = width as usize;
    let mut rgb = background.repeat(height * width);
    for (n, image) in images.iter().enumerate() {
        let top = gap + (n / columns) * (tile_height + gap) + (tile_height - image.height()) / 2;
        let left = gap + (n % columns) * (tile_width + gap) + (tile_width - image.width()) / 2;
        for (y, row) in image.rgb().chunks_exact(image.width() * 3).enumerate() {
            let at = ((top + y) * width + left) * 3;
            rgb[at..at + row.len()].copy_from_slice(row);
        }
    }
    Ok(Image::from_rgb(height, width, rgb)?)
}

/// In `u64`, so that the limit is checked before anything overflows.
fn sheet_side(tiles: usize, tile: usize, gap: usize) -> u64 {
    tiles as u64 * (tile as u64 + gap as u64) + gap as u64
}
