//! EfficientAD from images to maps, with a small teacher and few steps.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, Cancel, Device, FitContext, FitDetector, Image, Precision, Progress,
    ProgressTask, Seed, TrainSplit,
};
use segad_detector_efficientad::{
    AutoencoderImages, DistillSettings, EfficientAd, EfficientAdError, EfficientAdSettings,
    FittedEfficientAd, PdnSize, QuantileMaps, Teacher, distill,
};
use segad_nn::method::FittedDetector;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{StopAfter, Texture, samples};
use segad_nn::{BackboneKind, Weights, golden, write_tensors};
use std::sync::Arc;
use tch::Tensor;

const SIZE: usize = 128;
const TEXTURE: Texture = Texture(SIZE);

fn split(names: &[&str]) -> TrainSplit {
    TrainSplit::new(samples(names)).unwrap()
}

fn teacher() -> Weights {
    static FILE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let make = || {
        let list: Vec<(String, Tensor)> = PdnSize::Small
            .teacher_parameters()
            .into_iter()
            .map(|p| {
                (
                    p.name.clone(),
                    golden::parameter(&format!("teacher.{}", p.name), &p.shape).unwrap(),
                )
            })
            .collect();
        let list: Vec<(&str, &Tensor)> = list.iter().map(|(n, t)| (n.as_str(), t)).collect();
        write_tensors(list).unwrap()
    };
    Weights::from_safetensors(FILE.get_or_init(make)).unwrap()
}

fn settings(iterations: u64) -> EfficientAdSettings {
    EfficientAdSettings {
        teacher: Teacher::Small,
        image_size: SIZE,
        iterations,
        ..Default::default()
    }
}

fn fit(
    names: &[&str],
    settings: EfficientAdSettings,
    ctx: &FitContext,
) -> Result<FittedEfficientAd, EfficientAdError> {
    EfficientAd::new(settings.checked()?, teacher())?.fit(
        &split(names).good(&TEXTURE),
        Seed(5),
        ctx,
    )
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

/// With a bright block at rows and columns 80…103.
fn defect(name: &str) -> Image {
    TEXTURE.defect(name, 80, 104).unwrap()
}

#[test]
fn defects_stand_out_and_models_read_back() {
    let settings = EfficientAdSettings {
        learning_rate: 1e-3,
        ..settings(6)
    };
    let fitted = fit(&["a", "b", "c"], settings, &FitContext::default()).unwrap();
    assert_eq!((fitted.origin().images, fitted.origin().holdout), (2, 1));
    let loss: Vec<f64> = fitted
        .curve()
        .iter()
        .filter(|p| p.name == "loss")
        .map(|p| p.value)
        .collect();
    assert!(loss.len() == 6 && loss[5] < 0.9 * loss[0], "{loss:?}");
    assert_eq!(
        fitted.curve().iter().filter(|p| p.name == "hard").count(),
        6
    );
    let maps = fitted.maps(&[image("x"), defect("x")]).unwrap();
    assert_eq!((maps[0].height(), maps[0].width()), (SIZE, SIZE));
    assert!(
        maps[1].max() > maps[0].max(),
        "{} {}",
        maps[1].max(),
        maps[0].max()
    );
    let at = (0..SIZE * SIZE)
        .max_by(|&a, &b| maps[1].values()[a].total_cmp(&maps[1].values()[b]))
        .unwrap();
    assert!(
        (72..112).contains(&(at / SIZE)) && (72..112).contains(&(at % SIZE)),
        "{at}"
    );

    let saved = fitted.save().unwrap();
    let again = FittedEfficientAd::load(&saved, Device::Cpu, 1).unwrap();
    assert_eq!(
        (again.params(), again.origin(), again.scales()),
        (fitted.params(), fitted.origin(), fitted.scales())
    );
    for (a, b) in maps
        .iter()
        .zip(again.maps(&[image("x"), defect("x")]).unwrap())
    {
        for (x, y) in a.values().iter().zip(b.values()) {
            assert!((x - y).abs() < 1e-4 * a.max().abs());
        }
    }
    assert!(again.maps(&[]).unwrap().is_empty());
    let mut damaged = saved.clone();
    *damaged.tensors.last_mut().unwrap() ^= 1;
    let e = FittedEfficientAd::load(&damaged, Device::Cpu, 1)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("damaged"), "{e}");
}

fn saved(names: &[&str], settings: EfficientAdSettings, ctx: &FitContext) -> segad_nn::SavedModel {
    fit(names, settings, ctx).unwrap().save().unwrap()
}

#[test]
fn a_smaller_budget_gives_the_same_model() {
    let ctx = |memory| FitContext {
        memory,
        ..FitContext::default()
    };
    let names = ["a", "b", "c"];
    assert_eq!(
        saved(&names, settings(1), &ctx(1 << 30)),
        saved(&names, settings(1), &ctx(0))
    );
}

#[test]
fn settings_take_effect() {
    let ctx = FitContext::default();
    let names = ["a", "b"];
    let plain = saved(&names, settings(1), &ctx);
    let changed = [
        EfficientAdSettings {
            padding: false,
            quantile_maps: QuantileMaps::Enlarged,
            ..settings(1)
        },
        EfficientAdSettings {
            autoencoder_images: AutoencoderImages::Jittered,
            ..settings(1)
        },
    ];
    for s in changed {
        let text = format!("{s:?}");
        let fitted = fit(&names, s, &ctx).unwrap();
        assert_ne!(fitted.save().unwrap().tensors, plain.tensors, "{text}");
        assert_eq!(fitted.maps(&[image("x")]).unwrap()[0].height(), SIZE);
    }
}

/// Of the same networks.
#[test]
fn bf16_maps_are_close() {
    let model = saved(&["a", "b"], settings(1), &FitContext::default());
    let mut half = model.clone();
    half.header = half
        .header
        .replace("\"precision\": \"f32\"", "\"precision\": \"bf16\"");
    assert_ne!(half.header, model.header);
    let map = |m| {
        let fitted = FittedEfficientAd::load(m, Device::Cpu, 1).unwrap();
        (
            fitted.origin().precision,
            fitted.maps(&[defect("x")]).unwrap().remove(0),
        )
    };
    let ((f32, exact), (bf16, rounded)) = (map(&model), map(&half));
    assert_eq!((f32, bf16), (Precision::F32, Precision::Bf16));
    let size = exact.values().iter().fold(0f32, |m, v| m.max(v.abs()));
    let apart = exact
        .values()
        .iter()
        .zip(rounded.values())
        .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(apart > 0.0 && apart < 0.05 * size, "{apart} of {size}");
}

#[test]
fn the_penalty_needs_its_images() {
    let (ctx, params) = (FitContext::default(), settings(1).checked().unwrap());
    let on = EfficientAdSettings {
        penalty: Some("general".into()),
        ..settings(1)
    }
    .checked()
    .unwrap();
    let (good, holdout, general) = (split(&["a"]), split(&["b"]), split(&["p", "q"]));
    let (good, holdout) = (good.good(&TEXTURE), holdout.good(&TEXTURE));
    let new = |params| EfficientAd::new(params, teacher()).unwrap();
    let run = |d: EfficientAd<'_>| d.fit_with_holdout(&good, &holdout, Seed(1), &ctx);
    let e = run(new(on.clone())).err().unwrap();
    assert!(
        matches!(e, EfficientAdError::Penalty { on: true, given: 0 }),
        "{e}"
    );
    let e = run(new(params.clone()).with_penalty(general.good(&TEXTURE)))
        .err()
        .unwrap();
    assert!(
        matches!(
            e,
            EfficientAdError::Penalty {
                on: false,
                given: 2
            }
        ),
        "{e}"
    );
    let with = run(new(on).with_penalty(general.good(&TEXTURE))).unwrap();
    assert!(
        with.curve()
            .iter()
            .any(|p| p.name == "penalty" && p.value > 0.0)
    );
    let without = run(new(params)).unwrap();
    assert_ne!(
        with.save().unwrap().tensors,
        without.save().unwrap().tensors
    );
}

fn distill_settings(iterations: u64) -> DistillSettings {
    DistillSettings {
        network: PdnSize::Small,
        backbone: BackboneKind::Resnet18,
        image_size: SIZE,
        iterations,
        batch: 2,
        learning_rate: 1e-3,
        ..Default::default()
    }
}

fn backbone() -> Weights {
    Weights::random(BackboneKind::Resnet18, Some("layer3"), Seed(0)).unwrap()
}

#[test]
fn teachers_can_be_distilled() {
    let (names, ctx) = (split(&["a"]), FitContext::default());
    let params = distill_settings(4).checked().unwrap();
    let made = distill(&names.good(&TEXTURE), &params, &backbone(), Seed(1), &ctx).unwrap();
    let loss: Vec<f64> = made.curve.iter().map(|p| p.value).collect();
    assert!(loss.len() == 4 && loss[3] < 0.98 * loss[0], "{loss:?}");
    // The file is a teacher like any other.
    EfficientAd::new(settings(1).checked().unwrap(), made.weights().unwrap()).unwrap();
    let none = distill(
        &split(&[]).good(&TEXTURE),
        &params,
        &backbone(),
        Seed(1),
        &ctx,
    );
    assert!(matches!(
        none,
        Err(EfficientAdError::Model(ModelError::TooFewImages {
            expected: 1,
            ..
        }))
    ));

    // Within a fit.
    let own = EfficientAdSettings {
        teacher: Teacher::Distilled,
        distill: Some(distill_settings(1)),
        ..settings(1)
    };
    let detector = EfficientAd::new(own.checked().unwrap(), backbone()).unwrap();
    let fitted = detector
        .fit(&split(&["a", "b"]).good(&TEXTURE), Seed(1), &ctx)
        .unwrap();
    let count = |name: &str| fitted.curve().iter().filter(|p| p.name == name).count();
    assert_eq!((count("teacher: loss"), count("loss")), (1, 1));
    assert_eq!(fitted.origin().weights, backbone().digest());
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    for names in [&[][..], &["a"]] {
        let e = fit(names, settings(1), &ctx).err().unwrap();
        assert!(
            matches!(
                e,
                EfficientAdError::Model(ModelError::TooFewImages { expected: 2, .. })
            ),
            "{e}"
        );
    }
    let detector = EfficientAd::new(settings(1).checked().unwrap(), teacher()).unwrap();
    let (one, none) = (split(&["a"]), split(&[]));
    let e = detector
        .fit_with_holdout(&one.good(&TEXTURE), &none.good(&TEXTURE), Seed(0), &ctx)
        .err()
        .unwrap();
    assert!(e.to_string().contains("0 hold-out images"), "{e}");
    let e = fit(&["a", "gone.png"], settings(1), &ctx)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("image gone.png") && e.contains("no such file"),
        "{e}"
    );

    let medium = EfficientAdSettings {
        teacher: Teacher::Medium,
        ..settings(1)
    };
    let e = EfficientAd::new(medium.checked().unwrap(), teacher())
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("12.weight") && e.contains("efficientad-teacher"),
        "{e}"
    );
    let own = EfficientAdSettings {
        teacher: Teacher::Distilled,
        ..settings(1)
    };
    let e = EfficientAd::new(own.checked().unwrap(), backbone())
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("backbone of the efficientad teacher"), "{e}");
}

/// Without padding, a constant image gives constant features, which cannot be normalised.
#[test]
fn constant_images_are_errors() {
    let unpadded = EfficientAdSettings {
        padding: false,
        ..settings(1)
    };
    let e = fit(&["flat1", "flat2"], unpadded, &FitContext::default())
        .err()
        .unwrap();
    assert!(
        matches!(
            e,
            EfficientAdError::ConstantChannel {
                channel: 0,
                images: 1,
                ..
            }
        ),
        "{e}"
    );
}

/// Cancels once a task of this name starts.
struct CancelAt(&'static str, Cancel);

struct Silent;

impl ProgressTask for Silent {
    fn advance(&self, _: u64) {}
    fn message(&self, _: &str) {}
}

impl Progress for CancelAt {
    fn start(&self, name: &str, _: Option<u64>) -> Box<dyn ProgressTask> {
        if name == self.0 {
            self.1.cancel();
        }
        Box::new(Silent)
    }
}

#[test]
fn cancelling_stops_every_stage() {
    for stage in [
        "efficientad: teacher",
        "efficientad",
        "efficientad: hold-out",
    ] {
        let cancel = Cancel::default();
        let progress = Arc::new(CancelAt(stage, cancel.clone()));
        let ctx = FitContext {
            progress,
            cancel,
            ..FitContext::default()
        };
        let stopped = fit(&["a", "b"], settings(1), &ctx);
        assert!(
            matches!(
                stopped,
                Err(EfficientAdError::Model(ModelError::Cancelled { .. }))
            ),
            "{stage}"
        );
    }
}

#[test]
fn a_training_goes_on_where_it_stopped() {
    let names = ["a", "b"];
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Some(folder.path().to_owned());
    let ctx = StopAfter::new("efficientad", 1).context(folder.path());
    assert!(matches!(
        fit(&names, settings(2), &ctx),
        Err(EfficientAdError::Model(ModelError::Cancelled { .. }))
    ));
    let resumed = fit(
        &names,
        settings(2),
        &FitContext {
            checkpoints,
            ..FitContext::default()
        },
    )
    .unwrap();
    assert_eq!(
        resumed.save().unwrap(),
        saved(&names, settings(2), &FitContext::default())
    );
    // Another training does not take this one's checkpoint for its own.
    let other = FitContext {
        checkpoints: Some(folder.path().to_owned()),
        ..FitContext::default()
    };
    assert!(matches!(
        fit(&names, settings(3), &other),
        Err(EfficientAdError::Model(ModelError::Train(_)))
    ));
}
