//! DRA from labelled images to scores, with small random backbones.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_classifier_dra::{Dra, DraSettings, FittedDra};
use segad_core::{
    Device, FitClassifier, FitContext, Image, ImageClassifier, ImageId, Precision, Seed, TrainSplit,
};
use segad_nn::method::FittedClassifier;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{StopAfter, Texture, samples};
use segad_nn::train::TrainError;
use segad_nn::train::deviation::{Criterion, Reference};
use segad_nn::{BackboneKind, NnError, SavedModel, Weights, write_tensors};
use tch::{Kind, Tensor};

const KIND: BackboneKind = BackboneKind::Miniature;
const SIZE: usize = 64;
const TEXTURE: Texture = Texture(SIZE);

fn weights() -> Weights {
    Weights::random(KIND, Some(KIND.last_tap()), Seed(0)).unwrap()
}

fn settings() -> DraSettings {
    DraSettings {
        backbone: KIND,
        image_size: SIZE,
        epochs: 2,
        steps_per_epoch: 3,
        batch: 4,
        ..Default::default()
    }
}

fn split(names: &[&str]) -> TrainSplit {
    TrainSplit::new(samples(names)).unwrap()
}

fn fit(names: &[&str], settings: DraSettings, ctx: &FitContext) -> Result<FittedDra, ModelError> {
    segad_nn::set_threads(1);
    let params = settings.checked()?;
    let kind = params.backbone;
    let weights = Weights::random(kind, Some(kind.last_tap()), Seed(0)).unwrap();
    Dra::new(params, weights)?.fit(&split(names).labelled(&TEXTURE), Seed(5), ctx)
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "bad1", "bad2"];

#[test]
fn defects_are_learned() {
    let settings = DraSettings {
        epochs: 3,
        steps_per_epoch: 20,
        batch: 9,
        learning_rate: 3e-3,
        ..settings()
    };
    let fitted = fit(
        &["a", "b", "c", "bad1", "bad2"],
        settings,
        &FitContext::default(),
    )
    .unwrap();
    let losses = |name: &str| -> Vec<f64> {
        fitted
            .curve()
            .iter()
            .filter(|p| p.name == name)
            .map(|p| p.value)
            .collect()
    };
    let curve = losses("loss");
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&curve[50..]) < 0.6 * mean(&curve[..5]), "{curve:?}");
    for (step, total) in curve.iter().enumerate() {
        let parts = ["holistic", "seen", "pseudo", "composite"].map(|name| losses(name)[step]);
        assert!(
            (parts.iter().sum::<f64>() - total).abs() < 1e-4,
            "{parts:?} {total}"
        );
    }
    let scores = fitted
        .scores(&["a", "b", "c", "bad1", "bad2"].map(image))
        .unwrap();
    let largest_good = scores[..3].iter().fold(f32::MIN, |m, s| m.max(*s));
    assert!(
        scores[3] > largest_good && scores[4] > largest_good,
        "{scores:?}"
    );
}

#[test]
fn budgets_and_interruptions_change_nothing() {
    let settings = || DraSettings {
        rotate: true,
        ..settings()
    };
    let whole = fit(&NAMES, settings(), &FitContext::default())
        .unwrap()
        .save()
        .unwrap();
    let none = FitContext {
        memory: 0,
        ..FitContext::default()
    };
    assert_eq!(
        whole,
        fit(&NAMES, settings(), &none).unwrap().save().unwrap()
    );

    let folder = tempfile::tempdir().unwrap();
    let stop = StopAfter::new("dra", 4);
    let ctx = stop.context(folder.path());
    let stopped = fit(&NAMES, settings(), &ctx).err().unwrap();
    assert!(
        matches!(stopped, ModelError::Cancelled { step: Some(4), .. }),
        "{stopped}"
    );
    assert_eq!((stop.done(), stop.total()), (4, Some(6)));
    let ctx = FitContext {
        checkpoints: Some(folder.path().to_owned()),
        ..FitContext::default()
    };
    assert_eq!(
        whole,
        fit(&NAMES, settings(), &ctx).unwrap().save().unwrap()
    );
    // The checkpoint is this training's alone.
    let other = fit(
        &NAMES,
        DraSettings {
            margin: 4.0,
            ..settings()
        },
        &ctx,
    )
    .err()
    .unwrap();
    assert!(
        matches!(other, ModelError::Train(TrainError::Checkpoint { .. })),
        "{other}"
    );
}

/// A score must not depend on the images beside it.
#[test]
fn scores_are_of_each_image_alone() {
    let fitted = fit(
        &NAMES,
        DraSettings {
            steps_per_epoch: 1,
            ..settings()
        },
        &FitContext::default(),
    )
    .unwrap();
    let names = ["u", "v", "bad3", "w"];
    let together = fitted.scores(&names.map(image)).unwrap();
    for (name, score) in names.iter().zip(together) {
        let alone = fitted.scores(&[image(name)]).unwrap()[0];
        assert!(
            (alone - score).abs() < 1e-4 * score.abs().max(1.0),
            "{name}: {alone} {score}"
        );
    }
    let mut references: Vec<&str> = fitted
        .origin()
        .references
        .iter()
        .map(ImageId::as_str)
        .collect();
    references.dedup();
    assert!(
        references.len() == 5 && references.iter().all(|n| !n.contains("bad")),
        "{references:?}"
    );
}

#[test]
fn every_option_changes_the_model() {
    let ctx = FitContext::default();
    let settings = || DraSettings {
        steps_per_epoch: 1,
        ..settings()
    };
    let base = fit(&NAMES, settings(), &ctx)
        .unwrap()
        .scores(&[image("x")])
        .unwrap();
    let changes: [fn(&mut DraSettings); 10] = [
        |s| s.criterion = Criterion::Bce,
        |s| s.criterion = Criterion::Focal,
        |s| s.reference = Reference::Standard,
        |s| s.scales = 1,
        |s| s.top_share = 0.0,
        |s| s.references = 2,
        |s| s.strict_official = true,
        |s| s.rotate = true,
        |s| s.clip_norm = 1e-3,
        |s| s.decay_every = 1,
    ];
    for change in changes {
        let mut other = settings();
        change(&mut other);
        let scores = fit(&NAMES, other.clone(), &ctx)
            .unwrap()
            .scores(&[image("x")])
            .unwrap();
        assert_ne!(scores, base, "{other:?}");
    }
}

#[test]
fn saved_models_read_back_and_damage_is_found() {
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..FitContext::default()
    };
    let short = DraSettings {
        steps_per_epoch: 1,
        epochs: 1,
        batch: 2,
        references: 3,
        ..settings()
    };
    let fitted = fit(&NAMES, short, &ctx).unwrap();
    let origin = fitted.origin();
    assert_eq!(
        (origin.good, origin.bad, origin.steps, origin.curve.len()),
        (5, 2, 1, 5)
    );
    assert_eq!(origin.weights, Some(weights().digest()));
    assert_eq!(origin.references.len(), 3);
    let images = [image("x"), image("bad9"), image("z")];
    let scores = fitted.scores(&images).unwrap();
    let saved = fitted.save().unwrap();
    let load = |saved: &SavedModel| FittedDra::load(saved, Device::Cpu, 8);
    let again = load(&saved).unwrap();
    assert_eq!((again.origin(), again.params()), (origin, fitted.params()));
    assert_eq!(again.scores(&images).unwrap(), scores);
    assert_eq!(again.save().unwrap(), saved);
    assert!(again.scores(&[]).unwrap().is_empty());
    let mut damaged = saved.clone();
    *damaged.tensors.last_mut().unwrap() ^= 1;
    assert!(
        load(&damaged)
            .err()
            .unwrap()
            .to_string()
            .contains("damaged")
    );
    let foreign = SavedModel {
        header: saved.header.replacen("dra", "devnet", 1),
        ..saved
    };
    assert!(
        load(&foreign)
            .err()
            .unwrap()
            .to_string()
            .contains("expected dra")
    );
}

#[test]
fn published_states_are_imported() {
    let params = DraSettings {
        backbone: BackboneKind::Resnet18,
        ..settings()
    }
    .checked()
    .unwrap();
    let state: Vec<(String, Tensor)> = params
        .parameters()
        .iter()
        .map(|p| {
            (
                p.name.clone(),
                segad_nn::golden::parameter(&p.name, &p.shape).unwrap(),
            )
        })
        .collect();
    let values: i64 = params
        .parameters()
        .iter()
        .filter(|p| p.trainable)
        .map(|p| p.numel())
        .sum();
    assert_eq!(values, 11_176_512 + 131_585 + 513 + 513 + 2_361_345);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
    let file = |more: Vec<(&str, Tensor)>, without: &str| {
        let own = state.iter().map(|(n, t)| (n.as_str(), t));
        let list: Vec<(&str, &Tensor)> = own
            .filter(|(n, _)| *n != without)
            .chain(more.iter().map(|(n, t)| (*n, t)))
            .collect();
        Weights::from_safetensors(&write_tensors(list).unwrap()).unwrap()
    };
    let import = |w: &Weights| {
        FittedDra::import(
            params.clone(),
            w,
            &[image("r"), image("s")],
            (Device::Cpu, Precision::F32),
            2,
        )
    };
    let official = file(
        vec![
            ("feature_extractor.net.fc.weight", zeros(&[1000, 512])),
            ("feature_extractor.net.fc.bias", zeros(&[1000])),
            ("feature_extractor.net.bn1.num_batches_tracked", zeros(&[1])),
        ],
        "",
    );
    let a = import(&official).unwrap();
    let b = import(&file(vec![], "")).unwrap();
    assert_eq!(
        a.scores(&[image("x")]).unwrap(),
        b.scores(&[image("x")]).unwrap()
    );
    assert_eq!(a.tensors().len(), state.len());
    assert_eq!((a.origin().good, a.origin().steps), (0, 0));

    let bias = "holistic_head.fc2.bias";
    let e = import(&file(vec![], bias)).err().unwrap().to_string();
    assert!(e.contains("weights of dra") && e.contains(bias), "{e}");
    let e = import(&file(vec![(bias, zeros(&[2]))], bias))
        .err()
        .unwrap();
    assert!(
        matches!(e, ModelError::Nn(NnError::WeightShape { .. })),
        "{e}"
    );
    let e = import(&file(vec![("conv.bias", zeros(&[1]))], ""))
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("conv.bias"), "{e}");
    let none = FittedDra::import(
        params.clone(),
        &official,
        &[],
        (Device::Cpu, Precision::F32),
        2,
    );
    assert!(matches!(none, Err(ModelError::Nn(NnError::EmptyBatch))));
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    let says = |names: &[&str], settings: DraSettings, text: &str| {
        let e = fit(names, settings, &ctx).err().unwrap().to_string();
        assert!(e.contains(text), "{e}");
    };
    says(
        &[],
        settings(),
        "0 good and 0 bad training images; expected at least 2 good and 1 bad",
    );
    says(
        &["a", "bad1"],
        settings(),
        "1 good and 1 bad training images",
    );
    says(
        &["a", "b", "c"],
        settings(),
        "3 good and 0 bad training images",
    );
    says(
        &["a", "b", "gone-bad.png"],
        settings(),
        "gone-bad.png: no such file",
    );
    says(
        &NAMES,
        DraSettings {
            learning_rate: 1e37,
            ..settings()
        },
        "training stops",
    );
    // One bad image is enough.
    let fitted = fit(&["a", "b", "bad1"], settings(), &ctx).unwrap();
    assert_eq!(fitted.origin().bad, 1);
    let short = Weights::random(KIND, Some("layer3"), Seed(0)).unwrap();
    let e = Dra::new(settings().checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer4.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );
}
