//! WRN from images to logits, with small random networks.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_classifier_wrn::{FittedWrn, Profile, Wrn, WrnSettings};
use segad_core::{
    Device, FitClassifier, FitContext, Image, ImageClassifier, ImageId, Label, Precision, Sample,
    Seed, TrainSplit,
};
use segad_nn::method::FittedClassifier;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{StopAfter, Texture, samples};
use segad_nn::train::TrainError;
use segad_nn::{BackboneKind, SavedModel, Weights};

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 32;
const TEXTURE: Texture = Texture(SIZE);

fn weights() -> Weights {
    Weights::random(KIND, Some("layer4"), Seed(0)).unwrap()
}

fn settings() -> WrnSettings {
    WrnSettings {
        backbone: KIND,
        image_size: SIZE,
        epochs: 2,
        train_share: 1.0,
        ..Default::default()
    }
}

fn fit(names: &[&str], settings: WrnSettings, ctx: &FitContext) -> Result<FittedWrn, ModelError> {
    let split = TrainSplit::new(samples(names)).unwrap();
    Wrn::new(settings.checked()?, weights())?.fit(&split.labelled(&TEXTURE), Seed(5), ctx)
}

fn images(names: &[&str]) -> Vec<Image> {
    names.iter().map(|n| TEXTURE.image(n).unwrap()).collect()
}

#[test]
fn one_batch_is_learned_by_heart() {
    let names = ["good1", "bad1", "good2", "bad2"];
    let settings = WrnSettings {
        epochs: 30,
        learning_rate: 0.01,
        profile: Profile::Paper,
        ..settings()
    };
    let fitted = fit(&names, settings, &FitContext::default()).unwrap();
    let curve = fitted.curve();
    assert_eq!(curve.len(), 30);
    let tail = curve[25..].iter().map(|p| p.value).sum::<f64>() / 5.0;
    assert!(tail < 0.1 * curve[0].value, "{curve:?}");
    let scores = fitted.scores(&images(&names)).unwrap();
    assert!(
        scores[0].max(scores[2]) < scores[1].min(scores[3]),
        "{scores:?}"
    );
    // What is like the training images is told as well.
    let scores = fitted.scores(&images(&["good9", "bad9"])).unwrap();
    assert!(scores[0] < scores[1], "{scores:?}");
}

#[test]
fn the_held_out_part_is_reported() {
    let names: Vec<String> = (0..5)
        .flat_map(|i| [format!("good{i}"), format!("bad{i}")])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fitted = fit(
        &names,
        WrnSettings {
            train_share: 0.8,
            ..settings()
        },
        &FitContext::default(),
    )
    .unwrap();
    let origin = fitted.origin();
    assert_eq!((origin.good, origin.bad, origin.steps), (4, 4, 4));
    let held_out = origin.held_out.unwrap();
    assert_eq!((held_out.good, held_out.bad), (1, 1));
    assert!([0.0, 0.5, 1.0].contains(&held_out.auroc));
    let all = fit(&names, settings(), &FitContext::default())
        .unwrap()
        .origin();
    assert_eq!((all.good, all.bad, all.held_out), (5, 5, None));
}

#[test]
fn budgets_and_interruptions_change_nothing() {
    let names = ["good1", "bad1", "good2", "bad2", "good3"];
    let small = || WrnSettings {
        batch: 2,
        ..settings()
    };
    let whole = fit(&names, small(), &FitContext::default())
        .unwrap()
        .save()
        .unwrap();
    let none = FitContext {
        memory: 0,
        ..FitContext::default()
    };
    assert_eq!(whole, fit(&names, small(), &none).unwrap().save().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let stop = StopAfter::new("wrn", 3);
    let stopped = fit(&names, small(), &stop.context(folder.path()))
        .err()
        .unwrap();
    assert!(
        matches!(stopped, ModelError::Cancelled { step: Some(3), .. }),
        "{stopped}"
    );
    assert_eq!((stop.done(), stop.total()), (3, Some(4)));
    let ctx = FitContext {
        checkpoints: Some(folder.path().to_owned()),
        ..FitContext::default()
    };
    assert_eq!(whole, fit(&names, small(), &ctx).unwrap().save().unwrap());
    let other = fit(
        &names,
        WrnSettings {
            gamma: 1.0,
            ..small()
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
fn saved_models_read_back_and_damage_is_found() {
    let names = ["good1", "bad1", "good2", "bad2"];
    let fitted = fit(
        &names,
        WrnSettings {
            frozen_statistics: true,
            ..settings()
        },
        &FitContext::default(),
    );
    let fitted = fitted.unwrap();
    // Frozen statistics are still the first ones; weights are not.
    let (state, first) = (fitted.tensors(), weights());
    let same = |name: &str| state[name].equal(&first.tensors()[name]);
    assert!(same("layer4.1.bn2.running_mean") && !same("layer4.1.bn2.weight"));
    assert_eq!(
        (state["fc.weight"].size(), state["fc.bias"].size()),
        (vec![1, 512], vec![1])
    );

    let saved = fitted.save().unwrap();
    let load = |saved: &SavedModel| FittedWrn::load(saved, Device::Cpu, 2);
    let again = load(&saved).unwrap();
    assert_eq!(
        (again.origin(), again.params(), again.curve()),
        (fitted.origin(), fitted.params(), fitted.curve())
    );
    assert_eq!(again.origin().precision, Precision::F32);
    assert_eq!(again.save().unwrap(), saved);
    let x = images(&["good7", "bad7", "bad8"]);
    let (a, b) = (fitted.scores(&x).unwrap(), again.scores(&x).unwrap());
    assert!(
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4),
        "{a:?} {b:?}"
    );
    assert!(again.scores(&[]).unwrap().is_empty());
    let mut damaged = saved;
    *damaged.tensors.last_mut().unwrap() ^= 1;
    assert!(
        load(&damaged)
            .err()
            .unwrap()
            .to_string()
            .contains("damaged")
    );
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    let says = |names: &[&str], settings: WrnSettings, text: &str| {
        let e = fit(names, settings, &ctx).err().unwrap().to_string();
        assert!(e.contains(text), "{e}");
    };
    says(
        &["good1", "good2"],
        settings(),
        "2 good and 0 bad training images",
    );
    says(&["bad1"], settings(), "0 good and 1 bad");
    says(&[], settings(), "0 good and 0 bad");
    says(
        &["good1", "bad1"],
        settings(),
        "2 samples do not fill a batch of 4",
    );
    says(
        &["good1", "gone1", "good2", "bad1"],
        settings(),
        "gone1: no such file",
    );
    says(
        &["good1", "bad1"],
        WrnSettings {
            batch: 2,
            learning_rate: 1e30,
            ..settings()
        },
        "training stops",
    );
    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = Wrn::new(settings().checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer3.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );
    // One bad image is enough to train, and so is a strong imbalance.
    let one = ["good1", "good2", "good3", "bad1"];
    let fitted = fit(
        &one,
        WrnSettings {
            epochs: 1,
            batch: 2,
            ..settings()
        },
        &ctx,
    )
    .unwrap();
    assert_eq!((fitted.origin().good, fitted.origin().bad), (3, 1));
}

#[test]
fn efficientnets_can_be_trained() {
    let backbone = BackboneKind::EfficientnetLite0;
    let weights = Weights::random(backbone, None, Seed(0)).unwrap();
    let settings = WrnSettings {
        backbone,
        epochs: 1,
        batch: 2,
        ..settings()
    };
    let sample = |n: &str, label| Sample::new(ImageId::new(n), label);
    let split =
        TrainSplit::new(vec![sample("good", Label::Good), sample("bad", Label::Bad)]).unwrap();
    let classifier = Wrn::new(settings.checked().unwrap(), weights).unwrap();
    let fitted = classifier
        .fit(&split.labelled(&TEXTURE), Seed(1), &FitContext::default())
        .unwrap();
    assert_eq!(
        fitted
            .scores(&images(&["good", "bad", "bad2"]))
            .unwrap()
            .len(),
        3
    );
}
