use super::*;
use crate::architecture::StudentShape;
use crate::folded::Folded;
use crate::student::Student;
use segad_core::{Device, Precision};
use segad_nn::{Backbone, BackboneKind, Weights, golden, to_vec};

fn close(name: &str, t: &Tensor, shape: &[i64], expected: [f64; 5], tolerance: f64) {
    assert_eq!(t.size(), shape, "{name}");
    let v = to_vec(t).unwrap();
    let mean =
        |f: &dyn Fn(f64) -> f64| v.iter().map(|&x| f(f64::from(x))).sum::<f64>() / v.len() as f64;
    let (first, middle, last) = (v[0], v[v.len() / 2], v[v.len() - 1]);
    let actual = [
        mean(&|x| x),
        mean(&f64::abs),
        first.into(),
        middle.into(),
        last.into(),
    ];
    for (a, e) in actual.iter().zip(expected) {
        assert!(
            (a - e).abs() <= tolerance * expected[1],
            "{name}: {actual:?} is not {expected:?}"
        );
    }
}

fn scalar(name: &str, t: &Tensor, expected: f64) {
    let actual = t.double_value(&[]);
    assert!(
        (actual / expected - 1.0).abs() < 5e-6,
        "{name}: {actual} is not {expected}"
    );
}

/// Figures worked out with the original PyTorch modules on the same deterministic numbers.
#[test]
fn published_networks() {
    let kind = BackboneKind::WideResnet50_2;
    let taps = ["layer1", "layer2", "layer3"];
    let encoder = {
        let weights = Weights::golden(kind, Some("layer3")).unwrap();
        Backbone::new(kind, &taps, &weights, Device::Cpu, Precision::F32).unwrap()
    };
    let features = encoder
        .features(&golden::input("input", &[2, 3, 64, 64]).unwrap())
        .unwrap();
    let features: [Tensor; 3] = features.try_into().unwrap();
    let features = features.map(|f| &f / f.abs().mean(Kind::Float));

    let shape = StudentShape {
        channels: [256, 512, 1024],
        rectified: [true; 3],
        width: 512,
    };
    let student = Student::new(shape, tch::Device::Cpu).unwrap();
    golden::fill(&student.store, "").unwrap();

    let folded = Folded::new(&student, Precision::F32).unwrap();
    let embedding = tch::no_grad(|| student.architecture.embed(&folded, &features)).unwrap();
    let expected = [2.0017467, 2.0017467, 6.6376858, 6.6405039, 4.1827874];
    close("ocbe", &embedding, &[2, 2048, 2, 2], expected, 2e-5);

    let known = [
        (
            "dec1",
            [2, 256, 16, 16],
            [77.007371, 77.007371, 100.52393, 99.444427, 0.0],
        ),
        (
            "dec2",
            [2, 512, 8, 8],
            [9.9035600, 9.9035600, 0.0, 0.0, 11.584709],
        ),
        (
            "dec3",
            [2, 1024, 4, 4],
            [3.4215888, 3.4215888, 0.0, 0.0, 2.3491049],
        ),
    ];
    let fast = folded.forward(&features).unwrap();
    let plain = tch::no_grad(|| student.forward(&features, false)).unwrap();
    for decoder in [&fast, &plain] {
        for ((name, shape, expected), d) in known.iter().zip(decoder) {
            close(name, d, shape, *expected, 2e-5);
        }
        scalar(
            "flattened",
            &loss(Loss::Flattened, &features, decoder).unwrap(),
            1.7289842,
        );
        scalar(
            "per pixel",
            &loss(Loss::PerPixel, &features, decoder).unwrap(),
            1.7118964,
        );
        let sizes = [(16, 16), (8, 8), (4, 4)];
        let scorer = Scorer::new(Combine::Add, sizes, (64, 64), tch::Device::Cpu).unwrap();
        let expected = [1.7177874, 1.7177874, 1.6879771, 1.6928579, 1.6873715];
        close(
            "map",
            &scorer.maps(&features, decoder).unwrap(),
            &[2, 64, 64],
            expected,
            2e-5,
        );
    }

    let train = tch::no_grad(|| student.forward(&features, true)).unwrap();
    // Ill-conditioned: eight values a channel.
    let expected = [1.5338359, 1.5338359, 0.0, 1.0346071, 1.1067981];
    close(
        "dec1, batch statistics",
        &train[0],
        &[2, 256, 16, 16],
        expected,
        5e-3,
    );
    scalar(
        "batch statistics",
        &loss(Loss::Flattened, &features, &train).unwrap(),
        1.6189203,
    );
    let tensors = student.tensors();
    for (part, expected) in [
        ("running_mean", [0.07294220, 0.22171214, 0.19643979]),
        ("running_var", [0.96169198, 0.86996996, 0.91236186]),
    ] {
        let found = to_vec(&tensors[&format!("bottleneck.bn1.{part}")]).unwrap();
        for (a, e) in found.iter().zip(expected) {
            assert!((f64::from(*a) - e).abs() < 1e-5, "{part}: {a} is not {e}");
        }
    }
}

#[test]
fn distances_by_hand() {
    let t = |v: &[f32], shape: &[i64]| segad_nn::from_slice(v, shape).unwrap();
    // Two channels, two places: (3, 4) against (4, 3), and (0, 0) against (1, 0).
    let a = t(&[3.0, 0.0, 4.0, 0.0], &[1, 2, 1, 2]);
    let b = t(&[4.0, 1.0, 3.0, 0.0], &[1, 2, 1, 2]);
    let d = to_vec(&cosine_distance(&a, &b, &[1]).unwrap()).unwrap();
    assert!((d[0] - 0.04).abs() < 1e-6 && d[1] == 1.0, "{d:?}");
    let pair = |x: &Tensor| [x.shallow_clone(), x.shallow_clone(), x.shallow_clone()];
    scalar(
        "per pixel",
        &loss(Loss::PerPixel, &pair(&a), &pair(&b)).unwrap(),
        3.0 * 0.52,
    );
    let whole = 1.0 - 24.0 / (5.0 * 26f64.sqrt());
    scalar(
        "flattened",
        &loss(Loss::Flattened, &pair(&a), &pair(&b)).unwrap(),
        3.0 * whole,
    );
    let zero = a.zeros_like().set_requires_grad(true);
    for kind in [Loss::Flattened, Loss::PerPixel] {
        let dead = loss(kind, &pair(&a), &pair(&zero)).unwrap();
        assert_eq!(dead.double_value(&[]), 3.0);
        dead.backward();
        assert!(to_vec(&zero.grad()).unwrap().iter().all(|g| g.is_finite()));
    }
}

/// Against libtorch's own steps.
#[test]
fn multiplied_maps_are_blurred_last() {
    let input = |name, i: i64| golden::input(name, &[2, 4, 16 >> i, 16 >> i]).unwrap();
    let features = |name| [input(name, 0), input(name, 1), input(name, 2)];
    let (a, b) = (features("a"), features("b"));
    let sizes = [(16, 16), (8, 8), (4, 4)];
    let size = (40, 40);
    let scorer = Scorer::new(Combine::Multiply, sizes, size, tch::Device::Cpu).unwrap();
    let found = scorer.maps(&a, &b).unwrap();
    let mut product = Tensor::ones([2, 1, 40, 40], (Kind::Float, tch::Device::Cpu));
    for (a, b) in a.iter().zip(&b) {
        let d: Tensor = 1.0 - Tensor::cosine_similarity(a, b, 1, 1e-8);
        product *= d
            .unsqueeze(1)
            .upsample_bilinear2d([40, 40], true, None, None);
    }
    let taps: Vec<f32> = (-16..=16)
        .map(|x: i32| (-(x * x) as f32 / 32.0).exp())
        .collect();
    let taps = Tensor::from_slice(&taps).view([1, 1, 33, 1]);
    let taps = &taps / taps.sum(Kind::Float);
    let padded = product.reflection_pad2d([16, 16, 16, 16]);
    let conv = |x: &Tensor, k: &Tensor| x.conv2d(k, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let expected = conv(&conv(&padded, &taps), &taps.transpose(2, 3)).squeeze_dim(1);
    let worst = (found - &expected).abs().max().double_value(&[]);
    assert!(
        worst < 1e-5 * expected.abs().max().double_value(&[]).max(1.0),
        "{worst}"
    );
}
