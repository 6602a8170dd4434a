//! Segments learned from good images: places, or patches, whose features are alike.

use crate::MethodError;
use segad_core::{AnomalyMap, Device, Image, Precision, Seed};
use segad_nn::method::{Inputs, Pretrained};
use segad_nn::{BackboneKind, PatchFeatures};
use segad_segments::{
    ClusteredMode, ClusteredParams, ClusteredReport, PatchClusters, PatchSample, PlaceMap,
    PlaceSums,
};
use std::ops::Range;

/// Places along each side of the grid where no backbone says how many.
const GRID: usize = 32;

/// What was learned.
pub enum Clusters {
    /// One map for all images.
    One(PlaceMap),
    /// Clusters of patches, for a map per image.
    Each(PatchClusters),
}

/// Good images by their position, and what is known of them. `E` is what can go wrong when they are
/// asked for.
pub trait GoodImages<E> {
    /// How many there are.
    fn count(&self) -> usize;

    /// How many go through the network together.
    fn batch(&self) -> usize;

    /// Called before each batch with the number of its images.
    ///
    /// # Errors
    /// If somebody asked to stop.
    fn advance(&self, images: usize) -> Result<(), E>;

    /// The pixels of these images.
    ///
    /// # Errors
    /// Images that cannot be read.
    fn load(&self, images: Range<usize>) -> Result<Vec<Image>, E>;

    /// How many detectors' maps take part.
    fn detectors(&self) -> usize {
        0
    }

    /// The maps of an image, one of each detector.
    ///
    /// # Errors
    /// Maps that are missing.
    fn maps(&self, image: usize) -> Result<Vec<AnomalyMap>, E> {
        let _ = image;
        Ok(Vec::new())
    }
}

/// The batches of `good`, one after the other.
fn batches<E>(good: &impl GoodImages<E>) -> impl Iterator<Item = Range<usize>> {
    let count = good.count();
    let batch = good.batch();
    (0..count)
        .step_by(batch)
        .map(move |first| first..count.min(first + batch))
}

/// The backbone that the settings ask for, its layers checked.
///
/// # Errors
/// [`MethodError::Network`] for a name or a layer that does not exist.
pub fn backbone(params: &ClusteredParams) -> Result<Option<BackboneKind>, MethodError> {
    let Some(name) = &params.backbone else {
        return Ok(None);
    };
    let kind: BackboneKind = name.parse()?;
    for layer in &params.layers {
        kind.tap(layer)?;
    }
    Ok(Some(kind))
}

/// The network whose features are clustered, if the settings ask for one.
///
/// # Errors
/// [`MethodError::Network`], and [`MethodError::Weights`] for those that are missing or damaged.
pub fn network(
    params: &ClusteredParams,
    inputs: &dyn Inputs,
    seed: Seed,
    place: (Device, Precision),
) -> Result<Option<PatchFeatures>, MethodError> {
    let Some(kind) = backbone(params)? else {
        return Ok(None);
    };
    let weights = inputs
        .weights(&Pretrained::backbone(kind, &params.layers))
        .map_err(MethodError::Weights)?;
    Ok(Some(PatchFeatures::new(
        kind,
        &params.layers,
        &weights,
        params.image_size,
        params.channels,
        seed,
        place,
    )?))
}

/// Learns segments from the features of good images and from detectors' maps of them.
///
/// # Errors
/// [`MethodError::NoBackbone`], the network's, the segments', and those of `good`.
pub fn learn<E: From<MethodError>>(
    params: &ClusteredParams,
    network: Option<&PatchFeatures>,
    good: &impl GoodImages<E>,
    seed: Seed,
) -> Result<(Clusters, ClusteredReport), E> {
    match (params.mode, network) {
        (ClusteredMode::Static, network) => {
            let found = learn_places(params, network, good, seed)?;
            let report = found.report.clone();
            Ok((Clusters::One(found), report))
        }
        (ClusteredMode::Image, Some(network)) => learn_patches(params, network, good, seed),
        (ClusteredMode::Image, None) => Err(MethodError::NoBackbone.into()),
    }
}

/// One map for all images: places whose features are alike over the good images.
///
/// # Errors
/// The network's, the segments', and those of `good`.
pub fn learn_places<E: From<MethodError>>(
    params: &ClusteredParams,
    network: Option<&PatchFeatures>,
    good: &impl GoodImages<E>,
    seed: Seed,
) -> Result<PlaceMap, E> {
    let side = network.map_or(GRID, PatchFeatures::side);
    let channels = network.map_or(0, PatchFeatures::channels);
    // A backbone's channels count together as one group, each detector's map as another.
    let mut groups: Vec<usize> = network.map(PatchFeatures::channels).into_iter().collect();
    groups.resize(groups.len() + good.detectors(), 1);
    let mut sums =
        PlaceSums::new(side, side, &groups, good.count()).map_err(MethodError::Segments)?;
    for images in batches(good) {
        good.advance(images.len())?;
        let features = match network {
            Some(network) => {
                let pixels = good.load(images.clone())?;
                network.of(&pixels).map_err(MethodError::Network)?
            }
            None => vec![Vec::new(); images.len()],
        };
        for (image, features) in images.zip(features) {
            let maps: Vec<Vec<f32>> = good.maps(image)?.iter().map(|m| pooled(m, side)).collect();
            let mut values = Vec::with_capacity(side * side * (channels + maps.len()));
            // Place by place, the network's channels before the detectors' maps, as `groups` says.
            for place in 0..side * side {
                values.extend_from_slice(&features[place * channels..(place + 1) * channels]);
                values.extend(maps.iter().map(|map| map[place]));
            }
            sums.push(&values).map_err(MethodError::Segments)?;
        }
    }
    let found = sums
        .cluster(params, params.size, params.size, seed)
        .map_err(MethodError::Segments)?;
    tracing::info!(images = good.count(), "places clustered");
    Ok(found)
}

fn learn_patches<E: From<MethodError>>(
    params: &ClusteredParams,
    network: &PatchFeatures,
    good: &impl GoodImages<E>,
    seed: Seed,
) -> Result<(Clusters, ClusteredReport), E> {
    let channels = network.channels();
    let mut sample = PatchSample::new(channels, good.count(), params.patches, seed)
        .map_err(MethodError::Segments)?;
    for images in batches(good) {
        good.advance(images.len())?;
        let pixels = good.load(images)?;
        let features = network.of(&pixels).map_err(MethodError::Network)?;
        for values in features {
            sample.push(&values).map_err(MethodError::Segments)?;
        }
    }
    let (clusters, report) = sample
        .cluster(params, seed)
        .map_err(MethodError::Segments)?;
    tracing::info!(images = good.count(), "patches clustered");
    Ok((Clusters::Each(clusters), report))
}

/// Means of a map over the places of a grid.
fn pooled(map: &AnomalyMap, side: usize) -> Vec<f32> {
    let mut means = Vec::with_capacity(side * side);
    for place in 0..side * side {
        let rows = span(place / side, side, map.height());
        let columns = span(place % side, side, map.width());
        let count = (rows.len() * columns.len()) as f32;
        let values = rows.flat_map(|y| &map.values()[y * map.width()..][columns.clone()]);
        means.push(values.sum::<f32>() / count);
    }
    means
}

/// The pixels of place `i` of `side` along an axis of `pixels`; at least one, so that a grid finer
/// than the map repeats its pixels.
fn span(i: usize, side: usize, pixels: usize) -> std::ops::Range<usize> {
    let first = i * pixels / side;
    // At least one pixel, also where the map is smaller than the grid.
    first..((i + 1) * pixels / side).max(first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_averaged_over_places() {
        let map = AnomalyMap::new(4, 4, (0..16).map(|i| i as f32).collect()).unwrap();
        assert_eq!(pooled(&map, 2), [2.5, 4.5, 10.5, 12.5]);
        // A grid finer than the map repeats its pixels.
        assert_eq!(
            pooled(&AnomalyMap::new(1, 2, vec![1.0, 2.0]).unwrap(), 4)[..4],
            [1.0, 1.0, 2.0, 2.0]
        );
    }
}
