use super::*;
use crate::FastFlowSettings;
use segad_nn::model::Settings;
use segad_nn::{BackboneKind, golden, to_vec};

fn settings() -> FastFlowSettings {
    FastFlowSettings {
        backbone: BackboneKind::Resnet18,
        ..Default::default()
    }
}

fn flows(settings: FastFlowSettings, shapes: &[[i64; 3]]) -> Flows {
    Flows::new(&settings.checked().unwrap(), shapes, Device::Cpu).unwrap()
}

/// Trainable values of the flows and of the layer normalisations.
fn count(settings: FastFlowSettings, shapes: &[[i64; 3]]) -> (usize, usize) {
    let variables = flows(settings, shapes).store.variables();
    assert!(variables.values().all(Tensor::requires_grad));
    let sum = |norm: bool| {
        variables
            .iter()
            .filter(|(n, _)| n.starts_with("norms") == norm)
            .map(|(_, t)| t.numel())
            .sum()
    };
    (sum(false), sum(true))
}

#[test]
fn parameter_counts() {
    let wide = [[256, 64, 64], [512, 32, 32], [1024, 16, 16]];
    let d = FastFlowSettings::default;
    assert_eq!(count(d(), &wide), (41_337_856, 3_670_016));
    for (shape, published) in wide.iter().zip([1_973_248, 7_878_656, 31_485_952]) {
        assert_eq!(count(d(), &[*shape]).0, published);
    }
    assert_eq!(
        count(
            FastFlowSettings {
                conv3x3_only: true,
                ..d()
            },
            &wide
        ),
        (74_368_000, 3_670_016)
    );
    let small = [[64, 64, 64], [128, 32, 32], [256, 16, 16]];
    let (flow, norm) = count(
        FastFlowSettings {
            conv3x3_only: true,
            ..settings()
        },
        &small,
    );
    assert_eq!((flow, flow + norm), (4_657_408, 5_574_912));
}

#[test]
fn a_fresh_flow_changes_little() {
    let mut f = flows(settings(), &[[8, 4, 4]]);
    f.initialise(Seed(1)).unwrap();
    let gain = to_vec(&f.scales[0].blocks[0].gain().unwrap()).unwrap();
    assert!(gain.iter().all(|g| (g - 1.0).abs() < 1e-6), "{gain:?}");
    let mut order = Vec::<i64>::try_from(f.order(0, 3)).unwrap();
    assert_ne!(order, (0..8).collect::<Vec<_>>());
    assert_ne!(order, Vec::<i64>::try_from(f.order(0, 4)).unwrap());
    order.sort_unstable();
    assert_eq!(order, (0..8).collect::<Vec<_>>());
    let (z, log) = f
        .forward(&[golden::input("x", &[3, 8, 4, 4]).unwrap()])
        .unwrap()
        .remove(0);
    assert!((z.std(false).double_value(&[]) - 1.0).abs() < 0.2);
    assert!(log.abs().max().double_value(&[]) < 0.5 * 8.0 * 16.0);
}

/// The block's inverse, written from its equation.
fn backward(f: &Flows, mut z: Tensor) -> Tensor {
    let half = z.size()[1] / 2;
    for block in f.scales[0].blocks.iter().rev() {
        let y = z.index_select(1, &block.order.argsort(0, false));
        let y = (y - &block.offset) / block.gain().unwrap();
        let (first, second) = (y.narrow(1, 0, half), y.narrow(1, half, half));
        let (s, t) = f.subnet(block, &first, half).unwrap();
        z = Tensor::cat(&[first, (second - t) * (-s).exp()], 1);
    }
    z
}

fn filled(form: ClampForm) -> (Flows, Tensor) {
    let small = FastFlowSettings {
        flow_steps: 5,
        hidden_ratio: 1.5,
        clamp_form: form,
        ..settings()
    };
    let mut f = flows(small, &[[4, 2, 2]]);
    golden::fill(&f.store, "").unwrap();
    // The subnets' outputs are scaled by 0.1; larger weights make s and t matter.
    for (name, mut t) in f.store.variables() {
        if name.contains("subnet") {
            let _ = tch::no_grad(|| t.f_mul_scalar_(2.0)).unwrap();
        }
    }
    for (s, i) in f.blocks() {
        f.set_order(s, i, &[[2, 0, 3, 1], [3, 2, 1, 0], [1, 3, 0, 2]][i % 3])
            .unwrap();
    }
    (f, golden::input("u", &[2, 4, 2, 2]).unwrap())
}

#[test]
fn flows_can_be_inverted() {
    for form in [ClampForm::Tanh, ClampForm::Scaled] {
        let (f, u) = filled(form);
        let z = f.couple(&f.scales[0], u.shallow_clone()).unwrap().0;
        assert!((&z - &u).abs().max().double_value(&[]) > 0.5);
        let back = backward(&f, z);
        assert!((back - u).abs().max().double_value(&[]) < 1e-5);
    }
}

#[test]
fn the_log_determinant_is_that_of_the_jacobian() {
    for form in [ClampForm::Tanh, ClampForm::Scaled] {
        let (f, u) = filled(form);
        for n in 0..2 {
            let u = u.narrow(0, n, 1).detach().set_requires_grad(true);
            let (z, log) = f.couple(&f.scales[0], u.shallow_clone()).unwrap();
            let z = z.flatten(0, -1);
            let rows: Vec<Tensor> = (0..16)
                .map(|i| {
                    Tensor::run_backward(&[z.get(i)], &[&u], true, false)
                        .remove(0)
                        .flatten(0, -1)
                })
                .collect();
            let jacobian = Tensor::stack(&rows, 0).to_kind(Kind::Double);
            let expected = jacobian.det().abs().log().double_value(&[]);
            let actual = log.double_value(&[0]);
            assert!(expected.abs() > 0.05, "{expected}");
            assert!(
                (actual - expected).abs() < 1e-4,
                "{actual} is not {expected}"
            );
        }
    }
}
