//! segad's side of `cargo xtask bench detectors`: fits small models, writes what other programs
//! need to rebuild them, then times one pass for each line of standard input.
//!
//! usage: `bench_detectors FOLDER THREADS BATCH MODEL…`; lines: `f32 MODEL`, `bf16 MODEL`,
//! `train MODEL`, `products patchcore` (f32, the nearest rows by all products); answers: seconds
//! and seconds of processor time.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks and writes files of its own"
)]
#![expect(clippy::print_stdout, reason = "it answers on standard output")]

use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, Device, FitContext, FitDetector, Image, ImageId,
    ImageLoader, Label, Precision, Progress, Sample, Seed, Task, TrainSplit,
};
use segad_detector_efficientad::{
    EfficientAd, EfficientAdSettings, FittedEfficientAd, PdnSize, Teacher,
};
use segad_detector_fastflow::{FastFlow, FastFlowSettings, FittedFastFlow};
use segad_detector_patchcore::{FittedPatchCore, PatchCore, PatchCoreSettings};
use segad_detector_rd4ad::{FittedRd4ad, Rd4ad, Rd4adSettings};
use segad_nn::{
    BackboneKind, Preprocess, SavedModel, Weights, from_slice, torch_device, write_tensors,
};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const KIND: BackboneKind = BackboneKind::WideResnet50_2;
const SIZE: usize = 256;
/// Images whose patches make PatchCore's bank, all of them: 10 240 rows, as for 1000 images at 1 %.
const BANK: usize = 10;
/// Training steps of one measurement; the first is not counted.
const STEPS: u64 = 4;

/// Smooth noise that depends on the name.
struct Texture;

impl ImageLoader for Texture {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        let salt = id
            .as_str()
            .bytes()
            .fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let value = |y: usize, x: usize| {
            let mut h = (y / 4 * 64 + x / 4) as u32 ^ salt.wrapping_mul(0x9E37_79B9);
            h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
            h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
            (h >> 24) as u8
        };
        let pixels: Vec<u8> = (0..SIZE * SIZE)
            .map(|i| value(i / SIZE, i % SIZE))
            .collect();
        Ok(Image::from_grey(SIZE, SIZE, &pixels)?)
    }
}

fn split(n: usize) -> Result<TrainSplit, BoxError> {
    let samples = (0..n)
        .map(|i| Sample::new(ImageId::new(format!("good {i}")), Label::Good))
        .collect();
    Ok(TrainSplit::new(samples)?)
}

/// A moment: by the clock, and by the processor time that this program has used.
#[derive(Clone, Copy)]
struct Moment(Instant, f64);

impl Moment {
    fn now() -> Self {
        // User and system time in hundredths of a second; 0 where the system does not tell.
        let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<f64> = (told.rsplit_once(')').map_or("", |t| t.1).split_whitespace())
            .map(|f| f.parse().unwrap_or(0.0))
            .collect();
        Self(
            Instant::now(),
            fields
                .get(11)
                .zip(fields.get(12))
                .map_or(0.0, |(u, s)| (u + s) / 100.0),
        )
    }

    /// Seconds and seconds of processor time.
    fn since(self, earlier: Self) -> (f64, f64) {
        ((self.0 - earlier.0).as_secs_f64(), self.1 - earlier.1)
    }
}

/// When each training step ended.
#[derive(Default)]
struct Clock(Arc<Mutex<Vec<Moment>>>);

struct Ticks(Option<Arc<Mutex<Vec<Moment>>>>);

impl Progress for Clock {
    fn start(&self, name: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Ticks(
            ["fastflow", "rd4ad", "efficientad"]
                .contains(&name)
                .then(|| self.0.clone()),
        ))
    }
}

impl Task for Ticks {
    fn advance(&self, _: u64) {
        if let Some(mut ticks) = self.0.as_ref().and_then(|t| t.lock().ok()) {
            ticks.push(Moment::now());
        }
    }
    fn message(&self, _: &str) {}
}

type Maps = Box<dyn Fn(&[Image]) -> Result<Vec<AnomalyMap>, BoxError>>;

struct Bench {
    folder: PathBuf,
    batch: usize,
    weights: Weights,
    loaded: HashMap<String, Maps>,
}

fn boxed<D: AnomalyDetector + 'static>(detector: D) -> Maps {
    Box::new(move |images| detector.maps(images).map_err(Into::into))
}

/// A teacher with random weights: as fast as any other.
fn teacher(size: PdnSize) -> Result<Weights, BoxError> {
    let make = |p: segad_nn::Parameter| {
        Ok::<_, BoxError>((
            p.name.clone(),
            segad_nn::golden::parameter(&p.name, &p.shape)?,
        ))
    };
    let list = size
        .teacher_parameters()
        .into_iter()
        .map(make)
        .collect::<Result<Vec<_>, _>>()?;
    let list: Vec<_> = list.iter().map(|(n, t)| (n.as_str(), t)).collect();
    Ok(Weights::from_safetensors(&write_tensors(list)?)?)
}

impl Bench {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn images(&self) -> Result<Vec<Image>, BoxError> {
        (0..self.batch)
            .map(|i| Texture.load(&ImageId::new(format!("test {i}"))))
            .collect()
    }

    /// Fits a model for `steps` steps on as many images as a step sees.
    fn fit(&self, model: &str, steps: u64, ctx: &FitContext) -> Result<SavedModel, BoxError> {
        let (n, batch) = (self.batch.max(2), self.batch.max(2));
        let weights = self.weights.clone();
        Ok(match model {
            "patchcore" => {
                let settings = PatchCoreSettings {
                    coreset_ratio: 1.0,
                    ..Default::default()
                };
                let fitted = PatchCore::new(settings.checked()?, weights)?;
                fitted
                    .fit(&split(BANK)?.good(&Texture), Seed(0), ctx)?
                    .save()?
            }
            "fastflow" => {
                let settings = FastFlowSettings {
                    epochs: steps,
                    batch,
                    ..Default::default()
                };
                let fitted = FastFlow::new(settings.checked()?, weights)?;
                fitted
                    .fit(&split(n)?.good(&Texture), Seed(0), ctx)?
                    .save()?
            }
            "rd4ad" => {
                let settings = Rd4adSettings {
                    epochs: steps,
                    batch,
                    ..Default::default()
                };
                let fitted = Rd4ad::new(settings.checked()?, weights)?;
                fitted
                    .fit(&split(n)?.good(&Texture), Seed(0), ctx)?
                    .save()?
            }
            "efficientad-s" | "efficientad-m" => {
                let small = model.ends_with("-s");
                let kind = if small {
                    Teacher::Small
                } else {
                    Teacher::Medium
                };
                let settings = EfficientAdSettings {
                    teacher: kind,
                    iterations: steps,
                    ..Default::default()
                };
                let size = if small {
                    PdnSize::Small
                } else {
                    PdnSize::Medium
                };
                let fitted = EfficientAd::new(settings.checked()?, teacher(size)?)?;
                fitted
                    .fit(&split(2)?.good(&Texture), Seed(0), ctx)?
                    .save()?
            }
            _ => return Err(format!("unknown model {model:?}").into()),
        })
    }

    /// Fits and writes a model, an input and the maps that must come out, unless that was done
    /// before.
    fn write(&self, model: &str) -> Result<(), BoxError> {
        let inputs = self.at(&format!("{model}.input.safetensors"));
        if inputs.exists() {
            return Ok(());
        }
        let ctx = FitContext {
            batch: self.batch,
            ..FitContext::default()
        };
        let saved = self.fit(model, 1, &ctx)?;
        std::fs::write(self.at(&format!("{model}.json")), &saved.header)?;
        std::fs::write(self.at(&format!("{model}.safetensors")), &saved.tensors)?;
        let images = self.images()?;
        let maps = self.load(model, Precision::F32)?(&images)?;
        let values: Vec<f32> = maps.iter().flat_map(|m| m.values()).copied().collect();
        let maps = from_slice(&values, &[self.batch as i64, SIZE as i64, SIZE as i64])?;
        let x = Preprocess::imagenet(SIZE, SIZE).batch(&images, torch_device(Device::Cpu)?)?;
        std::fs::write(inputs, write_tensors([("images", &x), ("maps", &maps)])?)?;
        Ok(())
    }

    fn saved(&self, model: &str, precision: Precision) -> Result<SavedModel, BoxError> {
        let header = std::fs::read_to_string(self.at(&format!("{model}.json")))?;
        let header = header.replace(
            "\"precision\": \"f32\"",
            &format!("\"precision\": \"{precision}\""),
        );
        Ok(SavedModel {
            header,
            tensors: std::fs::read(self.at(&format!("{model}.safetensors")))?,
        })
    }

    fn load(&self, model: &str, precision: Precision) -> Result<Maps, BoxError> {
        let saved = self.saved(model, precision)?;
        let (cpu, batch, weights) = (Device::Cpu, self.batch, &self.weights);
        Ok(match model {
            "patchcore" => boxed(FittedPatchCore::load(&saved, weights, cpu, batch)?),
            "fastflow" => boxed(FittedFastFlow::load(&saved, weights, cpu, batch)?),
            "rd4ad" => boxed(FittedRd4ad::load(&saved, weights, cpu, batch)?),
            _ => boxed(FittedEfficientAd::load(&saved, cpu, batch)?),
        })
    }

    /// What one pass takes.
    fn pass(&mut self, model: &str, precision: Precision) -> Result<(f64, f64), BoxError> {
        let key = format!("{model} {precision}");
        let images = self.images()?;
        if !self.loaded.contains_key(&key) {
            let maps = self.load(model, precision)?;
            maps(&images)?;
            self.loaded.insert(key.clone(), maps);
        }
        let start = Moment::now();
        (self.loaded[&key])(&images)?;
        Ok(Moment::now().since(start))
    }

    /// What one pass of PatchCore takes where bounds do not help.
    fn products(&mut self) -> Result<(f64, f64), BoxError> {
        let (images, key) = (self.images()?, "products".to_owned());
        if !self.loaded.contains_key(&key) {
            let fitted = FittedPatchCore::load(
                &self.saved("patchcore", Precision::F32)?,
                &self.weights,
                Device::Cpu,
                self.batch,
            )?;
            let maps = move |images: &[Image]| {
                let values = segad_nn::to_vec(&fitted.network(&fitted.input(images)?)?)?;
                let map = |v: &[f32]| Ok(AnomalyMap::new(SIZE, SIZE, v.to_vec())?);
                values
                    .chunks_exact(SIZE * SIZE)
                    .map(map)
                    .collect::<Result<Vec<_>, BoxError>>()
            };
            maps(&images)?;
            self.loaded.insert(key.clone(), Box::new(maps));
        }
        let start = Moment::now();
        (self.loaded[&key])(&images)?;
        Ok(Moment::now().since(start))
    }

    /// What one training step from cached features takes: the median of those after the first.
    fn step(&self, model: &str) -> Result<(f64, f64), BoxError> {
        let clock = Clock::default();
        let ticks = clock.0.clone();
        let ctx = FitContext {
            batch: self.batch,
            progress: Arc::new(clock),
            ..FitContext::default()
        };
        self.fit(model, STEPS, &ctx)?;
        let ticks = ticks.lock().map_err(|_| "a step panicked")?;
        // The first tick is the start; the first step fills the caches.
        let mut steps: Vec<(f64, f64)> = ticks
            .windows(2)
            .skip(1)
            .map(|pair| pair[1].since(pair[0]))
            .collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        steps
            .get(steps.len() / 2)
            .copied()
            .ok_or_else(|| format!("{model} is not trained").into())
    }
}

fn main() -> Result<(), BoxError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads, batch, models @ ..] = &words[..] else {
        return Err("usage: bench_detectors FOLDER THREADS BATCH MODEL...".into());
    };
    segad_nn::set_threads(threads.parse()?);
    std::fs::create_dir_all(folder)?;
    let weights = backbone(Path::new(folder))?;
    let mut bench = Bench {
        folder: folder.into(),
        batch: batch.parse()?,
        weights,
        loaded: HashMap::new(),
    };
    for model in models {
        bench.write(model)?;
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, model) = line.split_once(' ').ok_or("expected two words")?;
        let seconds = match what {
            "train" => bench.step(model),
            "products" => bench.products(),
            precision => precision
                .parse()
                .map_err(BoxError::from)
                .and_then(|p| bench.pass(model, p)),
        };
        match seconds {
            Ok((seconds, processor)) => println!("{seconds} {processor}"),
            Err(e) => println!("failed: {e}"),
        }
    }
    Ok(())
}

/// Random weights, for all programs the same.
fn backbone(folder: &Path) -> Result<Weights, BoxError> {
    let file = folder.join("backbone.safetensors");
    if !file.exists() {
        let random = Weights::random(KIND, Some("layer3"), Seed(0))?;
        let tensors: Vec<_> = random
            .tensors()
            .iter()
            .map(|(n, t)| (n.as_str(), t))
            .collect();
        std::fs::write(&file, write_tensors(tensors)?)?;
    }
    Ok(Weights::from_safetensors(&std::fs::read(&file)?)?)
}
