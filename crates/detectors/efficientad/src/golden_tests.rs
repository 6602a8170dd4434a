//! The networks, losses and maps against figures computed with the published code (PyTorch 2.3.1),
//! for the weights and inputs of [`segad_nn::golden`].

use crate::EfficientAdSettings;
use crate::autoencoder::Autoencoder;
use crate::loss::{hard, mean_square, penalty};
use crate::pdn::{CHANNELS, Pdn, PdnSize};
use crate::quantile::threshold;
use crate::score::{Combiner, Pair, normalisation};
use crate::statistics::ChannelStatistics;
use segad_nn::model::Settings;
use segad_nn::{channels_last, golden, to_vec};
use tch::Tensor;

fn network(prefix: &str, output: i64, padded: bool) -> Pdn {
    let mut source =
        |name: &str, shape: &[i64]| golden::parameter(&format!("{prefix}{name}"), shape);
    Pdn::new(PdnSize::Medium, output, padded, &mut source).unwrap()
}

fn image(name: &str) -> Tensor {
    channels_last(&golden::input(name, &[1, 3, 256, 256]).unwrap()).unwrap()
}

/// Mean, mean size, first, middle and last value.
fn same(what: &str, t: &Tensor, shape: &[i64], expected: [f64; 5]) {
    assert_eq!(t.size(), shape, "{what}");
    let v = to_vec(t).unwrap();
    let n = v.len();
    let mean = |f: fn(f64) -> f64| v.iter().map(|&x| f(f64::from(x))).sum::<f64>() / n as f64;
    let size = mean(f64::abs);
    let found = [
        mean(|x| x),
        size,
        v[0].into(),
        v[n / 2].into(),
        v[n - 1].into(),
    ];
    for (a, b) in found.into_iter().zip(expected) {
        assert!(
            (a - b).abs() < 1e-4 * size,
            "{what}: {found:?} is not {expected:?}"
        );
    }
}

fn near(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-5 * expected.abs(),
        "{what}: {found} is not {expected}"
    );
}

#[test]
fn padded_networks_losses_and_maps() {
    let _guard = tch::no_grad_guard();
    let x = image("input256");
    let general = image("penalty256");
    let teacher = network("teacher.", CHANNELS, true).forward(&x).unwrap();
    let five = [
        -4.5277134e-03,
        8.1816244e-01,
        -4.0470010e-01,
        9.6176296e-02,
        1.0278338e+00,
    ];
    same("teacher", &teacher, &[1, 384, 64, 64], five);

    let mut source =
        |name: &str, shape: &[i64]| golden::parameter(&format!("autoencoder.{name}"), shape);
    let students = network("student.", 2 * CHANNELS, true)
        .forward(&Tensor::cat(&[&x, &general], 0))
        .unwrap();
    let student = students.narrow(0, 0, 1);
    let unknown = students.narrow(0, 1, 1);
    let five = [
        -4.9559055e-02,
        8.4340022e-01,
        -1.0071692e-01,
        -2.3655248e-01,
        8.4189427e-01,
    ];
    same("student", &student, &[1, 768, 64, 64], five);
    let autoencoder = Autoencoder::new(256, true, &mut source)
        .unwrap()
        .forward(&x, None)
        .unwrap();
    let five = [
        -4.0830217e-02,
        3.2431596e-01,
        -9.2897691e-02,
        2.4995960e-02,
        -6.8616606e-03,
    ];
    same("autoencoder", &autoencoder, &[1, 384, 64, 64], five);

    let mut statistics = ChannelStatistics::new(CHANNELS, tch::Device::Cpu).unwrap();
    statistics.add(&teacher).unwrap();
    let teacher = statistics.finish().unwrap().normalise(&teacher).unwrap();
    let five = [
        0.0,
        7.8613371e-01,
        -3.3548563e+00,
        -2.3078436e-01,
        -3.4270948e-01,
    ];
    same("normalised", &teacher, &[1, 384, 64, 64], five);
    check_losses(&teacher, &student, &unknown, &autoencoder);
    check_maps(&Pair::new(&teacher, &student, &autoencoder).unwrap());
}

fn check_losses(teacher: &Tensor, student: &Tensor, unknown: &Tensor, autoencoder: &Tensor) {
    let d = (teacher - student.narrow(1, 0, CHANNELS)).square();
    let q = threshold(&d, 0.999).unwrap();
    near("q", q.double_value(&[]), 22.735216);
    assert_eq!(d.ge_tensor(&q).sum(tch::Kind::Int64).int64_value(&[]), 1573);
    near(
        "hard",
        hard(teacher, student, 0.999).unwrap().double_value(&[]),
        27.030914,
    );
    near(
        "penalty",
        penalty(unknown).unwrap().double_value(&[]),
        1.0733680,
    );
    near(
        "autoencoder",
        mean_square(teacher, autoencoder).unwrap().double_value(&[]),
        1.1982569,
    );
    let half = student.narrow(1, CHANNELS, CHANNELS);
    near(
        "student-autoencoder",
        mean_square(autoencoder, &half).unwrap().double_value(&[]),
        1.4064859,
    );
}

fn check_maps(pair: &Pair) {
    let params = EfficientAdSettings::default().checked().unwrap();
    let combiner = Combiner::new(&params, tch::Device::Cpu).unwrap();
    let (a, b) = combiner.values(pair).unwrap();
    let scales = normalisation(a, b, 1, &params).unwrap();
    near("student low", scales.student.low.into(), 2.4164097);
    near("student high", scales.student.high.into(), 3.9580050);
    near("autoencoder low", scales.autoencoder.low.into(), 1.7222924);
    near(
        "autoencoder high",
        scales.autoencoder.high.into(),
        1.8904675,
    );
    let small = crate::score::average(&pair.student, &pair.autoencoder, &scales).unwrap();
    let five = [
        -1.0514725e-01,
        1.0710484e-01,
        -3.1937617e-01,
        -2.3199394e-01,
        -3.2510996e-01,
    ];
    same("combined", &small, &[1, 64, 64], five);
    let large = combiner.combine(pair, &scales).unwrap();
    let five = [
        -1.0514725e-01,
        1.0670716e-01,
        -3.1937617e-01,
        -2.3743331e-01,
        -3.2510996e-01,
    ];
    same("map", &large, &[1, 256, 256], five);
}

#[test]
fn teacher_without_padding() {
    let _guard = tch::no_grad_guard();
    let teacher = network("teacher.", CHANNELS, false)
        .forward(&image("input256"))
        .unwrap();
    let five = [
        -5.1898044e-03,
        8.3506052e-01,
        8.7569618e-01,
        5.5807769e-01,
        1.1817037e+00,
    ];
    same("teacher unpadded", &teacher, &[1, 384, 56, 56], five);
}
