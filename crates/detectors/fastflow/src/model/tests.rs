use super::*;
use crate::FastFlowSettings;
use segad_nn::model::Settings;
use segad_nn::{BackboneKind, golden};

fn close(what: &str, actual: f64, expected: f64, tolerance: f64) {
    assert!(
        (actual - expected).abs() <= tolerance,
        "{what}: {actual} is not {expected}"
    );
}

/// Mean, mean of absolute values, first, middle and last value.
fn summary(name: &str, tensor: &Tensor, shape: &[i64], expected: [f64; 5]) {
    assert_eq!(tensor.size(), shape, "{name}");
    let v = to_vec(tensor).unwrap();
    let mean =
        |f: &dyn Fn(f64) -> f64| v.iter().map(|&x| f(x.into())).sum::<f64>() / v.len() as f64;
    let n = v.len();
    let actual = [
        mean(&|x| x),
        mean(&f64::abs),
        v[0].into(),
        v[n / 2].into(),
        v[n - 1].into(),
    ];
    for (a, e) in actual.iter().zip(expected) {
        close(name, *a, e, 1e-4 * expected[1]);
    }
}

/// Against the original modules on the same deterministic weights and images.
#[test]
fn known_flows() {
    let kind = BackboneKind::WideResnet50_2;
    let params = FastFlowSettings {
        image_size: 64,
        ..Default::default()
    }
    .checked()
    .unwrap();
    let weights = Weights::golden(kind, Some("layer3")).unwrap();
    let extractor = extractor(&params, &weights, Device::Cpu, Precision::F32).unwrap();
    let shapes = extractor.shapes();
    assert_eq!(shapes, [[256, 16, 16], [512, 8, 8], [1024, 4, 4]]);
    let mut flows = Flows::new(&params, &shapes, tch::Device::Cpu).unwrap();
    golden::fill(&flows.store, "").unwrap();
    for (s, i) in flows.blocks() {
        let channels = shapes[s][0];
        let order: Vec<i64> = (0..channels)
            .map(|j| (5 * j + i as i64 + 1) % channels)
            .collect();
        flows.set_order(s, i, &order).unwrap();
    }
    let input = golden::input("input", &[2, 3, 64, 64]).unwrap();
    let features = extractor.backbone().features(&input).unwrap();
    let out = tch::no_grad(|| flows.forward(&features)).unwrap();
    let expected = [
        (
            [
                -1.0298773e-02,
                1.0365511,
                -8.7548661e-01,
                -1.2450660,
                5.8158267e-01,
            ],
            [521.58472, 541.38470],
        ),
        (
            [
                -1.9609886e-02,
                1.0144469,
                -1.0034585,
                -9.0382552e-01,
                -7.2451293e-01,
            ],
            [312.64313, 342.74695],
        ),
        (
            [
                4.0674347e-02,
                1.0229820,
                8.6335707e-01,
                9.9577594e-01,
                -5.1216781e-01,
            ],
            [451.58960, 442.37943],
        ),
    ];
    for (s, ((z, log), (figures, logs))) in out.iter().zip(expected).enumerate() {
        let [c, h, w] = shapes[s];
        summary(&format!("hidden {s}"), z, &[2, c, h, w], figures);
        for (n, expected) in logs.into_iter().enumerate() {
            close(
                "log-determinant",
                log.double_value(&[n as i64]),
                expected,
                5e-5 * expected,
            );
        }
    }
    let loss = tch::no_grad(|| flows.loss(&features))
        .unwrap()
        .double_value(&[]);
    close("loss", loss, 136_069.81, 1e-6 * 136_069.81);
    let hidden: Vec<Tensor> = out.into_iter().map(|h| h.0).collect();
    summary(
        "map",
        &score::maps(&hidden, 64).unwrap(),
        &[2, 1, 64, 64],
        [
            -3.4978605e-01,
            3.4978605e-01,
            -6.7409819e-01,
            -6.8632692e-01,
            -6.0125697e-01,
        ],
    );
}
