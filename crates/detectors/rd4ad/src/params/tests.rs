use super::*;
use segad_core::Key;

fn key(settings: Rd4adSettings) -> Key {
    KeyHasher::new("test", 1)
        .field("p", &settings.checked().unwrap())
        .finish()
}

#[test]
fn same_meaning_same_key() {
    let d = Rd4adSettings::default;
    let written = Some(["layer1", "layer2", "layer3"].map(str::to_owned).to_vec());
    assert_eq!(
        key(d()),
        key(Rd4adSettings {
            layers: written,
            ..d()
        })
    );
    let others = [
        Rd4adSettings {
            backbone: BackboneKind::Resnet18,
            ..d()
        },
        Rd4adSettings {
            image_size: 320,
            ..d()
        },
        Rd4adSettings {
            bottleneck: BottleneckWidth::Full,
            ..d()
        },
        Rd4adSettings {
            loss: Loss::PerPixel,
            ..d()
        },
        Rd4adSettings {
            combine: Combine::Multiply,
            ..d()
        },
        Rd4adSettings { epochs: 1, ..d() },
        Rd4adSettings { batch: 32, ..d() },
        Rd4adSettings {
            learning_rate: 0.001,
            ..d()
        },
        Rd4adSettings {
            betas: [0.5, 0.99],
            ..d()
        },
    ];
    for other in others {
        assert_ne!(key(d()), key(other.clone()), "{other:?}");
    }
}

#[test]
fn bad_settings_are_named() {
    let says = |s: Rd4adSettings, text: &str| {
        let e = s.checked().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    let d = Rd4adSettings::default;
    let layers = |names: &[&str]| Some(names.iter().map(|&n| n.to_owned()).collect());
    says(
        Rd4adSettings {
            image_size: 250,
            ..d()
        },
        "image_size = 250: expected a multiple of 32",
    );
    says(
        Rd4adSettings {
            image_size: 32,
            ..d()
        },
        "from 64 to 4096",
    );
    says(Rd4adSettings { epochs: 0, ..d() }, "epochs = 0");
    says(Rd4adSettings { batch: 0, ..d() }, "batch = 0");
    says(
        Rd4adSettings {
            learning_rate: f64::NAN,
            ..d()
        },
        "learning_rate = NaN",
    );
    says(
        Rd4adSettings {
            betas: [0.5, 1.0],
            ..d()
        },
        "betas = [0.5, 1.0]",
    );
    says(
        Rd4adSettings {
            layers: layers(&["layer1", "layer2"]),
            ..d()
        },
        "three layers",
    );
    says(
        Rd4adSettings {
            layers: layers(&["layer3", "layer2", "layer1"]),
            ..d()
        },
        "finest first",
    );
    says(
        Rd4adSettings {
            layers: layers(&["layer1", "layer2", "layer9"]),
            ..d()
        },
        "layer4",
    );
    assert!(serde_json::from_str::<Rd4adSettings>(r#"{"lr": 1}"#).is_err());
    assert!(serde_json::from_str::<Rd4adParams>(r#"{"epochs": 0}"#).is_err());
}

#[test]
fn checked_settings_read_back() {
    let s = Rd4adSettings {
        loss: Loss::PerPixel,
        combine: Combine::Multiply,
        ..Default::default()
    };
    let p = s.checked().unwrap();
    let text = serde_json::to_string(&p).unwrap();
    assert!(text.contains(r#""per-pixel""#), "{text}");
    assert_eq!(serde_json::from_str::<Rd4adParams>(&text).unwrap(), p);
}

#[test]
fn sizes_follow_the_encoder() {
    let params = |backbone| {
        let settings = Rd4adSettings {
            backbone,
            ..Default::default()
        };
        settings.checked().unwrap()
    };
    let shape = |backbone| student_shape(&params(backbone));
    let s = shape(BackboneKind::EfficientnetLite2);
    assert_eq!(
        (s.channels, s.width, s.rectified),
        ([24, 48, 120], 60, [false; 3])
    );
    let s = shape(BackboneKind::Resnet18);
    assert_eq!(
        (s.channels, s.width, s.rectified),
        ([64, 128, 256], 128, [true; 3])
    );
    let s = shape(BackboneKind::WideResnet50_2);
    assert_eq!((s.channels, s.width), ([256, 512, 1024], 512));
    for backbone in BackboneKind::ALL {
        if backbone.patch().is_some() {
            let settings = Rd4adSettings {
                backbone,
                ..Default::default()
            };
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains("layers = "), "{e}");
            continue;
        }
        assert_eq!(
            feature_sizes(&params(backbone)),
            [(64, 64), (32, 32), (16, 16)],
            "{backbone}"
        );
    }
}
