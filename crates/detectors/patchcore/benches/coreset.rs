//! `cargo xtask bench coreset`: the greedy selection against the plain algorithm in the same
//! arithmetic, both on one thread, on 100 000 patches of real cells (ELPV, EfficientNet-Lite2)
//! where both are in the cache, else on made-up clusters.
//!
//! Arguments: `--patches N`, `--ratio R`, `--turns N`.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks and folders"
)]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use segad_core::{BoxError, FitContext, Image, Seed};
use segad_detector_patchcore::coreset::{Rows, dense, greedy};
use segad_detector_patchcore::{PatchCore, PatchCoreSettings};
use segad_nn::model::Settings;
use segad_nn::{BackboneKind, Weights, set_threads};
use segad_provision::Cache;
use std::time::Instant;

fn main() -> Result<(), BoxError> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    let option = |name: &str| {
        words
            .iter()
            .position(|w| w == name)
            .and_then(|i| words.get(i + 1))
    };
    let patches: usize = option("--patches").map_or(Ok(100_000), |v| v.parse())?;
    let ratio: f64 = option("--ratio").map_or(Ok(0.01), |v| v.parse())?;
    let turns: usize = option("--turns").map_or(Ok(3), |v| v.parse())?;
    set_threads(1);
    let (values, dim, what) = match real(patches)? {
        Some((values, dim)) => (values, dim, "patches of ELPV cells, EfficientNet-Lite2"),
        None => (
            clusters(patches, 168),
            168,
            "made-up rows: ELPV or the weights are not in the cache",
        ),
    };
    let rows = Rows::new(&values, dim);
    let count = (rows.len() as f64 * ratio) as usize;
    println!(
        "{} rows of {dim} ({what}), {count} are chosen, one thread",
        rows.len()
    );
    let (mut fast, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        let start = clock();
        let found = greedy(rows, count, 7, &mut |_| true)?;
        fast.push(clock() - start);
        let start = clock();
        let expected = dense(rows, count, 7);
        plain.push(clock() - start);
        if found != expected {
            return Err("the lists differ".into());
        }
        println!(
            "plain {:.3} s, greedy {:.3} s",
            plain[plain.len() - 1],
            fast[fast.len() - 1]
        );
    }
    let (plain, fast) = (median(plain), median(fast));
    println!(
        "same indices; {:.1} times as fast (medians, seconds of processor time: {plain:.3}, {fast:.3})",
        plain / fast
    );
    Ok(())
}

/// Seconds that this thread has spent on a processor, so that other work on the machine does not
/// count; wall time where the system does not tell.
fn clock() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|t| t.split_whitespace().next()?.parse::<f64>().ok());
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    nanos.map_or_else(
        || START.get_or_init(Instant::now).elapsed().as_secs_f64(),
        |n| n / 1e9,
    )
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Patches of as many cells as it takes.
fn real(patches: usize) -> Result<Option<(Vec<f32>, usize)>, BoxError> {
    let cache = Cache::from_env()?;
    let (weights, images) = (
        cache.weights("efficientnet-lite2"),
        cache.data("elpv").join("images"),
    );
    if !weights.exists() || !images.is_dir() {
        return Ok(None);
    }
    let weights = Weights::from_safetensors(&std::fs::read(weights)?)?;
    let settings = PatchCoreSettings {
        backbone: BackboneKind::EfficientnetLite2,
        ..Default::default()
    };
    let detector = PatchCore::new(settings.checked()?, weights)?;
    let mut files: Vec<_> = std::fs::read_dir(images)?
        .map(|e| Ok(e?.path()))
        .collect::<Result<_, BoxError>>()?;
    files.sort();
    // Cells of all modules.
    let step = (files.len() * 1024 / patches).max(1);
    let images: Vec<Image> = (files.iter().step_by(step).take(patches.div_ceil(1024)))
        .map(|f| Ok(segad_imaging::open(f)?))
        .collect::<Result<_, BoxError>>()?;
    let dim = detector.dim()?;
    let mut values = detector.patches(&images, &FitContext::default())?;
    values.truncate(patches * dim);
    Ok(Some((values, dim)))
}

/// Normal numbers around 300 centres.
fn clusters(n: usize, dim: usize) -> Vec<f32> {
    use rand::Rng;
    let mut rng = Seed(1).rng();
    let mut unit = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let mut normal =
        || ((-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()) as f32;
    let middle: Vec<f32> = (0..300 * dim).map(|_| 3.0 * normal()).collect();
    (0..n * dim)
        .map(|i| middle[i / dim % 300 * dim + i % dim] + normal())
        .collect()
}
