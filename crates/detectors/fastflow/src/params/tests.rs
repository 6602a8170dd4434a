use super::*;
use segad_core::Key;

fn key(settings: FastFlowSettings) -> Key {
    KeyHasher::new("test", 1)
        .field("p", &settings.checked().unwrap())
        .finish()
}

#[test]
fn same_meaning_same_key() {
    let d = FastFlowSettings::default;
    let written = Some(["layer1", "layer2", "layer3"].map(str::to_owned).to_vec());
    assert_eq!(
        key(d()),
        key(FastFlowSettings {
            layers: written,
            ..d()
        })
    );
    for other in [
        FastFlowSettings {
            conv3x3_only: true,
            ..d()
        },
        FastFlowSettings {
            clamp_form: ClampForm::Scaled,
            ..d()
        },
        FastFlowSettings { epochs: 3, ..d() },
        FastFlowSettings {
            learning_rate: 2e-3,
            ..d()
        },
        FastFlowSettings { batch: 16, ..d() },
    ] {
        assert_ne!(key(d()), key(other.clone()), "{other:?}");
    }
}

#[test]
fn default_layers_have_strides_4_8_16() {
    for backbone in BackboneKind::ALL
        .into_iter()
        .filter(|b| b.patch().is_none())
    {
        let p = FastFlowSettings {
            backbone,
            ..Default::default()
        }
        .checked()
        .unwrap();
        let strides: Vec<i64> = p
            .layers()
            .iter()
            .map(|l| backbone.tap(l).unwrap().stride)
            .collect();
        assert_eq!(strides, [4, 8, 16], "{backbone}");
    }
}

#[test]
fn bad_settings_are_named() {
    let says = |s: FastFlowSettings, text: &str| {
        let e = s.checked().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    let d = FastFlowSettings::default;
    says(
        FastFlowSettings {
            image_size: 16,
            ..d()
        },
        "image_size = 16",
    );
    says(
        FastFlowSettings {
            flow_steps: 0,
            ..d()
        },
        "flow_steps = 0",
    );
    says(
        FastFlowSettings {
            hidden_ratio: 0.001,
            ..d()
        },
        "hidden_ratio = 0.001",
    );
    says(
        FastFlowSettings {
            clamp: f64::NAN,
            ..d()
        },
        "clamp = NaN",
    );
    says(FastFlowSettings { epochs: 0, ..d() }, "epochs = 0");
    says(FastFlowSettings { batch: 0, ..d() }, "batch = 0");
    says(
        FastFlowSettings {
            learning_rate: -1.0,
            ..d()
        },
        "learning_rate = -1",
    );
    says(
        FastFlowSettings {
            layers: Some(vec![]),
            ..d()
        },
        "layers = []",
    );
    says(
        FastFlowSettings {
            layers: Some(vec!["layer9".into()]),
            ..d()
        },
        "layer9",
    );
    let twice = Some(vec!["layer2".to_owned(), "layer1".to_owned()]);
    says(
        FastFlowSettings {
            layers: twice,
            ..d()
        },
        "finest first",
    );
    let unknown: Result<FastFlowSettings, _> = serde_json::from_str(r#"{"epoch": 3}"#);
    assert!(unknown.unwrap_err().to_string().contains("epoch"));
}
