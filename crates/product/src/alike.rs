//! Images that look alike, where nobody named groups: several pictures of one piece make every
//! figure too good if they end up on both sides of a split.
//!
//! Thumbnails without their low frequencies are compared in all eight orientations. A pair counts
//! as alike if what sets the two apart from the mean image agrees, as a whole and in most places,
//! and if they are much nearer to each other than to most images like them.

use crate::error::Result;
use crate::units::{join, root};
use rayon::prelude::*;
use segad_core::{Image, Label};
use std::collections::BTreeMap;

/// Side of a thumbnail in pixels.
const SIDE: usize = 32;
/// Reach of the mean that is taken off a pixel, to each side.
const REACH: usize = 2;
/// Least correlation of what sets two images apart from the mean image.
const CORRELATION: f32 = 0.95;
/// Side of a block in pixels.
const BLOCK: usize = 8;
/// Least correlation in three quarters of the blocks.
const EVERYWHERE: f32 = 0.8;
/// A pair is nearer than this share of the distance to the image at [`FAR`].
const NEARER: f32 = 0.2;
/// Where among its neighbours an image is that is not meant to be the same piece: 1/4 of all.
const FAR: usize = 4;
/// Fewer images have no neighbours to compare with.
const FEWEST: usize = 10;
/// More images would take minutes.
const MOST: usize = 3000;

/// A small grey image without low frequencies, of mean 0 and length 1 (or 0 everywhere).
pub(crate) struct Thumbnail(Vec<f32>);

impl Thumbnail {
    pub(crate) fn new(image: &Image) -> Result<Self> {
        let small = segad_imaging::resize_bilinear(image, SIDE, SIDE)?;
        let grey: Vec<f32> = small
            .rgb()
            .chunks_exact(3)
            .map(|c| c.iter().map(|&v| f32::from(v)).sum())
            .collect();
        let mut values: Vec<f32> = (0..SIDE * SIDE)
            .map(|i| grey[i] - around(&grey, i))
            .collect();
        normalise(&mut values);
        Ok(Self(values))
    }
}

/// The mean of the pixels around this one.
fn around(grey: &[f32], at: usize) -> f32 {
    let span = |middle: usize| middle.saturating_sub(REACH)..(middle + REACH + 1).min(SIDE);
    let columns = span(at % SIDE);
    let rows = span(at / SIDE);
    let count = (rows.len() * columns.len()) as f32;
    let values = rows.flat_map(|y| &grey[y * SIDE..][columns.clone()]);
    values.sum::<f32>() / count
}

fn normalise(values: &mut [f32]) {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|v| *v -= mean);
    let length = dot(values, values).sqrt();
    // What is left of a flat image is rounding.
    let scale = if length > 1e-3 { 1.0 / length } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= scale);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Where pixel `at` of a turned or mirrored thumbnail comes from.
fn source(orientation: usize, at: usize) -> usize {
    let last = SIDE - 1;
    let mut place = [at / SIDE, at % SIDE];
    if orientation & 1 != 0 {
        place.swap(0, 1);
    }
    if orientation & 2 != 0 {
        place[0] = last - place[0];
    }
    if orientation & 4 != 0 {
        place[1] = last - place[1];
    }
    place[0] * SIDE + place[1]
}

/// Pairs of images of one label that look alike.
pub(crate) fn pairs(thumbnails: &[&Thumbnail], labels: &[Label]) -> Vec<[usize; 2]> {
    if !(FEWEST..=MOST).contains(&labels.len()) {
        return Vec::new();
    }
    let members: Vec<&[f32]> = thumbnails.iter().map(|t| &t.0[..]).collect();
    let found = pairs_among(&members, labels);
    let mut kept = Vec::new();
    for label in [Label::Good, Label::Bad] {
        let own = found.iter().filter(|[a, _]| labels[*a] == label);
        let own: Vec<[usize; 2]> = own.copied().collect();
        let images = labels.iter().filter(|l| **l == label).count();
        // Where half of the images hang together, looks do not tell pieces apart.
        if largest_group(labels.len(), &own) * 2 <= images {
            kept.extend(own);
        }
    }
    kept
}

/// What sets a thumbnail apart from the mean one.
fn apart(values: impl Iterator<Item = f32>, mean: &[f32]) -> Vec<f32> {
    let mut rest: Vec<f32> = values.zip(mean).map(|(v, m)| v - m).collect();
    normalise(&mut rest);
    rest
}

/// The thumbnail in one of the eight orientations.
fn turned(values: &[f32], orientation: usize) -> impl Iterator<Item = f32> {
    (0..values.len()).map(move |at| values[source(orientation, at)])
}

fn pairs_among(members: &[&[f32]], labels: &[Label]) -> Vec<[usize; 2]> {
    let good: Vec<usize> = (0..labels.len()).filter(|&i| !labels[i].is_bad()).collect();
    // Of good images: a mean of few bad ones would be like each of them.
    let mut mean = vec![0.0; SIDE * SIDE];
    for &i in &good {
        for (m, v) in mean.iter_mut().zip(members[i]) {
            *m += v / good.len() as f32;
        }
    }
    let rests: Vec<Vec<f32>> = members
        .iter()
        .map(|m| apart(m.iter().copied(), &mean))
        .collect();
    let found = (0..members.len()).into_par_iter().map(|i| {
        let mut near = vec![f32::NEG_INFINITY; members.len()];
        let mut agree = vec![(f32::NEG_INFINITY, 0); members.len()];
        for orientation in 0..8 {
            let own: Vec<f32> = turned(members[i], orientation).collect();
            let rest = apart(own.iter().copied(), &mean);
            for j in (0..members.len()).filter(|&j| j != i) {
                near[j] = near[j].max(dot(&own, members[j]));
                let correlation = dot(&rest, &rests[j]);
                if correlation > agree[j].0 {
                    agree[j] = (correlation, orientation);
                }
            }
        }
        let mut sorted = near.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let far = 1.0 - sorted[(members.len() / FAR).max(2)];
        let alike = |&j: &usize| {
            let (correlation, orientation) = agree[j];
            let rest = || apart(turned(members[i], orientation), &mean);
            labels[i] == labels[j]
                && correlation >= CORRELATION
                && 1.0 - near[j] <= NEARER * far
                && agree_everywhere(&rest(), &rests[j])
        };
        (i + 1..members.len())
            .filter(alike)
            .map(|j| [i, j])
            .collect::<Vec<_>>()
    });
    found.collect::<Vec<_>>().concat()
}

/// Whether most blocks agree by themselves: the same defect at the same place of two pieces agrees
/// in one block only.
fn agree_everywhere(a: &[f32], b: &[f32]) -> bool {
    let blocks = SIDE / BLOCK;
    let mut correlations = Vec::with_capacity(blocks * blocks);
    for block in 0..blocks * blocks {
        let corner = block / blocks * BLOCK * SIDE + block % blocks * BLOCK;
        let cut = |values: &[f32]| {
            let rows = (0..BLOCK).flat_map(|y| &values[corner + y * SIDE..][..BLOCK]);
            let mut own: Vec<f32> = rows.copied().collect();
            normalise(&mut own);
            own
        };
        correlations.push(dot(&cut(a), &cut(b)));
    }
    correlations.sort_by(f32::total_cmp);
    correlations[correlations.len() / 4] >= EVERYWHERE
}

fn largest_group(count: usize, pairs: &[[usize; 2]]) -> usize {
    let mut parent: Vec<usize> = (0..count).collect();
    pairs.iter().for_each(|&[a, b]| join(&mut parent, a, b));
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for i in 0..count {
        *sizes.entry(root(&mut parent, i)).or_default() += 1;
    }
    sizes.into_values().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use segad_core::Seed;

    /// A piece with a texture of its own on a frame that all share, in this light, seen with noise.
    fn piece(number: u64, light: f32, noise: u64) -> Image {
        let mut texture = Seed(number).rng();
        let mut grain = Seed(noise).derive("grain").rng();
        let blocks: Vec<f32> = (0..256)
            .map(|_| (texture.next_u32() >> 26) as f32)
            .collect();
        let pixel = |i: usize| {
            let (y, x) = (i / 64, i % 64);
            let frame = if y < 6 || x < 6 { 60.0 } else { 0.0 };
            let value = 60.0 + frame + blocks[y / 4 * 16 + x / 4];
            (value * light + (grain.next_u32() >> 30) as f32) as u8
        };
        Image::from_grey(64, 64, &(0..4096).map(pixel).collect::<Vec<_>>()).unwrap()
    }

    fn rotated(image: &Image) -> Image {
        let rgb = (0..4096).flat_map(|i| image.pixel(i % 64, 63 - i / 64).unwrap());
        Image::from_rgb(64, 64, rgb.collect()).unwrap()
    }

    /// Pairs among images of which the last `bad` are bad.
    fn found(images: &[Image], bad: usize) -> Vec<[usize; 2]> {
        let thumbnails: Vec<Thumbnail> =
            images.iter().map(|i| Thumbnail::new(i).unwrap()).collect();
        let thumbnails: Vec<&Thumbnail> = thumbnails.iter().collect();
        let mut labels = vec![Label::Good; images.len() - bad];
        labels.resize(images.len(), Label::Bad);
        pairs(&thumbnails, &labels)
    }

    #[test]
    fn further_pictures_of_a_piece_are_found_and_other_pieces_are_not() {
        let mut images: Vec<Image> = (0..20).map(|n| piece(n, 1.0, n)).collect();
        assert_eq!(found(&images, 0), [[0usize; 2]; 0]);
        images.push(piece(3, 0.8, 99)); // darker
        images.push(rotated(&piece(7, 1.0, 100)));
        assert_eq!(found(&images, 0), [[3, 20], [7, 21]]);
        // A good and a bad picture of one piece stay apart: one of them may be labelled wrongly.
        assert_eq!(found(&images, 1), [[3, 20]]);
    }

    #[test]
    fn the_same_defect_at_the_same_place_is_not_the_same_piece() {
        let mut images: Vec<Image> = (0..20).map(|n| piece(n, 1.0, n)).collect();
        for n in 20..24 {
            let mut rgb = piece(n, 1.0, n).rgb().to_vec();
            for (i, value) in rgb.iter_mut().enumerate() {
                let (y, x) = (i / 3 / 64, i / 3 % 64);
                // A bright mark that outweighs all texture.
                if (40..48).contains(&y) && (8..16).contains(&x) {
                    *value = if (x + y) % 8 < 4 { 255 } else { 0 };
                }
            }
            images.push(Image::from_rgb(64, 64, rgb).unwrap());
        }
        assert_eq!(found(&images, 4), [[0usize; 2]; 0]);
    }

    #[test]
    fn looks_that_tell_no_pieces_apart_are_not_used() {
        // Two variants of a product: all of one variant look alike.
        let images: Vec<Image> = (0..20).map(|n| piece(n % 2, 1.0, n)).collect();
        assert_eq!(found(&images, 0), [[0usize; 2]; 0]);
        let flat = vec![Image::from_grey(8, 8, &[7; 64]).unwrap(); 12];
        assert_eq!(found(&flat, 0), [[0usize; 2]; 0]);
    }
}
