//! Seconds for the features of one 256×256 map with 7 segments, one thread.
//! `statistics_reference.py` times the numpy and scipy loop on the same values; the quotient of the
//! two is what counts on a machine that others use too.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use segad_core::{AnomalyMap, LabelMap};
use segad_features::{FeatureExtractor, FeatureParams, Numerics, Scratch, SegmentIndex};
use std::hint::black_box;

const SIDE: usize = 256;
const SEGMENTS: usize = 7;
/// Several maps, so that the branch predictor does not learn one by heart.
const MAPS: usize = 16;

fn map(k: usize) -> Vec<f32> {
    let unit = |i: usize| (i as u64 * 2_654_435_761 + 40_503) as u32 as f64 / 4_294_967_296.0;
    (0..SIDE * SIDE)
        .map(|i| {
            let (a, b) = (unit(i * MAPS + k), unit(i * MAPS + k + 7_919));
            (a * b + 0.1 * a) as f32
        })
        .collect()
}

/// Six blobs of 64×64 pixels on a background.
fn labels() -> Vec<u8> {
    let blob = |x: usize, y: usize| {
        let inside = x % 85 < 64 && y % 128 < 64 && x < 255;
        if inside {
            1 + (x / 85 + 3 * (y / 128)) as u8
        } else {
            0
        }
    };
    (0..SIDE * SIDE).map(|i| blob(i % SIDE, i / SIDE)).collect()
}

fn statistics(c: &mut Criterion) {
    let maps: Vec<AnomalyMap> = (0..MAPS)
        .filter_map(|k| AnomalyMap::new(SIDE, SIDE, map(k)).ok())
        .collect();
    assert_eq!(maps.len(), MAPS);
    let label_map = LabelMap::new(SIDE, SIDE, labels(), SEGMENTS as u8).expect("labels below 7");
    let index = SegmentIndex::new(&label_map).expect("few pixels");
    let segments: Vec<String> = (0..SEGMENTS).map(|s| s.to_string()).collect();
    let mut group = c.benchmark_group("statistics_256x256_7");
    for numerics in [Numerics::Exact, Numerics::Fast] {
        let params = FeatureParams {
            numerics,
            ..Default::default()
        }
        .check()
        .expect("defaults are sound");
        let extractor =
            FeatureExtractor::new(params, &["m".to_owned()], &segments).expect("names are sound");
        let mut scratch = Scratch::default();
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(numerics), |b| {
            b.iter(|| {
                turn = (turn + 1) % MAPS;
                extractor
                    .row(&[black_box(&maps[turn])], &index, &mut scratch)
                    .expect("sizes fit")
            });
        });
    }
    group.bench_function("index", |b| {
        b.iter(|| SegmentIndex::new(black_box(&label_map)))
    });
    group.finish();
}

criterion_group!(benches, statistics);
criterion_main!(benches);
