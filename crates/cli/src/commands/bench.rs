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
use serde_json::json;
use std::num::NonZeroUsize;

pub(super) fn run(args: &Bench) -> Result<(), Failure> {
    segad_nn::set_threads(1);
    let watch = Stopwatch::start();
    let model = open_model(&args.model)?;
    let inspector = Inspector::new(&model, Device::Cpu).map_err(failure)?;
    let load = watch.seconds();
    let images = images(args, &model)?;
    let image = |n: usize| &images[n % images.len()];
    let threads = NonZeroUsize::new(setup::threads(args.threads.map(Into::into)))
        .unwrap_or(NonZeroUsize::MIN);

    let whole = repeat(args.seconds, |n| {
        inspector.inspect(image(n)).map(drop).map_err(failure)
    })?;
    let maps = images
        .iter()
        .map(|i| inspector.maps(i))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failure)?;
    let logits = images
        .iter()
        .map(|i| inspector.logit(i))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failure)?;
    let mut scratch = Default::default();
    let own = repeat(args.seconds, |n| {
        let (maps, logit) = (&maps[n % maps.len()], logits[n % logits.len()]);
        inspector
            .score(image(n), maps, logit, &mut scratch)
            .map(drop)
            .map_err(failure)
    })?;
    segad_nn::set_threads(threads.get());
    let wide = repeat(args.seconds, |n| {
        inspector.inspect(image(n)).map(drop).map_err(failure)
    })?;
    segad_nn::set_threads(1);
    let count = throughput(args.seconds, threads, &model, &images)?;

    let result = json!({
        "model": model.card().name,
        "image": format!("{}×{}", image(0).width(), image(0).height()),
        "load_s": load,
        "latency_ms_1_thread": whole.json(),
        format!("latency_ms_{threads}_threads"): wide.json(),
        "statistics_and_forest_ms": own.json(),
        "throughput_per_s": { "threads": threads.get(), "images": count },
        "peak_memory_mib": machine::peak_memory_mib(),
    });
    if args.json {
        return super::print(&format!("{result}\n"));
    }
    let line = |what: &str, t: &Times| {
        format!(
            "{what}: {:.3} ms (95 % within {:.3} ms, {} runs)\n",
            t.at(0.5),
            t.at(0.95),
            t.0.len()
        )
    };
    super::print(&format!(
        "load: {:.2} s\n{}{}{}throughput, {threads} threads: {count:.1} images/s\npeak memory: {} MiB\n",
        load,
        line("one image, 1 thread", &whole),
        line(&format!("one image, {threads} threads"), &wide),
        line("of it statistics and score", &own),
        machine::peak_memory_mib()
    ))
}

fn images(args: &Bench, model: &Model) -> Result<Vec<Image>, Failure> {
    let images = match &args.images {
        None => model.samples().map_err(failure)?,
        Some(folder) => {
            let files = image_files(folder).map_err(Failure::input)?;
            files
                .iter()
                .take(64)
                .map(|f| segad_imaging::open(f))
                .collect::<Result<_, _>>()
                .map_err(Failure::input)?
        }
    };
    if images.is_empty() {
        return Err(Failure::NothingSelected(
            "there is no image to measure with".to_owned(),
        ));
    }
    Ok(images)
}

/// Milliseconds, ascending.
struct Times(Vec<f64>);

impl Times {
    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    fn json(&self) -> serde_json::Value {
        json!({ "median": self.at(0.5), "p95": self.at(0.95), "runs": self.0.len() })
    }
}

/// Runs it for so long, at least three times, after one run that does not count.
fn repeat(
    seconds: f64,
    mut run: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<Times, Failure> {
    run(0)?;
    let (whole, mut times) = (Stopwatch::start(), Vec::new());
    while times.len() < 3 || whole.seconds() < seconds {
        let one = Stopwatch::start();
        run(times.len())?;
        times.push(1e3 * one.seconds());
    }
    times.sort_by(f64::total_cmp);
    Ok(Times(times))
}

/// Images a second with all threads, each with an image of its own.
fn throughput(
    seconds: f64,
    threads: NonZeroUsize,
    model: &Model,
    images: &[Image],
) -> Result<f64, Failure> {
    let (mut watch, mut count, mut end) = (Stopwatch::start(), 0usize, 0.0);
    let warm = 2 * threads.get();
    let start = || Inspector::new(model, Device::Cpu);
    let work = |inspector: &mut Inspector, n: usize| {
        inspector.inspect(&images[n % images.len()]).map(drop)
    };
    let mut problem = None;
    let sink = |done: segad_product::Result<()>| {
        if let Err(e) = done {
            problem = Some(e);
            return false;
        }
        count += 1;
        if count == warm {
            watch = Stopwatch::start();
        }
        end = watch.seconds();
        count <= warm || end < seconds
    };
    ordered(threads, 0.., start, work, sink).map_err(failure)?;
    match problem {
        Some(e) => Err(failure(e)),
        None => Ok((count - warm) as f64 / end),
    }
}
