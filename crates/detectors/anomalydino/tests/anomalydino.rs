//! AnomalyDINO against NumPy (`fixtures/anomalydino.py`), on the miniature transformer with
//! deterministic weights.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, BoxError, FitContext, FitDetector, Image, ImageId, ImageLoader, Precision,
    Seed, TrainSplit,
};
use segad_detector_anomalydino::{AnomalyDino, AnomalyDinoSettings, FittedAnomalyDino};
use segad_nn::golden::uniform;
use segad_nn::method::DetectorMethod;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{StopAfter, samples};
use segad_nn::{BackboneKind, Weights, set_threads, to_vec};
use serde::Deserialize;

const SIDE: usize = 56;
const KIND: BackboneKind = BackboneKind::MiniatureVit;

/// What the script makes by the same formula.
struct Textures;

impl ImageLoader for Textures {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        let name = id.as_str();
        let mut grey = Vec::with_capacity(SIDE * SIDE);
        for i in 0..SIDE * SIDE {
            let (y, x) = (i / SIDE, i % SIDE);
            let block = (20..34).contains(&y) && (16..30).contains(&x);
            let noise = (64.0 * (uniform(name, i) + 0.5)).floor() as u8;
            let texture = (x % 14 * 10) as u8 + noise;
            grey.push(if block && name.starts_with("bad") {
                255
            } else {
                texture
            });
        }
        Ok(Image::from_grey(SIDE, SIDE, &grey)?)
    }
}

fn image(name: &str) -> Image {
    Textures.load(&ImageId::new(name)).unwrap()
}

fn settings() -> AnomalyDinoSettings {
    AnomalyDinoSettings {
        backbone: KIND,
        image_size: SIDE,
        ..Default::default()
    }
}

fn detector(settings: AnomalyDinoSettings) -> AnomalyDino {
    let weights = Weights::golden(KIND, None).unwrap();
    AnomalyDino::new(settings.checked().unwrap(), weights).unwrap()
}

fn fit(settings: AnomalyDinoSettings, seed: u64, ctx: &FitContext) -> FittedAnomalyDino {
    let split = TrainSplit::new(samples(&["good a", "good b", "good c"])).unwrap();
    let good = split.good(&Textures);
    detector(settings).fit(&good, Seed(seed), ctx).unwrap()
}

#[derive(Deserialize)]
struct Case {
    layers: Vec<String>,
    neighbours: usize,
    rotations: usize,
    top_share: f64,
    images: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    distances: Vec<f64>,
    map: Vec<f64>,
    score: f64,
}

fn close(what: &str, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((f64::from(*a) - e).abs() < 1e-6, "{what}: {a} is not {e}");
    }
}

/// All places are in the bank here, so that no random choice is in the figures.
#[test]
fn distances_maps_and_scores_are_numpys() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/anomalydino.json")).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let settings = AnomalyDinoSettings {
            layers: Some(case.layers),
            neighbours: case.neighbours,
            rotations: case.rotations,
            top_share: case.top_share,
            ..settings()
        };
        let fitted = fit(settings, 0, &FitContext::default());
        assert_eq!(fitted.bank_len(), 3 * case.rotations * 16);
        for expected in case.images {
            let image = image(&expected.name);
            let input = fitted.input(std::slice::from_ref(&image)).unwrap();
            let small = to_vec(&fitted.distances(&input).unwrap()).unwrap();
            close("distances", &small, &expected.distances);
            let map = fitted.maps(&[image]).unwrap().remove(0);
            assert_eq!((map.height(), map.width()), (SIDE, SIDE));
            let some: Vec<f32> = map.values().iter().copied().step_by(311).collect();
            close("map", &some, &expected.map);
            let score = AnomalyDino::map_score(fitted.params()).of(&map);
            close("score", &[score], &[expected.score]);
        }
    }
}

#[test]
fn the_bank_has_its_size_whatever_the_seed_and_the_threads() {
    let few = AnomalyDinoSettings {
        bank_size: 10,
        rotations: 2,
        ..settings()
    };
    let ctx = FitContext::default();
    set_threads(1);
    // 10 patches for 6 pictures: one each.
    let one = fit(few.clone(), 1, &ctx);
    assert_eq!(one.bank_len(), 6);
    let other = fit(few.clone(), 2, &ctx);
    assert_ne!(one.save().unwrap(), other.save().unwrap());
    let maps = one.maps(&[image("good d"), image("bad e")]).unwrap();
    for threads in [2, 3] {
        set_threads(threads);
        let again = fit(few.clone(), 1, &ctx);
        assert_eq!(
            again.save().unwrap(),
            one.save().unwrap(),
            "{threads} threads"
        );
        assert_eq!(
            again.maps(&[image("good d"), image("bad e")]).unwrap(),
            maps
        );
    }
    assert!(maps[1].max() > maps[0].max());
    // A diagonal turn shows only the middle of the grid.
    let turned = AnomalyDinoSettings {
        rotations: 8,
        ..settings()
    };
    assert_eq!(fit(turned, 1, &ctx).bank_len(), 3 * (4 * 16 + 4 * 4));
}

#[test]
fn models_are_read_back_and_foreign_ones_refused() {
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..FitContext::default()
    };
    let fitted = fit(settings(), 0, &ctx);
    let exact = fit(settings(), 0, &FitContext::default());
    let bad = [image("bad e")];
    let apart = fitted.maps(&bad).unwrap()[0].max() / exact.maps(&bad).unwrap()[0].max();
    assert!((0.8..1.25).contains(&apart) && apart != 1.0, "{apart}");
    let saved = fitted.save().unwrap();
    let weights = Weights::golden(KIND, None).unwrap();
    let again = FittedAnomalyDino::load(&saved, &weights, ctx.device, 1).unwrap();
    assert_eq!(again.maps(&bad).unwrap(), fitted.maps(&bad).unwrap());
    assert_eq!(
        (again.params(), again.trained_on()),
        (fitted.params(), fitted.trained_on())
    );
    let foreign = Weights::random(KIND, None, Seed(9)).unwrap();
    let e = FittedAnomalyDino::load(&saved, &foreign, ctx.device, 1)
        .err()
        .unwrap();
    assert!(matches!(e, ModelError::OtherWeights { .. }), "{e}");
}

#[test]
fn wrong_weights_no_images_and_interruptions_are_errors() {
    let params = settings().checked().unwrap();
    let other = Weights::golden(BackboneKind::Miniature, None).unwrap();
    let e = AnomalyDino::new(params, other).err().unwrap().to_string();
    assert!(
        e.contains("blocks.0.attn.qkv.weight") && e.contains("`fetch`"),
        "{e}"
    );
    let folder = tempfile::tempdir().unwrap();
    let stop = StopAfter::new("anomalydino", 1);
    let split = TrainSplit::new(samples(&["good a", "good b"])).unwrap();
    let good = split.good(&Textures);
    let stopped = detector(settings()).fit(&good, Seed(0), &stop.context(folder.path()));
    assert!(matches!(stopped, Err(ModelError::Cancelled { .. })));
    assert_eq!((stop.done(), stop.total()), (1, Some(2)));
}
