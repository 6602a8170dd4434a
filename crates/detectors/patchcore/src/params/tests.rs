use super::*;
use segad_core::Key;

fn key(settings: PatchCoreSettings) -> Key {
    KeyHasher::new("test", 1)
        .field("p", &settings.checked().unwrap())
        .finish()
}

#[test]
fn same_meaning_same_key() {
    let a = PatchCoreSettings::default();
    let written = Some(vec!["layer2".to_owned(), "layer3".to_owned()]);
    assert_eq!(
        key(a.clone()),
        key(PatchCoreSettings {
            layers: written,
            ..a.clone()
        })
    );
    assert_eq!(
        key(a.clone()),
        key(PatchCoreSettings {
            score: ImageScore::Reweighted,
            ..a.clone()
        })
    );
    let b = PatchCoreSettings {
        upsample: FeatureUpsample::Nearest,
        ..a.clone()
    };
    assert_ne!(key(a.clone()), key(b));
    assert_ne!(
        key(a.clone()),
        key(PatchCoreSettings {
            image_size: 320,
            ..a
        })
    );
}

#[test]
fn bad_settings_are_named() {
    let says = |s: PatchCoreSettings, text: &str| {
        let e = s.checked().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    let d = PatchCoreSettings::default;
    says(
        PatchCoreSettings {
            image_size: 16,
            ..d()
        },
        "image_size = 16",
    );
    says(
        PatchCoreSettings {
            coreset_ratio: f64::NAN,
            ..d()
        },
        "coreset_ratio = NaN",
    );
    says(
        PatchCoreSettings {
            neighbours: 0,
            ..d()
        },
        "neighbours = 0",
    );
    says(
        PatchCoreSettings {
            projection_epsilon: 1.0,
            ..d()
        },
        "projection_epsilon",
    );
    says(
        PatchCoreSettings {
            layers: Some(vec![]),
            ..d()
        },
        "at least one layer",
    );
    says(
        PatchCoreSettings {
            layers: Some(vec!["stage2".into()]),
            ..d()
        },
        "layer4",
    );
    let swapped = Some(vec!["layer3".into(), "layer2".into()]);
    says(
        PatchCoreSettings {
            layers: swapped,
            ..d()
        },
        "finest first",
    );
    assert!(serde_json::from_str::<PatchCoreSettings>(r#"{"ratio": 1}"#).is_err());
    assert!(serde_json::from_str::<PatchCoreParams>(r#"{"neighbours": 0}"#).is_err());
}

#[test]
fn checked_settings_read_back() {
    let p = PatchCoreSettings {
        coreset_ratio: 0.1,
        ..Default::default()
    }
    .checked()
    .unwrap();
    let text = serde_json::to_string(&p).unwrap();
    assert_eq!(
        serde_json::from_str::<PatchCoreParams>(&text)
            .unwrap()
            .layers(),
        p.layers()
    );
}
