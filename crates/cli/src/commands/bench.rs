//! `bench`: how fast a model is on this machine.

use super::fit::failure;
use super::inspect::open_model;
use super::setup;
use crate::stream::ordered;
use segad_args::Bench;
use segad_core::{Device, Image};
use segad_product::{Inspector, Model};
use segad_runner::Failure;
use segad_runner::clock::Stopwatch;
use segad_runner::folder::image_files;
use segad_runner::machine;
use serde_json::{Value, json};
use std::num::NonZeroUsize;

/// Images of a folder that are measured with, at most: they are all kept in memory.
const IMAGES: usize = 64;

pub(super) fn run(args: &Bench) -> Result<(), Failure> {
    // The first latency is one thread's, whatever libtorch would take by itself.
    segad_nn::set_threads(1);
    let watch = Stopwatch::start();
    let model = open_model(&args.model)?;
    let inspector = Inspector::new(&model, Device::Cpu).map_err(failure)?;
    let load = watch.seconds();
    let images = images(args, &model)?;
    let threads = setup::threads(args.threads);

    let one_thread = time_inspections(&inspector, &images, args.seconds)?;
    let scoring = time_scoring(&inspector, &images, args.seconds)?;
    segad_nn::set_threads(threads.get());
    let all_threads = time_inspections(&inspector, &images, args.seconds)?;
    segad_nn::set_threads(1);
    let rate = throughput(args.seconds, threads, &model, &images)?;

    if args.json {
        let result = json!({
            "model": model.card().name,
            "image": format!("{}×{}", images[0].width(), images[0].height()),
            "load_s": load,
            "latency_ms_1_thread": one_thread.json(),
            format!("latency_ms_{threads}_threads"): all_threads.json(),
            "statistics_and_forest_ms": scoring.json(),
            "throughput_per_s": { "threads": threads.get(), "images": rate },
            "peak_memory_mib": machine::peak_memory_mib(),
        });
        return super::print(&format!("{result}\n"));
    }
    super::print(&format!(
        "load: {load:.2} s\n\
         one image, 1 thread: {one_thread}\n\
         one image, {threads} threads: {all_threads}\n\
         of which statistics and score: {scoring}\n\
         throughput, {threads} threads: {rate:.1} images/s\n\
         peak memory: {} MiB\n",
        machine::peak_memory_mib()
    ))
}

fn images(args: &Bench, model: &Model) -> Result<Vec<Image>, Failure> {
    let Some(folder) = &args.images else {
        return model.samples().map_err(failure);
    };
    let mut images = Vec::new();
    for file in image_files(folder)
        .map_err(Failure::input)?
        .iter()
        .take(IMAGES)
    {
        let bytes = segad_imaging::read_image(file)?;
        let decoded = segad_imaging::read(&bytes, &model.card().reading);
        images.push(decoded.map_err(|e| e.at(file))?.image);
    }
    if images.is_empty() {
        return Err(Failure::NothingSelected(format!(
            "{}: no images to measure with",
            folder.display()
        )));
    }
    Ok(images)
}

/// Milliseconds, ascending.
struct Times(Vec<f64>);

impl Times {
    fn quantile(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    fn json(&self) -> Value {
        json!({ "median": self.quantile(0.5), "p95": self.quantile(0.95), "runs": self.0.len() })
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let median = self.quantile(0.5);
        let p95 = self.quantile(0.95);
        let runs = self.0.len();
        write!(f, "{median:.3} ms (95 % within {p95:.3} ms, {runs} runs)")
    }
}

fn time_inspections(
    inspector: &Inspector,
    images: &[Image],
    seconds: f64,
) -> Result<Times, Failure> {
    repeat(seconds, |n| {
        inspector
            .inspect(&images[n % images.len()])
            .map(drop)
            .map_err(failure)
    })
}

/// Statistics and the head alone, on what the networks made of the images.
fn time_scoring(inspector: &Inspector, images: &[Image], seconds: f64) -> Result<Times, Failure> {
    let mut ready = Vec::with_capacity(images.len());
    for image in images {
        ready.push((image, inspector.observe(image).map_err(failure)?));
    }
    let mut scratch = Default::default();
    repeat(seconds, |n| {
        let (image, observation) = &ready[n % ready.len()];
        inspector
            .score(image, observation, &mut scratch)
            .map(drop)
            .map_err(failure)
    })
}

/// Runs it for so long, at least three times, after one run that does not count.
fn repeat(
    seconds: f64,
    mut run: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<Times, Failure> {
    // The first call pays for what the later ones find warm: caches, libtorch's plans.
    run(0)?;
    let total = Stopwatch::start();
    let mut times = Vec::new();
    // A slow model still gets a median.
    while times.len() < 3 || total.seconds() < seconds {
        let watch = Stopwatch::start();
        run(times.len())?;
        times.push(1e3 * watch.seconds());
    }
    times.sort_by(f64::total_cmp);
    Ok(Times(times))
}

/// Images per second with all threads, each on images of its own.
fn throughput(
    seconds: f64,
    threads: NonZeroUsize,
    model: &Model,
    images: &[Image],
) -> Result<f64, Failure> {
    let mut watch = Stopwatch::start();
    let mut count = 0;
    let mut end = 0.0;
    // Each thread's first inspections allocate what later ones reuse.
    let warm_up = 2 * threads.get();
    ordered(
        threads,
        0..,
        || Inspector::new(model, Device::Cpu).map_err(failure),
        |inspector, n: usize| inspector.inspect(&images[n % images.len()]).map(drop),
        |done| {
            done.map_err(failure)?;
            count += 1;
            if count == warm_up {
                watch = Stopwatch::start();
            }
            end = watch.seconds();
            Ok(count <= warm_up || end < seconds)
        },
    )?;
    Ok((count - warm_up) as f64 / end)
}
