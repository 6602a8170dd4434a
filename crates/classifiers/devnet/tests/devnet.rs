//! DevNet from labelled images to scores, with small random backbones.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_classifier_devnet::{DevNet, DevNetSettings, FittedDevNet};
use segad_core::{
    Device, FitClassifier, FitContext, Image, ImageClassifier, Precision, Seed, TrainSplit,
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

fn settings() -> DevNetSettings {
    DevNetSettings {
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

fn fit(
    names: &[&str],
    settings: DevNetSettings,
    ctx: &FitContext,
) -> Result<FittedDevNet, ModelError> {
    segad_nn::set_threads(1);
    let params = settings.checked()?;
    let kind = params.backbone;
    let weights = Weights::random(kind, Some(kind.last_tap()), Seed(0)).unwrap();
    DevNet::new(params, weights)?.fit(&split(names).labelled(&TEXTURE), Seed(5), ctx)
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "bad1", "bad2"];

#[test]
fn one_batch_is_learned_by_heart() {
    // Two good and two bad images, a batch of four: every batch is the same.
    let backbone = KIND;
    let settings = DevNetSettings {
        backbone,
        epochs: 2,
        steps_per_epoch: 10,
        learning_rate: 1e-3,
        ..settings()
    };
    let fitted = fit(
        &["a", "b", "bad1", "bad2"],
        settings,
        &FitContext::default(),
    )
    .unwrap();
    let curve: Vec<f64> = fitted.origin().curve.iter().map(|p| p.value).collect();
    assert_eq!(curve.len(), 20);
    let last = curve[15..].iter().sum::<f64>() / 5.0;
    assert!(curve[0] > 1.5 && last < 0.4 * curve[0], "{curve:?}");
    let scores = fitted
        .scores(&["a", "b", "bad1", "bad2"].map(image))
        .unwrap();
    assert!(scores.iter().all(|&s| s >= 0.0));
    let largest_good = scores[0].max(scores[1]);
    assert!(
        scores[2] > largest_good && scores[3] > largest_good,
        "{scores:?}"
    );
}

#[test]
fn budgets_and_interruptions_change_nothing() {
    let settings = || DevNetSettings {
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
    let stop = StopAfter::new("devnet", 4);
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
        DevNetSettings {
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

#[test]
fn every_option_changes_the_model() {
    let ctx = FitContext::default();
    let settings = || DevNetSettings {
        steps_per_epoch: 1,
        ..settings()
    };
    let base = fit(&NAMES, settings(), &ctx)
        .unwrap()
        .scores(&[image("x")])
        .unwrap();
    let changes: [fn(&mut DevNetSettings); 8] = [
        |s| s.criterion = Criterion::Bce,
        |s| s.criterion = Criterion::Focal,
        |s| s.reference = Reference::Standard,
        |s| s.scales = 1,
        |s| s.top_share = 0.0,
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
    let short = DevNetSettings {
        steps_per_epoch: 1,
        epochs: 1,
        batch: 2,
        ..settings()
    };
    let fitted = fit(&NAMES, short, &ctx).unwrap();
    let origin = fitted.origin();
    assert_eq!(
        (origin.good, origin.bad, origin.steps, origin.curve.len()),
        (5, 2, 1, 1)
    );
    assert_eq!(origin.weights, Some(weights().digest()));
    let images = [image("x"), image("bad9"), image("z")];
    let scores = fitted.scores(&images).unwrap();
    let saved = fitted.save().unwrap();
    let load = |saved: &SavedModel| FittedDevNet::load(saved, Device::Cpu, 8);
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
        header: saved.header.replacen("devnet", "dra", 1),
        ..saved
    };
    assert!(
        load(&foreign)
            .err()
            .unwrap()
            .to_string()
            .contains("expected devnet")
    );
}

#[test]
fn published_states_are_imported() {
    let params = DevNetSettings {
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
    assert_eq!(values, 11_176_512 + 513);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
    let file = |more: Vec<(&str, Tensor)>, without: &str| {
        let own = state.iter().map(|(n, t)| (n.as_str(), t));
        let list: Vec<(&str, &Tensor)> = own
            .filter(|(n, _)| *n != without)
            .chain(more.iter().map(|(n, t)| (*n, t)))
            .collect();
        Weights::from_safetensors(&write_tensors(list).unwrap()).unwrap()
    };
    let import =
        |w: &Weights| FittedDevNet::import(params.clone(), w, (Device::Cpu, Precision::F32), 2);
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

    let e = import(&file(vec![], "conv.bias"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("weights of devnet") && e.contains("conv.bias"),
        "{e}"
    );
    let e = import(&file(vec![("conv.bias", zeros(&[2]))], "conv.bias"))
        .err()
        .unwrap();
    assert!(
        matches!(e, ModelError::Nn(NnError::WeightShape { .. })),
        "{e}"
    );
    let e = import(&file(vec![("seen_head.scoring.bias", zeros(&[1]))], ""))
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("seen_head.scoring.bias"), "{e}");
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    let says = |names: &[&str], settings: DevNetSettings, text: &str| {
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
        DevNetSettings {
            learning_rate: 1e37,
            ..settings()
        },
        "training stops",
    );
    // One bad image is enough.
    let fitted = fit(&["a", "b", "bad1"], settings(), &ctx).unwrap();
    assert_eq!(fitted.origin().bad, 1);
    let short = Weights::random(KIND, Some("layer3"), Seed(0)).unwrap();
    let e = DevNet::new(settings().checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer4.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );
}
