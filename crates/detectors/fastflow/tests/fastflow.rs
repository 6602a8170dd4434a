//! FastFlow from images to maps, with a small random backbone.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, Cancel, Device, FitContext, FitDetector, Image, ImageId,
    ImageLoader, Precision, Progress, ProgressTask, Seed, TrainSplit,
};
use segad_detector_fastflow::{ClampForm, FastFlow, FastFlowSettings, FittedFastFlow};
use segad_nn::method::FittedDetector;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{Texture, samples};
use segad_nn::{BackboneKind, Weights};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 64;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

const TEXTURE: Texture = Texture(SIZE);

/// Counts what it loads.
#[derive(Default)]
struct Counted(AtomicU64);

impl ImageLoader for Counted {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        TEXTURE.load(id)
    }
}

fn weights() -> Weights {
    Weights::random(KIND, Some("layer3"), Seed(0)).unwrap()
}

fn settings() -> FastFlowSettings {
    let d = FastFlowSettings::default();
    FastFlowSettings {
        backbone: KIND,
        image_size: SIZE,
        flow_steps: 2,
        epochs: 4,
        batch: 2,
        ..d
    }
}

fn fit_with(
    loader: &Counted,
    names: &[&str],
    settings: FastFlowSettings,
    ctx: &FitContext,
) -> Result<FittedFastFlow, ModelError> {
    let split = TrainSplit::new(samples(names)).unwrap();
    FastFlow::new(settings.checked()?, weights())?.fit(&split.good(loader), Seed(5), ctx)
}

fn fit(
    names: &[&str],
    settings: FastFlowSettings,
    ctx: &FitContext,
) -> Result<FittedFastFlow, ModelError> {
    fit_with(&Counted::default(), names, settings, ctx)
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

/// With a bright block at rows and columns 40…51.
fn defect(name: &str) -> Image {
    TEXTURE.defect(name, 40, 52).unwrap()
}

fn differ(a: &[AnomalyMap], b: &[AnomalyMap]) -> f32 {
    let values = |m: &[AnomalyMap]| {
        m.iter()
            .flat_map(|m| m.values().to_vec())
            .collect::<Vec<f32>>()
    };
    values(a)
        .iter()
        .zip(values(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn defects_stand_out_where_they_are() {
    let fitted = fit(
        &NAMES,
        FastFlowSettings {
            epochs: 30,
            ..settings()
        },
        &FitContext::default(),
    )
    .unwrap();
    let curve = &fitted.origin().curve;
    assert_eq!(
        (fitted.origin().images, fitted.origin().steps, curve.len()),
        (5, 90, 90)
    );
    assert!(curve[89].value < curve[0].value);
    let maps = fitted.maps(&[image("x"), defect("x")]).unwrap();
    assert_eq!((maps[0].height(), maps[0].width()), (SIZE, SIZE));
    assert!(
        maps.iter()
            .flat_map(|m| m.values())
            .all(|v| (-1.0..=0.0).contains(v))
    );
    assert!(
        maps[1].max() > maps[0].max() + 0.02,
        "{} {}",
        maps[1].max(),
        maps[0].max()
    );
    let at = (0..SIZE * SIZE)
        .max_by(|&a, &b| maps[1].values()[a].total_cmp(&maps[1].values()[b]))
        .unwrap();
    assert!(
        (34..58).contains(&(at / SIZE)) && (34..58).contains(&(at % SIZE)),
        "{at}"
    );
}

#[test]
fn a_smaller_budget_gives_the_same_model() {
    let with = |memory| {
        let loader = Counted::default();
        let ctx = FitContext {
            memory,
            ..FitContext::default()
        };
        let fitted = fit_with(&loader, &NAMES, settings(), &ctx).unwrap();
        (fitted.save().unwrap(), loader.0.into_inner())
    };
    // An image's features take 64·16² + 128·8² + 256·4² floats: 114 688 bytes.
    let (roomy, loads) = with(1 << 30);
    assert_eq!(loads, 5);
    let (tight, loads) = with(2 * 114_688);
    assert_eq!(loads, 2 + 4 * 3);
    assert_eq!(roomy, tight);
    assert_eq!(roomy, with(0).0);
}

/// Cancels in a step of the training, once.
struct CancelIn(u64, Cancel, Arc<AtomicU64>);

impl Progress for CancelIn {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn ProgressTask> {
        Box::new(Self(self.0, self.1.clone(), self.2.clone()))
    }
}

impl ProgressTask for CancelIn {
    fn advance(&self, n: u64) {
        if self.2.fetch_add(n, Ordering::Relaxed) + n == self.0 {
            self.1.cancel();
        }
    }
    fn message(&self, text: &str) {
        assert!(text.starts_with("loss "), "{text}");
    }
}

#[test]
fn an_interrupted_fit_goes_on_to_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Some(folder.path().to_path_buf());
    let cancel = Cancel::default();
    let progress = Arc::new(CancelIn(7, cancel.clone(), Arc::default()));
    let ctx = FitContext {
        progress,
        cancel,
        checkpoints: checkpoints.clone(),
        ..FitContext::default()
    };
    assert!(matches!(
        fit(&NAMES, settings(), &ctx),
        Err(ModelError::Cancelled { step: Some(7), .. })
    ));
    let ctx = FitContext {
        checkpoints,
        ..FitContext::default()
    };
    let resumed = fit(&NAMES, settings(), &ctx).unwrap().save().unwrap();
    assert_eq!(
        resumed,
        fit(&NAMES, settings(), &FitContext::default())
            .unwrap()
            .save()
            .unwrap()
    );
    let e = fit(&NAMES[..4], settings(), &ctx)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("belongs to another training"), "{e}");
}

#[test]
fn saved_models_read_back_and_damage_is_found() {
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..FitContext::default()
    };
    let settings = FastFlowSettings {
        clamp_form: ClampForm::Scaled,
        conv3x3_only: true,
        hidden_ratio: 0.5,
        ..settings()
    };
    let fitted = fit(&NAMES[..3], settings, &ctx).unwrap();
    let images = [image("x"), defect("y"), image("z")];
    let maps = fitted.maps(&images).unwrap();
    let saved = fitted.save().unwrap();
    let (same, other) = (
        weights(),
        Weights::random(KIND, Some("layer3"), Seed(1)).unwrap(),
    );
    let load = |saved, weights| FittedFastFlow::load(saved, weights, Device::Cpu, 2);
    let again = load(&saved, &same).unwrap();
    assert_eq!(again.origin(), fitted.origin());
    assert_eq!(again.params(), fitted.params());
    assert_eq!(again.save().unwrap(), saved);
    assert!(differ(&maps, &again.maps(&images).unwrap()) < 1e-3);

    assert!(matches!(
        load(&saved, &other),
        Err(ModelError::OtherWeights { .. })
    ));
    let mut damaged = saved.clone();
    *damaged.tensors.last_mut().unwrap() ^= 1;
    assert!(
        load(&damaged, &same)
            .err()
            .unwrap()
            .to_string()
            .contains("damaged")
    );
}

#[test]
fn bf16_stays_close_to_f32() {
    let ctx = |precision| FitContext {
        precision,
        ..FitContext::default()
    };
    let images = [image("x"), defect("y")];
    let maps = |precision| {
        fit(&NAMES, settings(), &ctx(precision))
            .unwrap()
            .maps(&images)
            .unwrap()
    };
    let (exact, rounded) = (maps(Precision::F32), maps(Precision::Bf16));
    let worst = differ(&exact, &rounded);
    assert!(worst > 0.0 && worst < 0.1, "{worst}");
}

#[test]
fn other_backbones_have_flows_too() {
    let backbone = BackboneKind::EfficientnetLite2;
    let settings = FastFlowSettings {
        backbone,
        epochs: 1,
        flow_steps: 1,
        ..settings()
    };
    let params = settings.checked().unwrap();
    let weights = Weights::random(backbone, Some("stage4"), Seed(0)).unwrap();
    let (split, loader) = (
        TrainSplit::new(samples(&NAMES[..2])).unwrap(),
        Counted::default(),
    );
    let detector = FastFlow::new(params, weights).unwrap();
    let fitted = detector
        .fit(&split.good(&loader), Seed(1), &FitContext::default())
        .unwrap();
    assert!(fitted.maps(&[image("x")]).unwrap()[0].max() < 0.0);
}

#[test]
fn constant_images_are_handled() {
    let fitted = fit(&["flat1", "flat2"], settings(), &FitContext::default()).unwrap();
    let maps = fitted.maps(&[image("flat3"), image("a")]).unwrap();
    assert!(maps.iter().all(|m| m.max().is_finite()));
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    assert!(matches!(
        fit(&[], settings(), &ctx),
        Err(ModelError::TooFewImages { actual: 0, .. })
    ));
    assert!(matches!(
        fit(&["a"], settings(), &ctx),
        Err(ModelError::TooFewImages { actual: 1, .. })
    ));
    let e = fit(&["a", "gone.png"], settings(), &ctx)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("gone.png") && e.contains("no such file"), "{e}");
    let large = FastFlowSettings {
        batch: 9,
        drop_last: true,
        ..settings()
    };
    let e = fit(&NAMES, large, &ctx).err().unwrap().to_string();
    assert!(e.contains("5 samples do not fill a batch of 9"), "{e}");
    let wild = FastFlowSettings {
        learning_rate: 1e30,
        ..settings()
    };
    let e = fit(&NAMES, wild, &ctx).err().unwrap().to_string();
    assert!(e.contains("lower the learning rate"), "{e}");

    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = FastFlow::new(settings().checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer3.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );
    let fitted = fit(&["a", "b"], settings(), &ctx).unwrap();
    assert!(fitted.maps(&[]).unwrap().is_empty());
}
