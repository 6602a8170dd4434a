use super::*;
use segad_core::Key;

fn key(settings: EfficientAdSettings) -> Key {
    KeyHasher::new("test", 1)
        .field("p", &settings.checked().unwrap())
        .finish()
}

#[test]
fn defaults_are_the_papers() {
    let p = EfficientAdSettings::default().checked().unwrap();
    let s = &p;
    assert_eq!(
        (p.size(), s.padding, s.image_size, s.iterations),
        (PdnSize::Medium, true, 256, 70_000)
    );
    assert_eq!(
        (
            s.learning_rate,
            s.weight_decay,
            s.decay_after,
            s.decay_factor
        ),
        (1e-4, 1e-5, 0.95, 0.1)
    );
    assert_eq!(
        (s.hard_quantile, s.quantile_low, s.quantile_high, s.holdout),
        (0.999, 0.9, 0.995, 0.1)
    );
    assert_eq!(
        (s.penalty.as_ref(), s.autoencoder_images),
        (None, AutoencoderImages::Same)
    );
    assert_eq!(
        (s.input_norm, s.quantile_maps),
        (InputNorm::Once, QuantileMaps::Native)
    );
}

#[test]
fn same_meaning_same_key() {
    let d = EfficientAdSettings::default;
    assert_eq!(
        key(d()),
        key(EfficientAdSettings {
            map_size: Some(256),
            ..d()
        })
    );
    let distilled = || EfficientAdSettings {
        teacher: Teacher::Distilled,
        ..d()
    };
    assert_eq!(
        key(distilled()),
        key(EfficientAdSettings {
            distill: Some(Default::default()),
            ..distilled()
        })
    );
    let on = |folder: &str| EfficientAdSettings {
        penalty: Some(folder.into()),
        ..d()
    };
    assert_eq!(key(on("a")), key(on("b")));
    let others = [
        on("a"),
        distilled(),
        EfficientAdSettings {
            teacher: Teacher::Small,
            ..d()
        },
        EfficientAdSettings {
            padding: false,
            ..d()
        },
        EfficientAdSettings {
            iterations: 7,
            ..d()
        },
        EfficientAdSettings {
            map_size: Some(128),
            ..d()
        },
        EfficientAdSettings {
            autoencoder_images: AutoencoderImages::Jittered,
            ..d()
        },
        EfficientAdSettings {
            input_norm: InputNorm::Twice,
            ..d()
        },
        EfficientAdSettings {
            quantile_maps: QuantileMaps::Enlarged,
            ..d()
        },
    ];
    let mut keys: Vec<Key> = others.into_iter().chain([d()]).map(key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 10);
}

#[test]
fn bad_settings_are_named() {
    let says = |s: EfficientAdSettings, text: &str| {
        let e = s.checked().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    let d = EfficientAdSettings::default;
    says(
        EfficientAdSettings {
            image_size: 250,
            ..d()
        },
        "image_size = 250",
    );
    says(
        EfficientAdSettings {
            image_size: 64,
            ..d()
        },
        "image_size = 64",
    );
    says(
        EfficientAdSettings {
            map_size: Some(8),
            ..d()
        },
        "map_size = 8",
    );
    says(
        EfficientAdSettings {
            iterations: 0,
            ..d()
        },
        "iterations = 0",
    );
    says(
        EfficientAdSettings {
            learning_rate: f64::NAN,
            ..d()
        },
        "learning_rate = NaN",
    );
    says(
        EfficientAdSettings {
            weight_decay: -1.0,
            ..d()
        },
        "weight_decay = -1",
    );
    says(
        EfficientAdSettings {
            decay_after: 1.5,
            ..d()
        },
        "decay_after",
    );
    says(
        EfficientAdSettings {
            decay_factor: 0.0,
            ..d()
        },
        "decay_factor",
    );
    says(
        EfficientAdSettings {
            hard_quantile: 1.0,
            ..d()
        },
        "hard_quantile",
    );
    says(
        EfficientAdSettings {
            quantile_high: 0.9,
            ..d()
        },
        "quantile_high = 0.9",
    );
    says(
        EfficientAdSettings {
            holdout: 1.0,
            ..d()
        },
        "holdout = 1",
    );
    says(
        EfficientAdSettings {
            penalty: Some(String::new()),
            ..d()
        },
        "name of a folder or a data set",
    );
    says(
        EfficientAdSettings {
            distill: Some(Default::default()),
            ..d()
        },
        "distilled",
    );
    assert!(serde_json::from_str::<EfficientAdSettings>(r#"{"iteration": 1}"#).is_err());
    assert!(serde_json::from_str::<EfficientAdParams>(r#"{"iterations": 0}"#).is_err());
}

#[test]
fn checked_settings_read_back() {
    let text = r#"{"teacher": "distilled", "distill": {"network": "medium", "iterations": 5}}"#;
    let p: EfficientAdParams = serde_json::from_str(text).unwrap();
    assert_eq!(
        (p.size(), p.derived().as_ref().unwrap().iterations),
        (PdnSize::Medium, 5)
    );
    let again: EfficientAdParams =
        serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap();
    assert_eq!(again.derived(), p.derived());
}
