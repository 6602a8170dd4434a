//! segad's side of `cargo xtask bench detectors`: fits small models, writes what other programs
//! need to rebuild them, then times one pass for each line of standard input.
//!
//! Usage: `bench-detectors FOLDER THREADS BATCH MODEL…`. Lines: `f32 MODEL`, `bf16 MODEL`,
//! `train MODEL`, `products patchcore` (f32, the nearest rows by an exhaustive search). Answers:
//! seconds and seconds of processor time, or `failed: …`.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks and writes files of its own"
)]
#![expect(clippy::print_stdout, reason = "it answers on standard output")]

mod clock;
mod models;

use clock::{Moment, StepClock};
use models::{Maps, STEPS, Zoo};
use segad_core::{BoxError, FitContext, Image, Precision};
use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

/// Seconds and seconds of processor time.
type Seconds = (f64, f64);

struct Bench {
    zoo: Zoo,
    images: Vec<Image>,
    loaded: HashMap<String, Maps>,
}

impl Bench {
    /// What one pass takes.
    fn time_pass(&mut self, model: &str, precision: Precision) -> Result<Seconds, BoxError> {
        let key = format!("{model} {precision}");
        if !self.loaded.contains_key(&key) {
            let maps = self.zoo.load(model, precision)?;
            self.keep(key.clone(), maps)?;
        }
        self.time(&key)
    }

    /// What one pass of PatchCore takes where bounds do not help.
    fn time_products(&mut self) -> Result<Seconds, BoxError> {
        let key = "products";
        if !self.loaded.contains_key(key) {
            let maps = self.zoo.load_products()?;
            self.keep(key.to_owned(), maps)?;
        }
        self.time(key)
    }

    /// Runs a model once, so that timing it measures no start-up, and keeps it loaded.
    fn keep(&mut self, key: String, maps: Maps) -> Result<(), BoxError> {
        maps(&self.images)?;
        self.loaded.insert(key, maps);
        Ok(())
    }

    fn time(&self, key: &str) -> Result<Seconds, BoxError> {
        let start = Moment::now();
        (self.loaded[key])(&self.images)?;
        Ok(Moment::now().since(start))
    }

    /// What one training step from cached features takes: the median of those after the first.
    fn time_step(&self, model: &str) -> Result<Seconds, BoxError> {
        let clock = StepClock::default();
        let ctx = FitContext {
            batch: self.images.len(),
            progress: Arc::new(clock.clone()),
            ..FitContext::default()
        };
        self.zoo.fit(model, STEPS, &ctx)?;
        let mut steps = clock.steps()?;
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let median = steps.get(steps.len() / 2).copied();
        median.ok_or_else(|| format!("{model} is not trained").into())
    }

    fn answer(&mut self, question: &str) -> Result<Seconds, BoxError> {
        let (what, model) = question.split_once(' ').ok_or("expected two words")?;
        match what {
            "train" => self.time_step(model),
            "products" => self.time_products(),
            precision => self.time_pass(model, precision.parse()?),
        }
    }
}

fn main() -> Result<(), BoxError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads, batch, names @ ..] = &words[..] else {
        return Err("usage: bench-detectors FOLDER THREADS BATCH MODEL...".into());
    };
    segad_nn::set_threads(threads.parse()?);
    let zoo = Zoo::open(folder.into(), batch.parse()?)?;
    let images = zoo.images()?;
    for name in names {
        zoo.write(name, &images)?;
    }
    let mut bench = Bench {
        zoo,
        images,
        loaded: HashMap::new(),
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match bench.answer(&line?) {
            Ok((seconds, processor)) => println!("{seconds} {processor}"),
            Err(e) => println!("failed: {e}"),
        }
    }
    Ok(())
}
