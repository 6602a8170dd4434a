//! Frozen features from images to scores, with small random networks.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_classifier_frozen::{
    Embedder, FittedFrozen, FittedHead, Frozen, FrozenError, FrozenSettings, Head, Pool, fit,
};
use segad_core::{
    Cancel, Device, FeatureTable, FitClassifier, FitContext, Image, ImageClassifier, ImageId,
    Label, Precision, Seed, TrainSplit,
};
use segad_forest::{ForestSettings, Preset};
use segad_nn::model::{ModelError, Settings};
use segad_nn::testing::{Texture, samples};
use segad_nn::{BackboneKind, Weights};

const KIND: BackboneKind = BackboneKind::Resnet18;
const SIZE: usize = 32;
const TEXTURE: Texture = Texture(SIZE);

fn weights() -> Weights {
    Weights::random(KIND, Some("layer3"), Seed(0)).unwrap()
}

fn settings(head: Head) -> FrozenSettings {
    let layers = Some(vec!["layer1".to_owned(), "layer3".to_owned()]);
    let pools = vec![Pool::Mean, Pool::Top];
    FrozenSettings {
        head,
        backbone: KIND,
        layers,
        pools,
        image_size: SIZE,
        ..Default::default()
    }
}

fn split(names: &[String]) -> TrainSplit {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    TrainSplit::new(samples(&names)).unwrap()
}

fn named(good: usize, bad: usize) -> Vec<String> {
    (0..good)
        .map(|i| format!("good{i}"))
        .chain((0..bad).map(|i| format!("bad{i}")))
        .collect()
}

fn fitted(names: &[String], settings: FrozenSettings) -> Result<FittedFrozen, FrozenError> {
    let frozen = Frozen::new(settings.checked()?, weights())?;
    frozen.fit(
        &split(names).labelled(&TEXTURE),
        Seed(5),
        &FitContext::default(),
    )
}

fn image(name: &str) -> Image {
    TEXTURE.image(name).unwrap()
}

#[test]
fn both_heads_tell_bars_from_noise_and_read_back() {
    // Leaves of less than one in the sum of second derivatives are not made: few images need a
    // smaller limit.
    let trees = ForestSettings {
        rounds: Some(30),
        min_child_weight: Some(0.1),
        ..Preset::Bt.into()
    };
    for settings in [
        settings(Head::Logistic),
        FrozenSettings {
            trees: Some(trees),
            ..settings(Head::Trees)
        },
    ] {
        let fitted = fitted(&named(12, 4), settings.clone()).unwrap();
        let origin = fitted.head().origin();
        assert_eq!((origin.good, origin.bad), (12, 4));
        let unseen = [
            image("good90"),
            image("good91"),
            image("bad90"),
            image("bad91"),
        ];
        let scores = fitted.scores(&unseen).unwrap();
        assert!(
            scores[0].max(scores[1]) < scores[2].min(scores[3]),
            "{scores:?}"
        );
        assert_eq!(fitted.scores(&unseen[2..]).unwrap(), scores[2..]);
        assert!(fitted.scores(&[]).unwrap().is_empty());

        let saved = fitted.head().save().unwrap();
        let head = FittedHead::load(&saved).unwrap();
        assert_eq!(&head, fitted.head());
        let params = settings.clone().checked().unwrap();
        let embedder = Embedder::new(
            &params.derived().embedding,
            &weights(),
            Device::Cpu,
            Precision::F32,
            3,
        )
        .unwrap();
        // By operations on tensors alone, as other programs do it.
        let rows = embedder.network(&embedder.input(&unseen).unwrap());
        let out = head.network().unwrap()(&rows.unwrap());
        let out = segad_nn::to_vec(&out.unwrap()).unwrap();
        let logits = match head.trees() {
            None => out,
            Some(trees) => {
                let ids = unseen
                    .iter()
                    .enumerate()
                    .map(|(i, _)| ImageId::new(format!("{i}")))
                    .collect();
                trees
                    .margins(&FeatureTable::new(head.columns().to_vec(), ids, out).unwrap())
                    .unwrap()
            }
        };
        assert_eq!(head.trees().is_some(), settings.head == Head::Trees);
        for (a, b) in logits.iter().zip(&scores) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        let again = FittedFrozen::new(embedder, head).unwrap();
        for (a, b) in again.scores(&unseen).unwrap().iter().zip(&scores) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        let mut damaged = saved.clone();
        match damaged.tensors.last_mut() {
            Some(byte) if settings.head == Head::Logistic => *byte ^= 1,
            _ => damaged.header = damaged.header.replacen("trees\": \"73", "trees\": \"74", 1),
        }
        assert_ne!(damaged, saved);
        assert!(FittedHead::load(&damaged).is_err());
    }
}

#[test]
fn rows_do_not_depend_on_the_batch_and_fits_take_them() {
    let params = settings(Head::Logistic).checked().unwrap();
    let rows = |batch: usize, images: &[Image]| {
        let e = Embedder::new(
            &params.derived().embedding,
            &weights(),
            Device::Cpu,
            Precision::F32,
            batch,
        )
        .unwrap();
        assert_eq!(e.names().len(), 2 * (64 + 256));
        assert_eq!(
            (e.names()[0].as_str(), e.names()[639].as_str()),
            ("layer1.mean.0", "layer3.top.255")
        );
        e.rows(images).unwrap()
    };
    let names = named(5, 3);
    let images: Vec<Image> = names.iter().map(|n| image(n)).collect();
    let (all, one) = (rows(8, &images), rows(1, &images));
    assert!(
        all.iter()
            .zip(&one)
            .all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0))
    );

    let ids = names.iter().map(ImageId::new).collect();
    let whole = fitted(&names, settings(Head::Logistic)).unwrap();
    let table = FeatureTable::new(whole.head().columns().to_vec(), ids, one).unwrap();
    let labels: Vec<Label> = split(&names).samples().iter().map(|s| s.label).collect();
    let from_rows = fit(&params, &table, &labels, Seed(5)).unwrap();
    assert_eq!(from_rows.save().unwrap(), whole.head().save().unwrap());
    let fewer = table.select_columns(|n| n.starts_with("layer1"));
    let e = from_rows.scores(&fewer).unwrap_err().to_string();
    assert!(e.contains("128 columns, expected 640"), "{e}");
}

#[test]
fn errors_name_the_cause() {
    for head in [Head::Logistic, Head::Trees] {
        let says = |names: &[String], text: &str| {
            let e = fitted(names, settings(head)).err().unwrap().to_string();
            assert!(e.contains(text), "{e}");
        };
        says(&named(3, 0), "3 good and 0 bad training images");
        says(&named(0, 2), "0 good and 2 bad");
        says(
            &["good1".into(), "gone bad1".into()],
            "gone bad1: no such file",
        );
        // One bad image among many is little, but no error.
        assert_eq!(
            fitted(&named(9, 1), settings(head))
                .unwrap()
                .head()
                .origin()
                .bad,
            1
        );
    }
    let short = Weights::random(KIND, Some("layer2"), Seed(0)).unwrap();
    let e = Frozen::new(settings(Head::Logistic).checked().unwrap(), short)
        .err()
        .unwrap()
        .to_string();
    assert!(
        e.contains("layer3.0.conv1.weight") && e.contains("`fetch`"),
        "{e}"
    );

    let (params, cancel) = (
        settings(Head::Logistic).checked().unwrap(),
        Cancel::default(),
    );
    cancel.cancel();
    let ctx = FitContext {
        cancel,
        ..FitContext::default()
    };
    let frozen = Frozen::new(params.clone(), weights()).unwrap();
    let stopped = frozen
        .fit(&split(&named(2, 2)).labelled(&TEXTURE), Seed(0), &ctx)
        .err()
        .unwrap();
    assert!(matches!(
        stopped,
        FrozenError::Model(ModelError::Cancelled { .. })
    ));

    let ids = vec![ImageId::new("a"), ImageId::new("b")];
    let table = FeatureTable::new(vec!["x".into()], ids, vec![1.0, f32::NAN]).unwrap();
    let e = fit(&params, &table, &[Label::Good, Label::Bad], Seed(0))
        .unwrap_err()
        .to_string();
    assert!(e.contains("features of b: column x is NaN"), "{e}");
}
