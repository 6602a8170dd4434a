//! Fitting and scoring at the size of a VisA class (100 training rows), scoring alone at that of
//! VAD (2000 rows), where one fit takes 10 to 20 seconds.
#![allow(missing_docs, reason = "criterion makes a public function")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use segad_core::{FeatureTable, ImageId, Label, Seed};
use segad_forest::{Forest, ForestParams, Preset};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Normal-like features; the last `bad` rows lie a little higher in the first columns.
fn table(rows: usize, columns: usize, bad: usize) -> (FeatureTable, Vec<Label>) {
    let mut state = 7u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let noise: f32 = (0..4).map(|_| uniform()).sum();
            let lift = if row >= rows - bad && column < 6 {
                0.6 * uniform()
            } else {
                0.0
            };
            values.push(noise + lift);
        }
    }
    let ids = (0..rows).map(|i| ImageId::new(i.to_string())).collect();
    let names = (0..columns).map(|j| format!("f{j}")).collect();
    let labels = (0..rows)
        .map(|i| {
            if i < rows - bad {
                Label::Good
            } else {
                Label::Bad
            }
        })
        .collect();
    (FeatureTable::new(names, ids, values).unwrap(), labels)
}

fn forest(c: &mut Criterion) {
    let one = NonZeroUsize::MIN;
    for (size, rows, columns, bad) in [("100x54", 100, 54, 10), ("2000x113", 2000, 113, 110)] {
        let (table, labels) = table(rows, columns, bad);
        let presets: &[_] = if rows == 100 {
            &[Preset::Brf, Preset::Rf, Preset::Bt]
        } else {
            &[Preset::Brf]
        };
        let mut group = c.benchmark_group(size);
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(5));
        for &preset in presets {
            let params = ForestParams::preset(preset);
            let fit = || Forest::fit(&params, &table, &labels, &[], Seed(333), one).unwrap();
            if rows == 100 {
                group.bench_function(format!("fit {preset:?}"), |b| b.iter(fit));
            }
            let forest = fit();
            let bytes = forest.to_bytes().unwrap();
            println!("{size} {preset:?}: {} bytes", bytes.len());
            group.bench_function(format!("read {preset:?}"), |b| {
                b.iter(|| Forest::from_bytes(&bytes).unwrap())
            });
            let row = table.row(rows / 2);
            group.bench_function(format!("one margin {preset:?}"), |b| {
                b.iter(|| forest.margin(black_box(row)).unwrap())
            });
            group.bench_function(format!("all margins {preset:?}"), |b| {
                b.iter(|| forest.margins(black_box(&table)).unwrap())
            });
            let single = table.select_rows(&[rows / 2]);
            group.bench_function(format!("one row's contributions {preset:?}"), |b| {
                b.iter(|| forest.contributions(black_box(&single)).unwrap())
            });
        }
    }
}

criterion_group!(benches, forest);
criterion_main!(benches);
