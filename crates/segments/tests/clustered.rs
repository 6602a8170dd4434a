//! Segments found from good images.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use rand::Rng;
use segad_core::Seed;
use segad_segments::{
    ClusteredMode, ClusteredParams, PatchSample, PlaceSums, SegmentsError, Stability,
};

/// A product of four quarters with textures of their own: `values` of `channels` channels at 16 ×
/// 16 places.
fn quarters(image: u64, channels: usize, shift: usize) -> Vec<f32> {
    let mut rng = Seed(image).derive("noise").rng();
    let mut noise = || (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
    let mut values = Vec::new();
    for place in 0..256 {
        let (y, x) = ((place / 16 + shift) % 16, (place % 16 + shift) % 16);
        let quarter = y / 8 * 2 + x / 8;
        values.extend((0..channels).map(|c| if c % 4 == quarter { 3.0 } else { 0.0 } + noise()));
    }
    values
}

fn sums(images: u64) -> PlaceSums {
    let mut sums = PlaceSums::new(16, 16, &[8, 1], images as usize).unwrap();
    for i in 0..images {
        let features = quarters(i, 8, 0);
        let values: Vec<f32> = features
            .chunks(8)
            .flat_map(|row| [row, &[row[0] * 0.1]].concat())
            .collect();
        sums.push(&values).unwrap();
    }
    sums
}

#[test]
fn the_quarters_of_a_product_are_found() {
    let params = ClusteredParams {
        position: 0.0,
        ..Default::default()
    };
    let found = sums(20).cluster(&params, 64, 64, Seed(3)).unwrap();
    assert_eq!(found.report.segments, 4, "{:?}", found.report);
    assert_eq!(
        found.names,
        ["cluster 1", "cluster 2", "cluster 3", "cluster 4"]
    );
    // Named in the order of appearance: as read. Where four quarters meet, noise may move a border
    // by a pixel.
    let label = |place: usize| place / 64 / 32 * 2 + place % 64 / 32;
    let wrong = (0..64 * 64)
        .filter(|&p| usize::from(found.map.labels()[p]) != label(p))
        .count();
    assert!(
        wrong < 20,
        "{wrong} pixels of 4096 are in the wrong quarter"
    );
    let Stability {
        segments,
        agreement,
    } = found.report.stability[2];
    assert!(segments == 4 && agreement > 0.99);
    let five = found.report.stability[3];
    assert!(five.agreement < 0.9, "{five:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let params = ClusteredParams::default();
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| sums(12).cluster(&params, 40, 40, Seed(seed)).unwrap())
    };
    let (one, three) = (run(1, 7), run(3, 7));
    assert_eq!(one.map, three.map);
    assert_eq!(one.report, three.report);
}

#[test]
fn too_small_clusters_fall_to_their_neighbours() {
    // One place of 256 stands out; at 32 × 32 pixels it is 4 pixels, fewer than 64.
    let mut sums = PlaceSums::new(16, 16, &[2], 4).unwrap();
    for _ in 0..4 {
        let one = |p: usize| {
            if p == 100 {
                [90.0, 0.0]
            } else {
                [f32::from(u8::from(p % 16 > 7)), 0.5]
            }
        };
        sums.push(&(0..256).flat_map(one).collect::<Vec<_>>())
            .unwrap();
    }
    let params = ClusteredParams {
        segments: Some(3),
        smooth: 0.0,
        position: 0.01,
        ..Default::default()
    };
    let found = sums.cluster(&params, 32, 32, Seed(1)).unwrap();
    assert!(
        found.map.areas().iter().all(|&a| a >= 64),
        "{:?}",
        found.map.areas()
    );
    assert!(
        found
            .report
            .notes
            .iter()
            .any(|n| n.contains("fewer than 64")),
        "{:?}",
        found.report
    );
    assert_eq!(found.report.segments, found.names.len());
}

#[test]
fn patches_are_told_apart_wherever_they_lie() {
    let params = ClusteredParams {
        mode: ClusteredMode::Image,
        backbone: Some("resnet18".into()),
        smooth: 0.0,
        ..Default::default()
    };
    let mut sample = PatchSample::new(8, 10, 1000, Seed(5)).unwrap();
    (0..10).for_each(|i| sample.push(&quarters(i, 8, i as usize)).unwrap());
    let (clusters, report) = sample.cluster(&params, Seed(5)).unwrap();
    assert_eq!(clusters.names.len(), 4, "{report:?}");
    let of = |shift: usize| {
        clusters
            .label_map(&quarters(77, 8, shift), (16, 16), 0.0, 16, 16)
            .unwrap()
    };
    let (still, moved) = (of(0), of(5));
    for place in 0..256 {
        let (y, x) = (place / 16, place % 16);
        let from = (y + 5) % 16 * 16 + (x + 5) % 16;
        assert_eq!(moved.labels()[place], still.labels()[from]);
    }
    assert_eq!(still.areas(), [64; 4]);
    let json = serde_json::to_string(&clusters).unwrap();
    assert_eq!(
        serde_json::from_str::<segad_segments::PatchClusters>(&json).unwrap(),
        clusters
    );
    assert!(matches!(
        clusters.label_map(&[0.0; 7], (1, 1), 0.0, 8, 8),
        Err(SegmentsError::Channels { expected: 8, .. })
    ));
}

#[test]
fn bad_input_is_named() {
    assert!(matches!(
        PlaceSums::new(4, 4, &[1], 3),
        Err(SegmentsError::TooFewGood {
            found: 3,
            needed: 4
        })
    ));
    assert!(PlaceSums::new(0, 4, &[1], 9).is_err());
    assert!(PlaceSums::new(4, 4, &[1, 0], 9).is_err());
    let mut sums = PlaceSums::new(2, 2, &[1], 4).unwrap();
    assert!(matches!(
        sums.push(&[0.0; 5]),
        Err(SegmentsError::Channels {
            actual: 5,
            expected: 4,
            ..
        })
    ));
    assert!(
        sums.cluster(&ClusteredParams::default(), 8, 8, Seed(0))
            .is_err()
    );
    let wrong = |change: fn(&mut ClusteredParams)| {
        let mut params = ClusteredParams::default();
        change(&mut params);
        params.check().unwrap_err().to_string()
    };
    assert!(wrong(|p| p.segments = Some(1)).contains("segments"));
    assert!(wrong(|p| p.stability = 0.0).contains("stability"));
    assert!(wrong(|p| p.mode = ClusteredMode::Image).contains("backbone"));
    assert!(wrong(|p| p.maps = false).contains("maps"));
    assert!(wrong(|p| p.smooth = 1.0).contains("smooth"));
}

#[test]
fn three_hundred_images_take_seconds() {
    // As for 300 images at 256² with the features of stride 8 at hand: 32 × 32 places of 64
    // channels and one map.
    let mut sums = PlaceSums::new(32, 32, &[64, 1], 300).unwrap();
    let image: Vec<f32> = (0..32 * 32 * 65)
        .map(|i| ((i * 7919) % 1013) as f32 / 1013.0)
        .collect();
    for i in 0..300 {
        let values: Vec<f32> = image.iter().map(|v| v + (i % 7) as f32 * 0.01).collect();
        sums.push(&values).unwrap();
    }
    let params = ClusteredParams {
        most: 4,
        ..Default::default()
    };
    let found = sums.cluster(&params, 256, 256, Seed(1)).unwrap();
    assert!(found.report.segments >= 1);
}
