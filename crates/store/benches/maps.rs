//! Writing and reading 100 anomaly maps of 256×256. Throughput is in bytes of raw 32-bit floats.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]
#![allow(
    missing_docs,
    reason = "criterion's macros write undocumented functions"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use segad_core::{AnomalyMap, ImageId, Label};
use segad_store::{MapRecord, MapsReader, MapsWriter};
use std::hint::black_box;
use std::path::Path;

const SIDE: usize = 256;
const COUNT: usize = 100;

/// A smooth map with noise in the low bits, as a detector's.
fn record(i: usize) -> MapRecord {
    let wave = |p: usize| {
        let noise = (p as u32).wrapping_mul(0x9e37_79b9) >> 8;
        i as f32
            + ((p % SIDE) as f32 * 0.05).sin() * ((p / SIDE) as f32 * 0.03).cos()
            + noise as f32 * 1e-9
    };
    MapRecord {
        id: ImageId::new(format!("{i}.png")),
        label: Label::Good,
        group: "good".into(),
        split: "test".into(),
        map: AnomalyMap::new(SIDE, SIDE, (0..SIDE * SIDE).map(wave).collect()).unwrap(),
    }
}

fn write(path: &Path, records: &[MapRecord]) {
    let mut writer = MapsWriter::create(path, SIDE, SIDE).unwrap();
    records.iter().for_each(|r| writer.push(r).unwrap());
    writer.finish().unwrap();
}

fn maps(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("maps.parquet");
    let records: Vec<MapRecord> = (0..COUNT).map(record).collect();
    let map_bytes = (SIDE * SIDE * 4) as u64;
    let mut group = c.benchmark_group("maps");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(map_bytes * COUNT as u64));
    group.bench_function("write", |b| b.iter(|| write(&path, &records)));
    let reader = MapsReader::open(&path).unwrap();
    group.bench_function("read in order", |b| {
        b.iter(|| reader.iter(10).filter(Result::is_ok).count())
    });
    group.throughput(Throughput::Bytes(map_bytes));
    let mut next = 0;
    group.bench_function("read one", |b| {
        b.iter(|| {
            next = (next + 37) % COUNT;
            black_box(reader.get(next).unwrap())
        });
    });
    group.bench_function("open", |b| {
        b.iter(|| MapsReader::open(&path).unwrap().len())
    });
    group.finish();
}

criterion_group!(benches, maps);
criterion_main!(benches);
