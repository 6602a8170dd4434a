//! From images to a model file and back to verdicts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{Plates, Random, items, plate, settings, settings_with_tokens};
use segad_core::{Device, FitContext, Image, Label};
use segad_product::{
    Data, DetectorSettings, FitSettings, Inspector, Item, Model, ProductError, Result, Rule,
    Scorer, Segments, fit,
};
use std::sync::OnceLock;

const SHAPES: &str = r#"
title = "plate"
reference = { height = 64, width = 64 }
segments = ["plate", "hole"]
[[shape]]
segment = "hole"
kind = "ellipse"
centre = [40.0, 40.0]
radii = [12.0, 12.0]
"#;

fn fitted(items: Vec<Item>, settings: &FitSettings) -> Result<Model> {
    segad_nn::set_threads(1);
    fit(
        &Data::new(items, &Plates),
        settings,
        &Random,
        &FitContext::default(),
    )
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
        .install(run)
}

/// One model for all tests that only read it.
fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let segments = Some(Segments::from_text("plate.toml", SHAPES).unwrap());
        fitted(
            items(24, 6, 6),
            &FitSettings {
                segments,
                ..settings()
            },
        )
        .unwrap()
    })
}

#[test]
fn the_same_images_and_seed_give_the_same_bytes_on_any_number_of_threads() {
    let settings = FitSettings {
        seed: segad_core::Seed(5),
        ..settings()
    };
    let one = with_threads(1, || fitted(items(15, 3, 3), &settings).unwrap().to_bytes());
    let three = with_threads(3, || fitted(items(15, 3, 3), &settings).unwrap().to_bytes());
    assert!(one == three);
    let other = FitSettings {
        seed: segad_core::Seed(6),
        ..settings
    };
    assert!(fitted(items(15, 3, 3), &other).unwrap().to_bytes() != one);
}

#[test]
fn verdicts_probabilities_and_reasons_belong_together() {
    let inspector = Inspector::new(model(), Device::Cpu).unwrap();
    let card = inspector.card();
    assert_eq!(card.segment_names, ["plate", "hole"]);
    let mut right = 0;
    for (name, label) in [("good/31.png", Label::Good), ("good/32.png", Label::Good)]
        .into_iter()
        .chain([
            ("bad/scratch/9.png", Label::Bad),
            ("bad/dent/11.png", Label::Bad),
        ])
    {
        let image = plate(name);
        let seen = inspector.inspect(&image).unwrap();
        let above = f64::from(seen.score) >= card.operating.threshold;
        assert_eq!(seen.verdict == Label::Bad, above);
        assert_eq!(
            seen.probability,
            card.calibration.probability(f64::from(seen.score))
        );
        // What belongs to the image as a whole comes last.
        let (local, whole): (Vec<_>, Vec<_>) =
            seen.reasons.iter().partition(|r| !r.segment.is_empty());
        for part in [&local, &whole] {
            assert!(
                part.windows(2)
                    .all(|w| w[0].contribution >= w[1].contribution)
            );
        }
        assert!(local.into_iter().chain(whole).eq(&seen.reasons));
        assert_eq!(
            (seen.map.height(), seen.map.width()),
            (common::SIDE, common::SIDE)
        );
        let picture = seen.picture(&image).unwrap();
        assert_eq!(
            (picture.height(), picture.width()),
            (image.height(), image.width())
        );
        right += usize::from(label.is_bad() == above);
    }
    assert!(right >= 3, "{right} of 4; {}", card.summary());
    // Files of version 0.1 say nothing of it.
    let mut old = serde_json::to_value(card).unwrap();
    assert!(old.as_object_mut().unwrap().remove("reading").is_some());
    let old: segad_product::Card = serde_json::from_value(old).unwrap();
    assert!(old.summary().contains("EXIF orientation ignored"));
    let summary = card.summary();
    for part in [
        "24 good and 12 bad",
        "patchcore",
        "SegAD",
        "kept",
        "false alarms",
        "dent",
        "scratch",
        "lacks",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert_eq!(card.unseen.len(), 2);
}

#[test]
fn scores_do_not_depend_on_company_or_threads() {
    let names: Vec<String> = (0..12).map(|n| format!("bad/dent/{n}.png")).collect();
    let alone = Inspector::new(model(), Device::Cpu).unwrap();
    let expected: Vec<f32> = names
        .iter()
        .map(|n| alone.inspect(&plate(n)).unwrap().score)
        .collect();
    for threads in [1, 3] {
        let scores: Vec<f32> = std::thread::scope(|scope| {
            let running: Vec<_> = names
                .chunks(names.len().div_ceil(threads))
                .map(|names| {
                    scope.spawn(move || {
                        let inspector = Inspector::new(model(), Device::Cpu).unwrap();
                        let score = |name: &String| inspector.inspect(&plate(name)).unwrap().score;
                        names.iter().map(score).collect::<Vec<_>>()
                    })
                })
                .collect();
            let finished = running.into_iter().map(|thread| thread.join().unwrap());
            finished.flatten().collect()
        });
        assert_eq!(scores, expected);
    }
    segad_nn::set_threads(2);
    for (name, expected) in names.iter().zip(&expected) {
        let score = alone.inspect(&plate(name)).unwrap().score;
        assert!(
            (score - expected).abs() <= 1e-5,
            "{name}: {score} {expected}"
        );
    }
}

fn names(model: &Model) -> Vec<&str> {
    model
        .card()
        .candidates
        .iter()
        .map(|c| c.name.as_str())
        .collect()
}

#[test]
fn parts_on_tokens_are_stacked_and_come_back_from_the_file() {
    let settings = settings_with_tokens();
    let one = with_threads(1, || fitted(items(20, 5, 5), &settings).unwrap().to_bytes());
    let three = with_threads(3, || fitted(items(20, 5, 5), &settings).unwrap().to_bytes());
    assert!(one == three);
    let model = Model::from_bytes(&one).unwrap();
    let card = model.card();
    let expected = ["patchcore", "nearest", "filter", "spread", "instances"];
    assert_eq!(names(&model)[..5], expected);
    assert!(names(&model)[5].starts_with("SegAD") && names(&model)[6] == "stack");
    assert_eq!(card.chosen().unwrap().name, "stack");
    let Scorer::Stack { parts, weights } = &card.scorer else {
        panic!("{:?}", card.scorer)
    };
    assert_eq!(parts.len() + card.left_out.len(), 6);
    assert!(weights.weights().iter().all(|w| *w >= 0.0));
    // Each kind was left out of every part.
    assert_eq!(card.unseen.len(), 2);
    assert!(
        card.summary().contains("The stack weighs its parts: "),
        "{}",
        card.summary()
    );
    let inspector = Inspector::new(&model, Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(format!("{name}.pt"));
    for network in inspector.export(&[plate("bad/dent/7.png")], path).unwrap() {
        assert!(network.apart < 1e-4, "{network:?}");
    }
    for name in ["good/21.png", "bad/dent/7.png"] {
        let image = plate(name);
        let seen = inspector.inspect(&image).unwrap();
        let observation = inspector.observe(&image).unwrap();
        let again = inspector.score(&image, &observation, &mut Default::default());
        assert_eq!(again.unwrap(), seen.score);
        assert_eq!(seen.maps.len(), card.maps().len());
        let (map, side) = (&seen.map, common::SIDE);
        assert_eq!((map.height(), map.width()), (side, side));
        // What belongs to the image as a whole comes last.
        let whole = seen.reasons.iter().position(|r| r.segment.is_empty());
        let rest = &seen.reasons[whole.unwrap_or(seen.reasons.len())..];
        assert!(
            rest.iter().all(|r| r.segment.is_empty()),
            "{:?}",
            seen.reasons
        );
    }
}

#[test]
fn few_bad_images_are_used_as_far_as_they_go() {
    let settings = settings_with_tokens();
    let stack = |scratches: usize, dents: usize| {
        let model = fitted(items(20, scratches, dents), &settings).unwrap();
        let card = model.card().clone();
        let Scorer::Stack { parts, weights } = &card.scorer else {
            panic!("{:?}", card.scorer)
        };
        let parts: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
        (parts, weights.weights().to_vec(), card.summary())
    };
    let (parts, weights, summary) = stack(2, 0);
    assert_eq!(parts, ["patchcore", "nearest"]);
    assert_eq!(weights, [0.5; 2]);
    assert!(
        summary.contains("Fewer than 3 groups hold bad images"),
        "{summary}"
    );
    // A kind of defect with a single image is one among others.
    let (parts, weights, summary) = stack(4, 1);
    assert_eq!((parts.len(), weights), (6, vec![1.0 / 6.0; 6]));
    assert!(
        summary.contains("Fewer than 9 groups hold bad images"),
        "{summary}"
    );
    assert!(summary.contains("dent"), "{summary}");
}

#[test]
fn a_head_by_hand_computes_only_what_it_needs() {
    let with_head = |head: &str| FitSettings {
        head: head.parse().unwrap(),
        ..settings_with_tokens()
    };
    let fit_head = |head: &str| fitted(items(15, 4, 4), &with_head(head));
    let model = fit_head("instances").unwrap();
    let has = |model: &Model, part: &str| model.sections().any(|(name, _)| name.starts_with(part));
    assert!(has(&model, "tokens/bank") && has(&model, "tokens/parts.json"));
    assert!(!has(&model, "detector/") && !has(&model, "classifier/") && !has(&model, "forest"));
    let inspector = Inspector::new(&model, Device::Cpu).unwrap();
    let seen = inspector.inspect(&plate("bad/dent/9.png")).unwrap();
    assert_eq!(
        (seen.maps.len(), &seen.reasons[0].detector[..]),
        (1, "instances")
    );

    // A filter needs no distances; the nearest token needs nothing that was fitted.
    let filter = fit_head("filter").unwrap();
    assert!(!has(&filter, "tokens/bank") && has(&filter, "tokens/parts.json"));
    let nearest = fit_head("nearest").unwrap();
    assert!(has(&nearest, "tokens/bank") && !has(&nearest, "tokens/parts.json"));

    let forest = fit_head("segad").unwrap();
    assert!(forest.card().scorer.has_forest() && !has(&forest, "tokens/"));
    let error = fit_head("best").unwrap_err().to_string();
    assert!(
        error.contains("head = best") && error.contains("instances"),
        "{error}"
    );
}

#[test]
fn a_forests_reasons_add_up_to_its_score() {
    let settings = FitSettings {
        head: segad_product::Head::Segad,
        ..settings()
    };
    let model = &fitted(items(20, 5, 5), &settings).unwrap();
    let card = model.card();
    assert!(matches!(card.scorer, Scorer::Forest { .. }));
    let inspector = Inspector::new(model, Device::Cpu).unwrap();
    let [a, b] = ["good/3.png", "bad/scratch/2.png"].map(|n| inspector.inspect(&plate(n)).unwrap());
    let sum = |i: &segad_product::Inspection| i.reasons.iter().map(|r| r.contribution).sum::<f64>();
    // What is left is the forest's score of an image about which nothing is known: the same for
    // both.
    assert!((f64::from(a.score) - sum(&a) - (f64::from(b.score) - sum(&b))).abs() < 1e-4);
}

#[test]
fn damaged_and_newer_files_are_told() {
    let bytes = model().to_bytes();
    assert_eq!(&Model::from_bytes(&bytes).unwrap(), model());
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        assert!(
            matches!(Model::from_bytes(&bad), Err(ProductError::Damaged(_))),
            "byte {at}"
        );
    }
    assert!(matches!(
        Model::from_bytes(b"PK\x03\x04"),
        Err(ProductError::Damaged(_))
    ));
}

#[test]
fn useless_images_are_refused_with_the_reason() {
    let says = |items: Vec<Item>, text: &str| {
        let error = fitted(items, &settings()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(items(20, 0, 0), "0 bad images");
    says(items(0, 5, 0), "0 good images");
    says(items(2, 1, 0), "2 good images; at least 10");
    says(items(20, 1, 0), "1 bad images; at least 2");
    // One group only: nothing can be held out.
    let mut grouped = items(20, 4, 0);
    grouped
        .iter_mut()
        .filter(|i| i.sample.label.is_bad())
        .for_each(|i| i.unit = Some("same".to_owned()));
    says(grouped, "of at least 2 groups");

    struct Same;
    impl segad_core::ImageLoader for Same {
        fn load(
            &self,
            id: &segad_core::ImageId,
        ) -> std::result::Result<Image, segad_core::BoxError> {
            let value = u8::from(id.as_str().starts_with("bad"));
            Ok(Image::from_grey(64, 64, &[value; 4096])?)
        }
    }
    let data = Data::new(items(12, 3, 0), &Same);
    let error = fit(&data, &settings(), &Random, &FitContext::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("all 12 good images are the same"), "{error}");
}

#[test]
fn promises_need_images() {
    let rule = Rule::MaxMiss { rate: 0.01 };
    let error = fitted(items(15, 3, 3), &FitSettings { rule, ..settings() }).unwrap_err();
    assert!(
        matches!(error, ProductError::Promise { more: 293, .. }),
        "{error}"
    );
    let rule = Rule::MaxFalseAlarm { rate: 0.3 };
    let model = fitted(items(15, 3, 3), &FitSettings { rule, ..settings() }).unwrap();
    let card = model.card();
    let threshold = card.operating.threshold;
    let alarms = card
        .images
        .iter()
        .filter(|s| !s.label.is_bad() && f64::from(s.score) >= threshold);
    assert!(alarms.count() <= 1);
}

#[test]
fn a_stop_is_obeyed() {
    let ctx = FitContext::default();
    ctx.cancel.cancel();
    let data = Data::new(items(15, 3, 3), &Plates);
    assert!(matches!(
        fit(&data, &settings(), &Random, &ctx),
        Err(ProductError::Cancelled)
    ));
}

/// Fits a model of one detector and writes its network down.
fn recorded(detector: DetectorSettings) {
    let kind = detector.kind();
    let settings = FitSettings {
        folds: 2,
        classifiers: vec![],
        ..FitSettings::new(kind, vec![detector])
    };
    let model = fitted(items(10, 2, 0), &settings).unwrap();
    let inspector = Inspector::new(&model, Device::Cpu).unwrap();
    let images = [plate("bad/dent/4.png"), plate("good/6.png")];
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(format!("{name}.pt"));
    let [one] = &inspector.export(&images, path).unwrap()[..] else {
        panic!("one network")
    };
    assert_eq!(one.name, kind);
    assert!(path(kind).is_file() && one.apart < 1e-4, "{one:?}");
    assert!(inspector.export(&[], path).is_err());
    let [onnx] = &inspector.export_onnx(&images, &path("onnx")).unwrap()[..] else {
        panic!("one network")
    };
    // What the file computes is compared by ONNX Runtime, in the tests of the Python package.
    assert!(onnx.file.starts_with(b"\x08\x08\x12\x05segad"));
    assert_eq!(
        (onnx.apart(&onnx.expected), onnx.apart(&[])),
        (0.0, f32::INFINITY)
    );
}

/// A detector on ResNet-18 with these settings.
fn read(kind: &str, settings: &str) -> DetectorSettings {
    DetectorSettings::read(kind, &toml::from_str(settings).unwrap()).unwrap()
}

#[test]
fn patchcore_is_recorded() {
    recorded(read("patchcore", "backbone = 'resnet18'\nimage_size = 64"));
}

#[test]
fn fastflow_is_recorded() {
    let settings = "backbone = 'resnet18'\nimage_size = 64\nepochs = 1\nflow_steps = 2";
    recorded(read("fastflow", settings));
}

#[test]
fn rd4ad_is_recorded() {
    let settings = "backbone = 'resnet18'\nimage_size = 64\nepochs = 1";
    recorded(read("rd4ad", settings));
}

#[test]
fn efficientad_is_recorded() {
    let settings = "
        teacher = 'distilled'
        image_size = 128
        iterations = 1
        [distill]
        network = 'small'
        backbone = 'resnet18'
        image_size = 128
        iterations = 1
        batch = 1
    ";
    recorded(read("efficientad", settings));
}
