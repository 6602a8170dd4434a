//! The features of 1000 maps of 256×256 with 7 segments, on one thread, without Python:
//! `benches/head.py` times it beside the package. Prints seconds.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures seconds and prints them"
)]

use segad_core::{AnomalyMap, LabelMap};
use segad_features::{FeatureExtractor, FeatureParams, Scratch, SegmentIndex};
use std::error::Error;
use std::time::Instant;

const SIDE: usize = 256;
const SEGMENTS: usize = 7;
const MAPS: usize = 16;
const IMAGES: usize = 1000;

/// The maps of `crates/features/benches`.
fn map(k: usize) -> Vec<f32> {
    let unit = |i: usize| (i as u64 * 2_654_435_761 + 40_503) as u32 as f64 / 4_294_967_296.0;
    let value = |i: usize| {
        let (a, b) = (unit(i * MAPS + k), unit(i * MAPS + k + 7_919));
        (a * b + 0.1 * a) as f32
    };
    (0..SIDE * SIDE).map(value).collect()
}

fn label(i: usize) -> u8 {
    let (x, y) = (i % SIDE, i / SIDE);
    let inside = x % 85 < 64 && y % 128 < 64 && x < 255;
    if inside {
        1 + (x / 85 + 3 * (y / 128)) as u8
    } else {
        0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let maps: Result<Vec<AnomalyMap>, _> = (0..MAPS)
        .map(|k| AnomalyMap::new(SIDE, SIDE, map(k)))
        .collect();
    let maps = maps?;
    let labels = (0..SIDE * SIDE).map(label).collect();
    let index = SegmentIndex::new(&LabelMap::new(SIDE, SIDE, labels, SEGMENTS as u8)?)?;
    let names: Vec<String> = (1..=SEGMENTS).map(|s| format!("segment {s}")).collect();
    let params = FeatureParams::default().check()?;
    let extractor = FeatureExtractor::new(params, &["map 1".to_owned()], &names)?;
    let mut scratch = Scratch::default();
    let start = Instant::now();
    let mut rows = Vec::with_capacity(IMAGES);
    for image in 0..IMAGES {
        rows.push(extractor.row(&[&maps[image % MAPS]], &index, &mut scratch)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    // The sum keeps the work from being optimised away.
    let sum: f32 = rows.iter().flatten().sum();
    println!("{seconds} {sum}");
    Ok(())
}
