//! Features against figures worked out with PyTorch on the same deterministic numbers.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{Device, Precision};
use segad_nn::{Backbone, BackboneKind, Weights, golden, to_vec};
use std::collections::BTreeMap;
use tch::Tensor;

/// Mean, mean of absolute values, first, middle and last value.
fn summary(tensor: &Tensor) -> [f64; 5] {
    let v = to_vec(tensor).unwrap();
    let mean =
        |f: &dyn Fn(f64) -> f64| v.iter().map(|&x| f(f64::from(x))).sum::<f64>() / v.len() as f64;
    [
        mean(&|x| x),
        mean(&f64::abs),
        v[0].into(),
        v[v.len() / 2].into(),
        v[v.len() - 1].into(),
    ]
}

fn close(name: &str, tensor: &Tensor, shape: &[i64], expected: [f64; 5]) {
    assert_eq!(tensor.size(), shape, "{name}");
    let actual = summary(tensor);
    for (a, e) in actual.iter().zip(expected) {
        assert!(
            (a - e).abs() <= 1e-4 * expected[1],
            "{name}: {actual:?} is not {expected:?}"
        );
    }
}

#[test]
fn wide_resnet50_2() {
    let x = golden::input("input", &[2, 3, 64, 64]).unwrap();
    close(
        "input",
        &x,
        &[2, 3, 64, 64],
        [
            -7.4993224e-03,
            9.9530840e-01,
            1.1961325,
            -1.2539468,
            -7.6698172e-01,
        ],
    );
    let kind = BackboneKind::WideResnet50_2;
    let weights = Weights::golden(kind, Some("layer3")).unwrap();
    let taps = ["stem", "layer1", "layer2", "layer3"];
    let backbone = Backbone::new(kind, &taps, &weights, Device::Cpu, Precision::F32).unwrap();
    let f = backbone.features(&x).unwrap();
    let expected = [
        [
            2.2607663,
            2.2607663,
            9.5371890e-01,
            7.3968661e-01,
            3.7029610,
        ],
        [4.4075626, 4.4075626, 5.4372702, 6.0541005, 0.0],
        [18.468652, 18.468652, 0.0, 0.0, 11.121193],
        [153.56390, 153.56390, 218.55354, 212.99556, 224.68684],
    ];
    let shapes = [
        [2, 64, 16, 16],
        [2, 256, 16, 16],
        [2, 512, 8, 8],
        [2, 1024, 4, 4],
    ];
    for i in 0..4 {
        close(taps[i], &f[i], &shapes[i], expected[i]);
    }

    // Taps come in the order named, and asking for fewer changes nothing.
    let two = Backbone::new(
        kind,
        &["layer2", "stem"],
        &weights,
        Device::Cpu,
        Precision::F32,
    )
    .unwrap();
    let g = two.features(&x).unwrap();
    assert_eq!(to_vec(&g[0]).unwrap(), to_vec(&f[2]).unwrap());
    assert_eq!(to_vec(&g[1]).unwrap(), to_vec(&f[0]).unwrap());

    let bf16 = Backbone::new(kind, &["layer2"], &weights, Device::Cpu, Precision::Bf16).unwrap();
    let h = &bf16.features(&x).unwrap()[0];
    assert_eq!(h.kind(), tch::Kind::Float);
    let error = (h - &f[2]).norm().double_value(&[]) / f[2].norm().double_value(&[]);
    assert!(error > 0.0 && error < 0.1, "{error}");
}

#[derive(serde::Deserialize)]
struct Stage {
    shape: Vec<i64>,
    summary: [f64; 5],
}

/// Against a NumPy implementation; 75×100 pixels meet both even and odd sizes at the strided
/// convolutions.
#[test]
fn efficientnet_lite() {
    let x = golden::input("efficientnet", &[1, 3, 75, 100]).unwrap();
    let fixture = include_str!("fixtures/efficientnet_lite.json");
    let found: BTreeMap<BackboneKind, Vec<Stage>> = serde_json::from_str(fixture).unwrap();
    assert_eq!(found.len(), 3);
    for (kind, stages) in found {
        let taps: Vec<String> = kind.taps().into_iter().map(|t| t.name).collect();
        let weights = Weights::golden(kind, taps.last().map(String::as_str)).unwrap();
        let backbone = Backbone::new(kind, &taps, &weights, Device::Cpu, Precision::F32).unwrap();
        let features = backbone.features(&x).unwrap();
        assert_eq!(features.len(), stages.len());
        for ((stage, f), tap) in stages.iter().zip(&features).zip(&taps) {
            close(
                &format!("{kind} {tap}"),
                &f.squeeze_dim(0),
                &stage.shape,
                stage.summary,
            );
        }
    }
}

#[test]
fn bad_inputs_are_errors() {
    let kind = BackboneKind::Resnet18;
    let weights = Weights::golden(kind, Some("layer1")).unwrap();
    let new = |taps: &[&str]| Backbone::new(kind, taps, &weights, Device::Cpu, Precision::F32);
    assert!(new(&[]).is_err());
    assert!(new(&["layer9"]).is_err());
    assert!(
        new(&["layer2"])
            .err()
            .unwrap()
            .to_string()
            .contains("layer2.1.bn2.running_var")
    );
    let backbone = new(&["layer1"]).unwrap();
    for shape in [&[1i64, 3, 8][..], &[1, 1, 8, 8], &[0, 3, 8, 8]] {
        assert!(
            backbone
                .features(&golden::input("x", shape).unwrap())
                .is_err(),
            "{shape:?}"
        );
    }
    // An image of one pixel is no reason to fail.
    assert_eq!(
        backbone
            .features(&golden::input("x", &[1, 3, 1, 1]).unwrap())
            .unwrap()[0]
            .size(),
        [1, 64, 1, 1]
    );
}
