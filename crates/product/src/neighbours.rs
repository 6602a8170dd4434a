//! The most suspicious places of an image beside the good patches that are most like them.

use crate::error::{ProductError, Result};
use crate::model::Model;
use crate::patches::{SIDE, centre, corner, crop};
use segad_core::Image;
use segad_methods::{Detector, DetectorSettings};

/// A place of an image and the good patch nearest to it.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Middle of the place, row and column in pixels of the image.
    pub centre: [usize; 2],
    /// Distance of their features.
    pub distance: f32,
    /// What is there.
    pub here: Image,
    /// The most similar of all good patches.
    pub nearest: Image,
}

/// The `count` places that are farthest from everything good, none next to another.
pub(crate) fn neighbours(
    settings: &[DetectorSettings],
    detectors: &[Box<dyn Detector>],
    model: &Model,
    image: &Image,
    count: usize,
) -> Result<Vec<Neighbour>> {
    let mut banks = settings
        .iter()
        .zip(detectors)
        .filter_map(|(settings, detector)| Some((settings.kind(), detector.memory_bank()?)));
    let (Some((kind, bank)), Some(sheet)) = (banks.next(), model.patches()) else {
        return Ok(Vec::new());
    };
    let sheet = segad_imaging::decode(sheet)?;
    let grid = bank.grid();
    let size = bank.image_size();
    let found = bank
        .nearest(image)
        .map_err(|e| ProductError::detector(kind, e))?;
    let mut order: Vec<usize> = (0..found.len()).collect();
    // Ties by place, so that the same image always gives the same pictures.
    order.sort_by(|&a, &b| found[b].0.total_cmp(&found[a].0).then(a.cmp(&b)));
    let mut chosen: Vec<usize> = Vec::new();
    // Half a picture apart, so that the pictures show different things.
    let apart = (SIDE * grid / size / 2).max(1);
    for place in order {
        let near = |&other: &usize| {
            (place / grid).abs_diff(other / grid) <= apart
                && (place % grid).abs_diff(other % grid) <= apart
        };
        if !chosen.iter().any(near) {
            chosen.push(place);
        }
        if chosen.len() == count {
            break;
        }
    }
    // As the network saw it: the good patches were cut at this size.
    let small = segad_imaging::resize_bilinear(image, size, size)?;
    let mut neighbours = Vec::with_capacity(chosen.len());
    for place in chosen {
        let (distance, row) = found[place];
        neighbours.push(Neighbour {
            centre: [
                centre(place / grid, grid, image.height()),
                centre(place % grid, grid, image.width()),
            ],
            distance,
            here: crop(&small, place, grid)?,
            nearest: cut(&sheet, row)?,
        });
    }
    Ok(neighbours)
}

/// Picture `row` of a sheet.
fn cut(sheet: &Image, row: usize) -> Result<Image> {
    let [top, left] = corner(row);
    let pixels = (0..SIDE * SIDE).flat_map(|i| {
        sheet
            .pixel(top + i / SIDE, left + i % SIDE)
            .unwrap_or_default()
    });
    Ok(Image::from_rgb(SIDE, SIDE, pixels.collect())?)
}
