//! PatchCore from images to maps, with a small random backbone.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, Cancel, CoreError, Device, FitContext, FitDetector, Image, Precision,
    Progress, ProgressTask, Seed, TrainSplit,
};
use segad_detector_patchcore::{
    FittedPatchCore, ImageScore, PatchCore, PatchCoreError, PatchCoreSettings,
};
use segad_nn::method::{FittedDetector, MemoryBank};
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{Texture, samples};
use segad_nn::{BackboneKind, Weights};
use std::sync::{Arc, Mutex};

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 64;
const TEXTURE: Texture = Texture(SIZE);

fn weights() -> Weights {
    Weights::random(KIND, Some("layer3"), Seed(0)).unwrap()
}

fn settings() -> PatchCoreSettings {
    PatchCoreSettings {
        backbone: KIND,
        image_size: SIZE,
        coreset_ratio: 0.1,
        ..Default::default()
    }
}

fn fit(
    names: &[&str],
    settings: PatchCoreSettings,
    ctx: &FitContext,
) -> Result<FittedPatchCore, PatchCoreError> {
    let split = TrainSplit::new(samples(names)).unwrap();
    PatchCore::new(settings.checked()?, weights())?.fit(&split.good(&TEXTURE), Seed(5), ctx)
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

/// With a bright block at rows and columns 40…51.
fn defect(name: &str) -> Image {
    TEXTURE.defect(name, 40, 52).unwrap()
}

/// Tokens of a vision transformer are a grid like any other.
#[test]
fn transformers_serve_as_backbones() {
    let backbone = BackboneKind::MiniatureVit;
    let texture = Texture(56);
    let settings = PatchCoreSettings {
        backbone,
        image_size: 56,
        coreset_ratio: 0.5,
        ..Default::default()
    };
    let weights = Weights::random(backbone, Some("block2"), Seed(0)).unwrap();
    let split = TrainSplit::new(samples(&["a", "b", "c"])).unwrap();
    let detector = PatchCore::new(settings.clone().checked().unwrap(), weights).unwrap();
    let fitted = detector.fit(&split.good(&texture), Seed(5), &FitContext::default());
    let fitted = fitted.unwrap();
    assert_eq!((fitted.grid(), fitted.bank_len()), (4, 24));
    // A block that fills one patch.
    let images = [texture.image("x"), texture.defect("x", 28, 42)].map(Result::unwrap);
    let maps = fitted.maps(&images).unwrap();
    assert!(maps[1].max() > 1.5 * maps[0].max());
    let odd = PatchCoreSettings {
        image_size: 64,
        ..settings
    };
    let e = odd.checked().unwrap_err().to_string();
    assert!(
        e.contains("image_size = 64: expected a multiple of 14"),
        "{e}"
    );
}

#[test]
fn defects_stand_out_where_they_are() {
    let fitted = fit(
        &["a", "b", "c", "d", "e"],
        settings(),
        &FitContext::default(),
    )
    .unwrap();
    assert_eq!((fitted.bank_len(), fitted.origin().patches), (32, 320));
    let (maps, scores) = fitted.maps_and_scores(&[image("x"), defect("x")]).unwrap();
    assert_eq!((maps[0].height(), maps[0].width()), (SIZE, SIZE));
    assert!(
        maps[1].max() > 1.5 * maps[0].max(),
        "{} {}",
        maps[1].max(),
        maps[0].max()
    );
    let at = (0..SIZE * SIZE)
        .max_by(|&a, &b| maps[1].values()[a].total_cmp(&maps[1].values()[b]))
        .unwrap();
    assert!(
        (36..56).contains(&(at / SIZE)) && (36..56).contains(&(at % SIZE)),
        "{at}"
    );
    assert_eq!(scores, [maps[0].max(), maps[1].max()]);
}

#[test]
fn a_smaller_budget_gives_the_same_model() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let settings = settings();
    let ctx = |memory| FitContext {
        memory,
        batch: 3,
        ..FitContext::default()
    };
    // 448 patches are projected to 150 of 384 values, so there is something to keep or to work out
    // again.
    let roomy = fit(&names, settings.clone(), &ctx(1 << 30)).unwrap();
    let error = fit(&names, settings.clone(), &ctx(1000)).err().unwrap();
    let PatchCoreError::Memory {
        source: CoreError::Memory {
            needed,
            budget: 1000,
        },
        patches: 448,
        ..
    } = error
    else {
        panic!("{error}")
    };
    let tight = fit(&names, settings.clone(), &ctx(needed)).unwrap();
    assert_eq!(roomy.save().unwrap(), tight.save().unwrap());
    assert!(fit(&names, settings, &ctx(needed - 1)).is_err());
}

#[test]
fn saved_models_read_back_and_damage_is_found() {
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..FitContext::default()
    };
    let settings = PatchCoreSettings {
        score: ImageScore::Reweighted,
        ..settings()
    };
    let fitted = fit(&["a", "b", "c"], settings, &ctx).unwrap();
    let images = [image("x"), defect("y"), image("z")];
    let (maps, scores) = fitted.maps_and_scores(&images).unwrap();
    assert!(
        scores
            .iter()
            .zip(&maps)
            .all(|(&s, m)| s > 0.0 && s != m.max())
    );
    let saved = fitted.save().unwrap();
    let (same, other) = (
        weights(),
        Weights::random(KIND, Some("layer3"), Seed(1)).unwrap(),
    );
    let load = |saved, weights| FittedPatchCore::load(saved, weights, Device::Cpu, 2);
    let again = load(&saved, &same).unwrap();
    assert_eq!(again.origin().precision, Precision::Bf16);
    assert_eq!(again.params().score, ImageScore::Reweighted);
    let (other_maps, other_scores) = again.maps_and_scores(&images).unwrap();
    for (a, b) in maps.iter().zip(&other_maps) {
        assert!((a.max() - b.max()).abs() < 1e-3 * a.max());
    }
    assert!((scores[1] - other_scores[1]).abs() < 1e-3 * scores[1]);

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
fn constant_images_are_handled() {
    let all = PatchCoreSettings {
        coreset_ratio: 1.0,
        ..settings()
    };
    let fitted = fit(&["flat1", "flat2"], all, &FitContext::default()).unwrap();
    let maps = fitted.maps(&[image("flat3"), image("a")]).unwrap();
    assert!(
        maps[0].values().iter().all(|&v| v.abs() < 1e-3),
        "{}",
        maps[0].max()
    );
    assert!(maps[1].max() > 10.0 * maps[0].max());
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    assert!(matches!(
        fit(&[], settings(), &ctx),
        Err(PatchCoreError::Model(ModelError::TooFewImages {
            actual: 0,
            ..
        }))
    ));
    let e = fit(&["a", "gone.png"], settings(), &ctx)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("gone.png") && e.contains("no such file"), "{e}");
    let few = PatchCoreSettings {
        coreset_ratio: 0.01,
        ..settings()
    };
    assert!(matches!(
        fit(&["a"], few, &ctx),
        Err(PatchCoreError::TooFewPatches {
            source: ModelError::TooFewImages {
                actual: 64,
                expected: 100,
                ..
            },
            ..
        })
    ));
    let many = PatchCoreSettings {
        neighbours: 65,
        ..settings()
    };
    assert!(matches!(
        fit(&["a"], many, &ctx),
        Err(PatchCoreError::TooFewPatches {
            source: ModelError::TooFewImages {
                actual: 64,
                expected: 65,
                ..
            },
            ..
        })
    ));

    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = PatchCore::new(settings().checked().unwrap(), short)
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

/// Cancels once a task of this name starts.
struct CancelAt(&'static str, Cancel, Arc<Mutex<Vec<String>>>);

struct Silent;

impl ProgressTask for Silent {
    fn advance(&self, _: u64) {}
    fn message(&self, _: &str) {}
}

impl Progress for CancelAt {
    fn start(&self, name: &str, _: Option<u64>) -> Box<dyn ProgressTask> {
        self.2.lock().unwrap().push(name.to_owned());
        if name.ends_with(self.0) {
            self.1.cancel();
        }
        Box::new(Silent)
    }
}

#[test]
fn cancelling_stops_every_stage() {
    for (stage, started) in [("features", 1), ("coreset", 2)] {
        let (cancel, seen) = (Cancel::default(), Arc::new(Mutex::new(vec![])));
        let progress = Arc::new(CancelAt(stage, cancel.clone(), seen.clone()));
        let ctx = FitContext {
            progress,
            cancel,
            ..FitContext::default()
        };
        assert!(matches!(
            fit(&["a", "b"], settings(), &ctx),
            Err(PatchCoreError::Model(ModelError::Cancelled { .. }))
        ));
        assert_eq!(seen.lock().unwrap().len(), started, "{stage}");
    }
}

#[test]
fn the_coreset_does_not_hang_on_the_precision_of_scoring() {
    let names = ["a", "b", "c"];
    let of = |precision| {
        fit(
            &names,
            settings(),
            &FitContext {
                precision,
                batch: 2,
                ..Default::default()
            },
        )
    };
    let (exact, short) = (of(Precision::F32).unwrap(), of(Precision::Bf16).unwrap());
    assert_eq!(exact.sources(), short.sources());
    assert_eq!(short.origin().precision, Precision::Bf16);
    // The bank's rows are rounded as queries are: images that are in it are not far from it.
    let all = PatchCoreSettings {
        coreset_ratio: 1.0,
        ..settings()
    };
    let whole = fit(
        &names,
        all,
        &FitContext {
            precision: Precision::Bf16,
            batch: 3,
            ..Default::default()
        },
    );
    let maps = whole.unwrap().maps(&names.map(image)).unwrap();
    assert!(maps.iter().all(|m| m.max() < 1e-3), "{}", maps[0].max());
    let maps = |fitted: &FittedPatchCore| fitted.maps(&[defect("x")]).unwrap()[0].max();
    let (exact, short) = (maps(&exact), maps(&short));
    assert!(
        exact != short && (exact - short).abs() < 0.05 * exact,
        "{exact} {short}"
    );
}
