//! RD4AD from images to maps, with small random encoders.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, BoxError, Cancel, Device, FitContext, FitDetector, Image, ImageId, ImageLoader, Label,
    Precision, Progress, Sample, Seed, Task, TrainSplit,
};
use segad_detector_rd4ad::{BottleneckWidth, Combine, FittedRd4ad, Loss, Rd4ad, Rd4adError, Rd4adSettings};
use segad_nn::train::TrainError;
use segad_nn::{BackboneKind, NnError, SavedModel, Weights, write_tensors};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tch::Tensor;

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 64;

/// Stripes with noise that depends on the name; `flat*` are constant, `gone*` cannot be read.
struct Texture;

impl ImageLoader for Texture {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        if id.as_str().starts_with("gone") {
            return Err("no such file".into());
        }
        if id.as_str().starts_with("flat") {
            return Ok(Image::from_grey(SIZE, SIZE, &[90; SIZE * SIZE])?);
        }
        let salt = id.as_str().bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let pixel = |i: usize| {
            let noise =
                (i as u32).wrapping_mul(2_654_435_761).wrapping_add(salt).wrapping_mul(salt | 1) >> 27;
            (i % 8 * 20) as u8 + noise as u8
        };
        Ok(Image::from_grey(SIZE, SIZE, &(0..SIZE * SIZE).map(pixel).collect::<Vec<_>>())?)
    }
}

fn weights() -> Weights {
    Weights::random(KIND, Some("layer3"), Seed(0)).unwrap()
}

fn settings() -> Rd4adSettings {
    Rd4adSettings { backbone: KIND, image_size: SIZE, epochs: 2, batch: 2, ..Default::default() }
}

/// Of a student with a tenth of the variables.
fn small() -> Rd4adSettings {
    Rd4adSettings { backbone: BackboneKind::EfficientnetLite2, ..settings() }
}

fn fit(names: &[&str], settings: Rd4adSettings, ctx: &FitContext) -> Result<FittedRd4ad, Rd4adError> {
    let samples = names.iter().map(|n| Sample::new(ImageId::new(*n), Label::Good)).collect();
    let split = TrainSplit::new(samples).unwrap();
    let params = settings.checked()?;
    let last = params.layers()[2].clone();
    let weights = Weights::random(params.backbone(), Some(&last), Seed(0)).unwrap();
    Rd4ad::new(params, weights)?.fit(&split.good(&Texture), Seed(5), ctx)
}

fn image(name: &str) -> Image {
    Texture.load(&ImageId::new(name)).unwrap()
}

/// With a bright block at rows and columns 40…51.
fn defect(name: &str) -> Image {
    let mut rgb = image(name).into_rgb();
    for y in 40..52 {
        rgb[3 * (y * SIZE + 40)..3 * (y * SIZE + 52)].fill(255);
    }
    Image::from_rgb(SIZE, SIZE, rgb).unwrap()
}

#[test]
fn defects_stand_out_where_they_are() {
    let settings = Rd4adSettings { epochs: 15, batch: 4, ..settings() };
    let fitted = fit(&["a", "b", "c", "d"], settings, &FitContext::default()).unwrap();
    assert_eq!((fitted.origin().images, fitted.origin().steps, fitted.curve().len()), (4, 15, 15));
    let curve: Vec<f64> = fitted.curve().iter().map(|p| p.value).collect();
    assert!(curve[14] < 0.4 * curve[0], "{curve:?}");
    let maps = fitted.maps(&[image("x"), defect("x")]).unwrap();
    assert_eq!((maps[0].height(), maps[0].width()), (SIZE, SIZE));
    assert!(maps.iter().all(|m| m.values().iter().all(|v| (0.0..=3.0).contains(v))));
    assert!(maps[1].max() > maps[0].max(), "{} {}", maps[1].max(), maps[0].max());
    let centre = 46 * SIZE + 46;
    let (good, bad) = (maps[0].values()[centre], maps[1].values()[centre]);
    assert!(bad > 1.3 * good, "{bad} {good}");
    let at = (0..SIZE * SIZE).max_by(|&a, &b| maps[1].values()[a].total_cmp(&maps[1].values()[b])).unwrap();
    assert!((36..56).contains(&(at / SIZE)) && (36..56).contains(&(at % SIZE)), "{at}");
}

/// Counts steps and asks to stop after some.
struct StopAfter {
    steps: u64,
    cancel: Cancel,
    done: Arc<AtomicU64>,
}

struct Counter(u64, Cancel, Arc<AtomicU64>);

impl Task for Counter {
    fn advance(&self, n: u64) {
        if self.2.fetch_add(n, Ordering::Relaxed) + n >= self.0 {
            self.1.cancel();
        }
    }
    fn message(&self, _: &str) {}
}

impl Progress for StopAfter {
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn Task> {
        assert_eq!((name, total), ("rd4ad", Some(6)));
        Box::new(Counter(self.steps, self.cancel.clone(), self.done.clone()))
    }
}

#[test]
fn budgets_and_interruptions_change_nothing() {
    let names = ["a", "b", "c", "d", "e"];
    let whole = fit(&names, small(), &FitContext::default()).unwrap().save().unwrap();
    let none = FitContext { memory: 0, ..FitContext::default() };
    assert_eq!(whole, fit(&names, small(), &none).unwrap().save().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let (cancel, done) = (Cancel::default(), Arc::new(AtomicU64::new(0)));
    let progress = Arc::new(StopAfter { steps: 4, cancel: cancel.clone(), done: done.clone() });
    let checkpoints = Some(folder.path().to_owned());
    let ctx = FitContext { progress, cancel, checkpoints: checkpoints.clone(), ..FitContext::default() };
    let stopped = fit(&names, small(), &ctx).err().unwrap();
    assert!(matches!(stopped, Rd4adError::Train(TrainError::Cancelled { step: 4, .. })), "{stopped}");
    assert_eq!(done.load(Ordering::Relaxed), 4);
    let ctx = FitContext { checkpoints, ..FitContext::default() };
    assert_eq!(whole, fit(&names, small(), &ctx).unwrap().save().unwrap());
    // The checkpoint is this training's alone.
    let other = fit(&names, Rd4adSettings { loss: Loss::PerPixel, ..small() }, &ctx).err().unwrap();
    assert!(matches!(other, Rd4adError::Train(TrainError::Checkpoint { .. })), "{other}");
}

#[test]
fn saved_models_read_back_and_damage_is_found() {
    let ctx = FitContext { precision: Precision::Bf16, ..FitContext::default() };
    let options = Rd4adSettings {
        bottleneck: BottleneckWidth::Full,
        loss: Loss::PerPixel,
        combine: Combine::Multiply,
        ..settings()
    };
    let fitted = fit(&["a", "b", "c"], options, &ctx).unwrap();
    let images = [image("x"), defect("y"), image("z")];
    let maps = fitted.maps(&images).unwrap();
    assert!(maps.iter().all(|m| m.values().iter().all(|v| (0.0..=1.0).contains(v))));
    let saved = fitted.save().unwrap();
    let (same, other) = (weights(), Weights::random(KIND, Some("layer3"), Seed(1)).unwrap());
    let load = |saved: &SavedModel, weights| FittedRd4ad::load(saved, weights, Device::Cpu, 2);
    let again = load(&saved, &same).unwrap();
    assert_eq!(
        (again.origin(), again.params(), again.curve()),
        (fitted.origin(), fitted.params(), fitted.curve())
    );
    assert_eq!(again.origin().precision, Precision::Bf16);
    assert_eq!(again.save().unwrap(), saved);
    for (a, b) in maps.iter().zip(again.maps(&images).unwrap()) {
        assert!((a.max() - b.max()).abs() < 1e-3 * a.max(), "{} {}", a.max(), b.max());
    }
    assert!(again.maps(&[]).unwrap().is_empty());

    assert!(matches!(load(&saved, &other), Err(Rd4adError::OtherWeights { .. })));
    let mut damaged = saved;
    *damaged.tensors.last_mut().unwrap() ^= 1;
    assert!(load(&damaged, &same).err().unwrap().to_string().contains("damaged"));
}

#[test]
fn published_states_are_imported() {
    let params = settings().checked().unwrap();
    let fitted = fit(&["a", "b"], settings(), &FitContext::default()).unwrap();
    let state = fitted.tensors();
    let file = |rename: &dyn Fn(&str) -> String, more: &[(String, Tensor)]| {
        let mut list: Vec<(String, Tensor)> =
            state.iter().map(|(name, t)| (rename(name), t.shallow_clone())).collect();
        list.extend(more.iter().map(|(name, t)| (name.clone(), t.shallow_clone())));
        let list: Vec<(&str, &Tensor)> = list.iter().map(|(name, t)| (name.as_str(), t)).collect();
        Weights::from_safetensors(&write_tensors(&list).unwrap()).unwrap()
    };
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu));
    let import = |state: &Weights| {
        FittedRd4ad::import(params.clone(), state, &weights(), (Device::Cpu, Precision::F32), 2)
    };
    let expected = fitted.maps(&[defect("x")]).unwrap();
    let anomalib = file(
        &|name| format!("model.{name}"),
        &[
            ("model.encoder.feature_extractor.conv1.weight".to_owned(), zeros(&[64, 3, 7, 7])),
            ("model.bottleneck.bn1.num_batches_tracked".to_owned(), zeros(&[1])),
        ],
    );
    let dead: Vec<_> = params.parameters(true).iter().skip(params.parameters(false).len()).cloned().collect();
    assert_eq!(dead.len(), 5);
    let dead: Vec<(String, Tensor)> =
        dead.iter().map(|p| (p.name.replacen("bottleneck.", "bn.", 1), zeros(&p.shape))).collect();
    let official = file(&|name| name.replacen("bottleneck.", "bn.", 1), &dead);
    for state in [&anomalib, &official] {
        let imported = import(state).unwrap();
        assert_eq!(imported.maps(&[defect("x")]).unwrap(), expected);
        assert_eq!(imported.origin().images, 0);
    }
    let strange = file(&str::to_owned, &[("decoder.layer4.0.conv1.weight".to_owned(), zeros(&[1]))]);
    let e = import(&strange).err().unwrap();
    assert!(
        matches!(&e, Rd4adError::Nn(NnError::WeightNames { unexpected, .. }) if unexpected.len() == 1),
        "{e}"
    );
    let wide = Rd4adSettings { bottleneck: BottleneckWidth::Full, ..settings() };
    let e =
        FittedRd4ad::import(wide.checked().unwrap(), &official, &weights(), (Device::Cpu, Precision::F32), 2);
    let e = e.err().unwrap();
    assert!(matches!(e, Rd4adError::Nn(NnError::WeightShape { .. })), "{e}");
}

#[test]
fn efficientnets_can_be_encoders() {
    let fitted =
        fit(&["a", "b", "c"], Rd4adSettings { epochs: 4, ..small() }, &FitContext::default()).unwrap();
    assert_eq!(fitted.params().layers(), ["stage1", "stage2", "stage4"]);
    let curve = fitted.curve();
    assert!(curve[curve.len() - 1].value < curve[0].value, "{curve:?}");
    let maps = fitted.maps(&[image("x"), image("flat")]).unwrap();
    assert!(maps.iter().all(|m| m.values().iter().all(|v| (0.0..=6.0).contains(v))));
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    assert!(matches!(fit(&[], small(), &ctx), Err(Rd4adError::TooFewImages(0))));
    let e = fit(&["a"], small(), &ctx).err().unwrap().to_string();
    assert!(e.contains("1 good training images; at least 2"), "{e}");
    let e = fit(&["a", "gone.png"], small(), &ctx).err().unwrap().to_string();
    assert!(e.contains("gone.png") && e.contains("no such file"), "{e}");
    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = Rd4ad::new(settings().checked().unwrap(), short).err().unwrap().to_string();
    assert!(e.contains("layer3.0.conv1.weight") && e.contains("fetch weights"), "{e}");
    let e = fit(&["a", "b"], Rd4adSettings { learning_rate: 1e37, ..small() }, &ctx).err().unwrap();
    assert!(matches!(e, Rd4adError::Train(TrainError::Diverged { .. })), "{e}");
    // Images without any structure are no reason to fail.
    let fitted = fit(&["flat1", "flat2"], small(), &ctx).unwrap();
    assert!(fitted.maps(&[image("flat3")]).unwrap()[0].max() >= 0.0);
}
