//! Segments learned from good images, in experiments and beside them.

use crate::clock::Stopwatch;
use segad_core::{AnomalyMap, BoxError, Image, ImageId, Seed};
use segad_nn::PatchFeatures;
use segad_segments::{
    ClusteredMode, ClusteredParams, ClusteredReport, PatchClusters, PatchSample, PlaceMap,
    PlaceSums,
};

/// Places along each side of the grid where no backbone says how many.
const GRID: usize = 32;

/// What was learned.
pub enum Clusters {
    /// One map for all images.
    One(PlaceMap),
    /// Clusters of patches, for a map per image.
    Each(PatchClusters),
}

/// Gives the pixels of images.
pub type Load<'a> = dyn Fn(&[ImageId]) -> Result<Vec<Image>, BoxError> + 'a;

/// Good images and what is known of them.
pub struct Good<'a> {
    /// Which images.
    pub ids: &'a [ImageId],
    /// How many are looked at together.
    pub batch: usize,
    /// Gives their pixels, batch after batch.
    pub images: &'a Load<'a>,
    /// Detectors whose maps take part.
    pub detectors: usize,
    /// Gives the maps of an image, one of each detector.
    pub maps: &'a dyn Fn(&ImageId) -> Result<Vec<AnomalyMap>, BoxError>,
    /// Told before each batch how many images come; an error stops.
    pub next: &'a dyn Fn(usize) -> Result<(), BoxError>,
}

/// Learns segments from the features of good images and from detectors' maps of them.
pub fn learn(
    params: &ClusteredParams,
    network: Option<&PatchFeatures>,
    good: &Good<'_>,
    seed: Seed,
) -> Result<(Clusters, ClusteredReport), BoxError> {
    match (params.mode, network) {
        (ClusteredMode::Static, network) => places(params, network, good, seed),
        (ClusteredMode::Image, Some(network)) => patches(params, network, good, seed),
        (ClusteredMode::Image, None) => Err("a map per image needs a backbone".into()),
    }
}

fn places(
    params: &ClusteredParams,
    network: Option<&PatchFeatures>,
    good: &Good<'_>,
    seed: Seed,
) -> Result<(Clusters, ClusteredReport), BoxError> {
    let side = network.map_or(GRID, PatchFeatures::side);
    let channels = network.map_or(0, PatchFeatures::channels);
    let groups: Vec<usize> = network
        .map(PatchFeatures::channels)
        .into_iter()
        .chain((0..good.detectors).map(|_| 1))
        .collect();
    let mut sums = PlaceSums::new(side, side, &groups, good.ids.len())?;
    for ids in good.ids.chunks(good.batch) {
        (good.next)(ids.len())?;
        let images = match network {
            Some(network) => network.of(&(good.images)(ids)?)?,
            None => vec![Vec::new(); ids.len()],
        };
        for (id, features) in ids.iter().zip(images) {
            let maps: Vec<Vec<f32>> = (good.maps)(id)?.iter().map(|m| pooled(m, side)).collect();
            let place = |p: usize| {
                let own = features[p * channels..(p + 1) * channels].iter().copied();
                own.chain(maps.iter().map(move |m| m[p]))
                    .collect::<Vec<f32>>()
            };
            sums.push(&(0..side * side).flat_map(place).collect::<Vec<_>>())?;
        }
    }
    let watch = Stopwatch::start();
    let found = sums.cluster(params, params.size, params.size, seed)?;
    tracing::info!(
        images = good.ids.len(),
        seconds = watch.seconds(),
        "clustered"
    );
    let report = found.report.clone();
    Ok((Clusters::One(found), report))
}

fn patches(
    params: &ClusteredParams,
    network: &PatchFeatures,
    good: &Good<'_>,
    seed: Seed,
) -> Result<(Clusters, ClusteredReport), BoxError> {
    let mut sample = PatchSample::new(network.channels(), good.ids.len(), params.patches, seed)?;
    for ids in good.ids.chunks(good.batch) {
        (good.next)(ids.len())?;
        network
            .of(&(good.images)(ids)?)?
            .iter()
            .try_for_each(|values| sample.push(values))?;
    }
    let watch = Stopwatch::start();
    let (clusters, report) = sample.cluster(params, seed)?;
    tracing::info!(
        images = good.ids.len(),
        seconds = watch.seconds(),
        "clustered"
    );
    Ok((Clusters::Each(clusters), report))
}

/// Means of a map over the places of a grid.
fn pooled(map: &AnomalyMap, side: usize) -> Vec<f32> {
    let span = |i: usize, from: usize| {
        let first = i * from / side;
        first..((i + 1) * from / side).max(first + 1)
    };
    let place = |p: usize| {
        let (rows, columns) = (span(p / side, map.height()), span(p % side, map.width()));
        let count = (rows.len() * columns.len()) as f32;
        rows.flat_map(|y| &map.values()[y * map.width()..][columns.clone()])
            .sum::<f32>()
            / count
    };
    (0..side * side).map(place).collect()
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
