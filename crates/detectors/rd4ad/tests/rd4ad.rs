//! RD4AD from images to maps, with small random encoders.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{
    AnomalyDetector, Device, FitContext, FitDetector, Image, Precision, Seed, TrainSplit,
};
use segad_detector_rd4ad::{
    BottleneckWidth, Combine, FittedRd4ad, Loss, Rd4ad, Rd4adSettings, parameters,
};
use segad_nn::method::FittedDetector;
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{StopAfter, Texture, samples};
use segad_nn::train::TrainError;
use segad_nn::{BackboneKind, NnError, SavedModel, Weights, write_tensors};
use tch::Tensor;

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 64;
const TEXTURE: Texture = Texture(SIZE);

fn weights() -> Weights {
    Weights::random(KIND, Some("layer3"), Seed(0)).unwrap()
}

fn settings() -> Rd4adSettings {
    Rd4adSettings {
        backbone: KIND,
        image_size: SIZE,
        epochs: 2,
        batch: 2,
        ..Default::default()
    }
}

/// Of a student with a tenth of the variables.
fn small() -> Rd4adSettings {
    Rd4adSettings {
        backbone: BackboneKind::EfficientnetLite2,
        ..settings()
    }
}

fn fit(
    names: &[&str],
    settings: Rd4adSettings,
    ctx: &FitContext,
) -> Result<FittedRd4ad, ModelError> {
    let split = TrainSplit::new(samples(names)).unwrap();
    let params = settings.checked()?;
    let last = params.layers()[2].clone();
    let weights = Weights::random(params.backbone, Some(&last), Seed(0)).unwrap();
    Rd4ad::new(params, weights)?.fit(&split.good(&TEXTURE), Seed(5), ctx)
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

/// With a bright block at rows and columns 40…51.
fn defect(name: &str) -> Image {
    TEXTURE.defect(name, 40, 52).unwrap()
}

#[test]
fn defects_stand_out_where_they_are() {
    let settings = Rd4adSettings {
        epochs: 15,
        batch: 4,
        ..settings()
    };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let fitted = fit(&names, settings, &FitContext::default()).unwrap();
    assert_eq!(
        (
            fitted.origin().images,
            fitted.origin().steps,
            fitted.curve().len()
        ),
        (8, 30, 30)
    );
    let curve: Vec<f64> = fitted.curve().iter().map(|p| p.value).collect();
    assert!(curve[29] < 0.4 * curve[0], "{curve:?}");
    let maps = fitted.maps(&[image("x"), defect("x")]).unwrap();
    assert_eq!((maps[0].height(), maps[0].width()), (SIZE, SIZE));
    assert!(
        maps.iter()
            .all(|m| m.values().iter().all(|v| (0.0..=3.0).contains(v)))
    );
    assert!(
        maps[1].max() > maps[0].max(),
        "{} {}",
        maps[1].max(),
        maps[0].max()
    );
    let centre = 46 * SIZE + 46;
    let (good, bad) = (maps[0].values()[centre], maps[1].values()[centre]);
    assert!(bad > 1.3 * good, "{bad} {good}");
    // What the block alone changes: after so few steps, a border may be the largest place anyway.
    let change = |i: usize| maps[1].values()[i] - maps[0].values()[i];
    let at = (0..SIZE * SIZE)
        .max_by(|&a, &b| change(a).total_cmp(&change(b)))
        .unwrap();
    assert!(
        (36..56).contains(&(at / SIZE)) && (36..56).contains(&(at % SIZE)),
        "{at}"
    );
}

#[test]
fn budgets_and_interruptions_change_nothing() {
    let names = ["a", "b", "c", "d", "e"];
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
    let stop = StopAfter::new("rd4ad", 4);
    let ctx = stop.context(folder.path());
    let stopped = fit(&names, small(), &ctx).err().unwrap();
    assert!(
        matches!(stopped, ModelError::Cancelled { step: Some(4), .. }),
        "{stopped}"
    );
    assert_eq!((stop.done(), stop.total()), (4, Some(6)));
    let ctx = FitContext {
        checkpoints: Some(folder.path().to_owned()),
        ..FitContext::default()
    };
    assert_eq!(whole, fit(&names, small(), &ctx).unwrap().save().unwrap());
    // The checkpoint is this training's alone.
    let other = fit(
        &names,
        Rd4adSettings {
            loss: Loss::PerPixel,
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
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..FitContext::default()
    };
    let options = Rd4adSettings {
        bottleneck: BottleneckWidth::Full,
        loss: Loss::PerPixel,
        combine: Combine::Multiply,
        ..settings()
    };
    let fitted = fit(&["a", "b", "c"], options, &ctx).unwrap();
    let images = [image("x"), defect("y"), image("z")];
    let maps = fitted.maps(&images).unwrap();
    assert!(
        maps.iter()
            .all(|m| m.values().iter().all(|v| (0.0..=1.0).contains(v)))
    );
    let saved = fitted.save().unwrap();
    let (same, other) = (
        weights(),
        Weights::random(KIND, Some("layer3"), Seed(1)).unwrap(),
    );
    let load =
        |saved: &SavedModel, weights| FittedRd4ad::load(saved, weights, Device::Cpu, ctx.batch);
    let again = load(&saved, &same).unwrap();
    assert_eq!(
        (again.origin(), again.params(), again.curve()),
        (fitted.origin(), fitted.params(), fitted.curve())
    );
    assert_eq!(again.origin().precision, Precision::Bf16);
    assert_eq!(again.save().unwrap(), saved);
    for (a, b) in maps.iter().zip(again.maps(&images).unwrap()) {
        assert_eq!(a.values(), b.values());
    }
    assert!(again.maps(&[]).unwrap().is_empty());
    // In f32, batches of another size change no more than last bits.
    let header = saved
        .header
        .replace("\"precision\": \"bf16\"", "\"precision\": \"f32\"");
    assert_ne!(header, saved.header);
    let exact = SavedModel {
        header,
        ..saved.clone()
    };
    let [few, all] = [2, ctx.batch].map(|batch| {
        FittedRd4ad::load(&exact, &same, Device::Cpu, batch)
            .unwrap()
            .maps(&images)
            .unwrap()
    });
    for (a, b) in few.iter().zip(&all) {
        assert!(
            (a.max() - b.max()).abs() < 1e-3 * a.max(),
            "{} {}",
            a.max(),
            b.max()
        );
    }

    assert!(matches!(
        load(&saved, &other),
        Err(ModelError::OtherWeights { .. })
    ));
    let mut damaged = saved;
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
fn published_states_are_imported() {
    let params = settings().checked().unwrap();
    let fitted = fit(&["a", "b"], settings(), &FitContext::default()).unwrap();
    let state = fitted.tensors();
    let file = |rename: &dyn Fn(&str) -> String, more: &[(String, Tensor)]| {
        let mut list: Vec<(String, Tensor)> = state
            .iter()
            .map(|(name, t)| (rename(name), t.shallow_clone()))
            .collect();
        list.extend(
            more.iter()
                .map(|(name, t)| (name.clone(), t.shallow_clone())),
        );
        let list: Vec<(&str, &Tensor)> = list.iter().map(|(name, t)| (name.as_str(), t)).collect();
        Weights::from_safetensors(&write_tensors(list).unwrap()).unwrap()
    };
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu));
    let import = |state: &Weights| {
        FittedRd4ad::import(
            params.clone(),
            state,
            &weights(),
            (Device::Cpu, Precision::F32),
            2,
        )
    };
    let expected = fitted.maps(&[defect("x")]).unwrap();
    let anomalib = file(
        &|name| format!("model.{name}"),
        &[
            (
                "model.encoder.feature_extractor.conv1.weight".to_owned(),
                zeros(&[64, 3, 7, 7]),
            ),
            (
                "model.bottleneck.bn1.num_batches_tracked".to_owned(),
                zeros(&[1]),
            ),
        ],
    );
    let dead = parameters(&params, true).split_off(parameters(&params, false).len());
    assert_eq!(dead.len(), 5);
    let dead: Vec<(String, Tensor)> = dead
        .iter()
        .map(|p| (p.name.replacen("bottleneck.", "bn.", 1), zeros(&p.shape)))
        .collect();
    let official = file(&|name| name.replacen("bottleneck.", "bn.", 1), &dead);
    for state in [&anomalib, &official] {
        let imported = import(state).unwrap();
        assert_eq!(imported.maps(&[defect("x")]).unwrap(), expected);
        assert_eq!(imported.origin().images, 0);
    }
    let strange = file(
        &str::to_owned,
        &[("decoder.layer4.0.conv1.weight".to_owned(), zeros(&[1]))],
    );
    let e = import(&strange).err().unwrap();
    assert!(
        matches!(&e, ModelError::Nn(NnError::WeightNames { unexpected, .. }) if unexpected.len() == 1),
        "{e}"
    );
    let wide = Rd4adSettings {
        bottleneck: BottleneckWidth::Full,
        ..settings()
    };
    let e = FittedRd4ad::import(
        wide.checked().unwrap(),
        &official,
        &weights(),
        (Device::Cpu, Precision::F32),
        2,
    );
    let e = e.err().unwrap();
    assert!(
        matches!(e, ModelError::Nn(NnError::WeightShape { .. })),
        "{e}"
    );
}

#[test]
fn efficientnets_can_be_encoders() {
    let fitted = fit(
        &["a", "b", "c"],
        Rd4adSettings {
            epochs: 4,
            ..small()
        },
        &FitContext::default(),
    )
    .unwrap();
    assert_eq!(fitted.params().layers(), ["stage1", "stage2", "stage4"]);
    let curve = fitted.curve();
    assert!(curve[curve.len() - 1].value < curve[0].value, "{curve:?}");
    let maps = fitted.maps(&[image("x"), image("flat")]).unwrap();
    assert!(
        maps.iter()
            .all(|m| m.values().iter().all(|v| (0.0..=6.0).contains(v)))
    );
}

#[test]
fn errors_name_the_cause() {
    let ctx = FitContext::default();
    assert!(matches!(
        fit(&[], small(), &ctx),
        Err(ModelError::TooFewImages { actual: 0, .. })
    ));
    let e = fit(&["a"], small(), &ctx).err().unwrap().to_string();
    assert!(
        e.contains("1 good training images; expected at least 2"),
        "{e}"
    );
    let e = fit(&["a", "gone.png"], small(), &ctx)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("gone.png") && e.contains("no such file"), "{e}");
    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = Rd4ad::new(settings().checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer3.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );
    let e = fit(
        &["a", "b"],
        Rd4adSettings {
            learning_rate: 1e37,
            ..small()
        },
        &ctx,
    )
    .err()
    .unwrap();
    assert!(
        matches!(e, ModelError::Train(TrainError::Diverged { .. })),
        "{e}"
    );
    // Images without any structure are no reason to fail.
    let fitted = fit(&["flat1", "flat2"], small(), &ctx).unwrap();
    assert!(fitted.maps(&[image("flat3")]).unwrap()[0].max() >= 0.0);
}
