//! Seconds to find segments in 300 good images of 256×256 pixels once their features are at hand:
//! 32×32 places of 64 channels and one anomaly map, every number of segments up to 8 tried.
//! `cargo xtask bench clustered`.

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use segad_core::Seed;
use segad_segments::{ClusteredMode, ClusteredParams, PatchSample, PlaceSums};
use std::hint::black_box;
use std::time::Duration;

const IMAGES: usize = 300;
const SIDE: usize = 32;
const CHANNELS: usize = 64;

/// Features of one image: a pattern that all images share, as much noise, and for one image in
/// three another pattern, so that halves of the images do not quite agree and k-means has to
/// search.
fn features(image: usize) -> Vec<f32> {
    let unit = |i: usize| {
        (i as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29) as f32
            / u64::MAX as f32
    };
    let value = |i: usize| {
        let (place, channel) = (i / CHANNELS, i % CHANNELS);
        let part = (place / SIDE / 7) * 5 + place % SIDE / 7 + usize::from(image.is_multiple_of(3));
        unit(part * CHANNELS + channel) + unit(image * SIDE * SIDE * CHANNELS + i + 1)
    };
    (0..SIDE * SIDE * CHANNELS).map(value).collect()
}

fn clustered(c: &mut Criterion) {
    let images: Vec<Vec<f32>> = (0..IMAGES).map(features).collect();
    let mut group = c.benchmark_group("clustered_300_images");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_millis(1));
    group.bench_function("one_map", |b| {
        let params = ClusteredParams::default();
        b.iter(|| {
            let mut sums =
                PlaceSums::new(SIDE, SIDE, &[CHANNELS, 1], IMAGES).expect("sizes are sound");
            for image in &images {
                let map = |place: &[f32]| place.iter().sum::<f32>();
                let rows = image
                    .chunks(CHANNELS)
                    .flat_map(|p| p.iter().copied().chain([map(p)]));
                sums.push(&rows.collect::<Vec<_>>())
                    .expect("as many values as announced");
            }
            sums.cluster(black_box(&params), 256, 256, Seed(1))
                .expect("enough images")
        });
    });
    group.bench_function("a_map_per_image", |b| {
        let backbone = Some("efficientnet_lite2".to_owned());
        let params = ClusteredParams {
            mode: ClusteredMode::Image,
            backbone,
            ..Default::default()
        };
        b.iter(|| {
            let mut sample = PatchSample::new(CHANNELS, IMAGES, params.patches, Seed(1))
                .expect("sizes are sound");
            images
                .iter()
                .for_each(|i| sample.push(i).expect("as many values as announced"));
            let (clusters, _) = sample
                .cluster(black_box(&params), Seed(1))
                .expect("enough images");
            let map = |i: &Vec<f32>| clusters.label_map(i, (SIDE, SIDE), params.smooth, 256, 256);
            images
                .iter()
                .map(map)
                .collect::<Result<Vec<_>, _>>()
                .expect("a map each")
        });
    });
    group.finish();
}

criterion_group!(benches, clustered);
criterion_main!(benches);
