use super::*;

#[test]
fn bad_settings_are_named() {
    let says = |s: DistillSettings, text: &str| {
        let e = s.checked().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
    };
    let d = DistillSettings::default;
    assert_eq!(d().checked().unwrap().layers(), ["layer2", "layer3"]);
    says(
        DistillSettings {
            image_size: 100,
            ..d()
        },
        "image_size = 100",
    );
    says(
        DistillSettings {
            iterations: 0,
            ..d()
        },
        "distill.iterations = 0",
    );
    says(DistillSettings { batch: 0, ..d() }, "distill.batch = 0");
    says(
        DistillSettings {
            learning_rate: 0.0,
            ..d()
        },
        "distill.learning_rate",
    );
    says(
        DistillSettings {
            weight_decay: f64::INFINITY,
            ..d()
        },
        "distill.weight_decay",
    );
    says(DistillSettings { grey: 1.1, ..d() }, "distill.grey = 1.1");
    let layers = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    says(
        DistillSettings {
            layers: layers(&["layer3", "layer2"]),
            ..d()
        },
        "the first of stride 8",
    );
    says(
        DistillSettings {
            layers: layers(&["layer2"]),
            ..d()
        },
        "two different layers",
    );
    says(
        DistillSettings {
            layers: layers(&["stage2", "stage4"]),
            ..d()
        },
        "layer4",
    );
}
