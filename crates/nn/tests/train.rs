//! Training: repeats, agrees with PyTorch's Adam, survives a kill, stops where it must.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{Cancel, FitContext, Key, Precision, Seed};
use segad_nn::train::{
    Length, Loss, Optimiser, Run, Schedule, ShuffledBatches, Step, TrainError, TrainPlan, Trained,
    dropout, initialise, pytorch_default, train,
};
use segad_nn::{NnError, autocast, golden, to_vec};
use std::path::Path;
use tch::nn::{self, Module, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

const SAMPLES: usize = 10;

/// A convolution, a batch normalisation (whose running values must survive as well), dropout and a
/// linear layer.
struct Net {
    store: nn::VarStore,
    conv: nn::Conv2D,
    norm: nn::BatchNorm,
    linear: nn::Linear,
    data: Tensor,
    target: Tensor,
}

fn net() -> Net {
    let store = nn::VarStore::new(Device::Cpu);
    let root = store.root();
    let conv = nn::conv2d(&root / "conv", 2, 6, 3, Default::default());
    let norm = nn::batch_norm2d(&root / "norm", 6, Default::default());
    let linear = nn::linear(&root / "linear", 96, 1, Default::default());
    initialise(&store, Seed(9), pytorch_default(&store)).unwrap();
    let data = golden::input("data", &[SAMPLES as i64, 2, 6, 6]).unwrap();
    let target = golden::input("target", &[SAMPLES as i64, 1]).unwrap();
    Net {
        store,
        conv,
        norm,
        linear,
        data,
        target,
    }
}

impl Net {
    fn loss(&self, samples: &[usize], drop: Option<Seed>) -> Result<Loss, NnError> {
        let index = Tensor::from_slice(&samples.iter().map(|&i| i as i64).collect::<Vec<_>>());
        let x = self.conv.forward(&self.data.index_select(0, &index));
        let mut x = self.norm.forward_t(&x, true).relu().flatten(1, -1);
        if let Some(seed) = drop {
            x = dropout(&x, 0.3, seed)?;
        }
        let error = self.linear.forward(&x) - self.target.index_select(0, &index);
        let total = error.square().mean(Kind::Float);
        Ok(Loss {
            parts: vec![("largest", error.abs().max())],
            total,
        })
    }

    /// The loss over all samples, without dropout.
    fn error(&self) -> f64 {
        let all: Vec<usize> = (0..SAMPLES).collect();
        tch::no_grad(|| self.loss(&all, None))
            .unwrap()
            .total
            .double_value(&[])
    }

    /// All variables' bits, in order of names.
    fn bits(&self) -> Vec<u32> {
        let mut list: Vec<_> = self.store.variables().into_iter().collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.iter()
            .flat_map(|(_, t)| to_vec(t).unwrap())
            .map(f32::to_bits)
            .collect()
    }
}

fn plan() -> TrainPlan {
    let optimiser = Optimiser::Adam {
        betas: (0.5, 0.99),
        epsilon: 1e-8,
        weight_decay: 1e-3,
    };
    TrainPlan {
        schedule: Schedule::Step {
            every: 2,
            gamma: 0.5,
        },
        schedule_by_epoch: true,
        clip_norm: Some(2.0),
        record_every: Some(5),
        checkpoint_steps: Some(4),
        ..TrainPlan::new(optimiser, 0.02, Length::Epochs(5))
    }
}

fn context(folder: Option<&Path>) -> FitContext {
    FitContext {
        checkpoints: folder.map(Path::to_path_buf),
        ..FitContext::default()
    }
}

/// Trains; `before` may stop a step.
fn fit(
    net: &Net,
    plan: &TrainPlan,
    ctx: &FitContext,
    before: impl Fn(&Step<'_>) -> Result<(), TrainError>,
) -> Result<Trained, TrainError> {
    let identity = Key::of_bytes(b"data");
    let run = Run {
        name: "small net",
        plan,
        seed: Seed(1),
        identity,
        ctx,
    };
    let mut batches = ShuffledBatches::new(SAMPLES, 4, false, Seed(2))?;
    train(&net.store, &mut batches, &run, |step| {
        before(step)?;
        Ok(net.loss(step.samples, Some(step.seed))?)
    })
}

fn ok(_: &Step<'_>) -> Result<(), TrainError> {
    Ok(())
}

/// Bits and curve of an uninterrupted training of 15 steps.
fn whole() -> (Vec<u32>, Trained) {
    let net = net();
    let trained = fit(&net, &plan(), &context(None), ok).unwrap();
    (net.bits(), trained)
}

#[test]
fn trainings_repeat_and_learn() {
    let net_learning = net();
    let before = net_learning.error();
    fit(&net_learning, &plan(), &context(None), ok).unwrap();
    assert!(
        net_learning.error() < 0.5 * before,
        "{} {before}",
        net_learning.error()
    );
    let (bits, trained) = whole();
    assert_eq!((bits.clone(), trained.clone()), whole());
    assert_eq!((trained.steps, trained.resumed), (15, None));
    let of = |name: &str| {
        trained
            .curve
            .iter()
            .filter(|p| p.name == name)
            .map(|p| (p.step, p.value))
            .collect::<Vec<_>>()
    };
    let (losses, largest) = (of("loss"), of("largest"));
    assert_eq!(losses.iter().map(|p| p.0).collect::<Vec<_>>(), [5, 10, 15]);
    assert_eq!(largest.len(), 3);
    assert_ne!(net().bits(), bits);
}

#[test]
fn an_error_and_a_resume_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = context(Some(folder.path()));
    let stop = |at: u64| {
        move |s: &Step<'_>| {
            if s.index == at {
                Err(NnError::EmptyBatch.into())
            } else {
                Ok(())
            }
        }
    };
    // Checkpoints come after steps 4, 8, 12.
    assert!(fit(&net(), &plan(), &ctx, stop(3)).is_err());
    assert!(fit(&net(), &plan(), &ctx, stop(7)).is_err());
    let resumed = net();
    assert!(fit(&resumed, &plan(), &ctx, stop(14)).is_err());
    let resumed = net();
    let trained = fit(&resumed, &plan(), &ctx, ok).unwrap();
    let (bits, straight) = whole();
    assert_eq!(trained.resumed, Some(12));
    assert_eq!(resumed.bits(), bits);
    assert_eq!(trained.curve, straight.curve);
    // A finished training is not done again.
    let again = net();
    let trained = fit(&again, &plan(), &ctx, stop(0)).unwrap();
    assert_eq!((trained.steps, trained.resumed), (15, Some(15)));
    assert_eq!(again.bits(), bits);
    assert_eq!(trained.curve, straight.curve);
}

const CHILD: &str = "SEGAD_TEST_KILLED_TRAINING";

/// Runs only as the child of the next test: trains until it kills its own process with SIGKILL in
/// step 9.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent names the folder")]
fn killed_child() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let kill = |s: &Step<'_>| {
        if s.index == 9 {
            let id = std::process::id().to_string();
            std::process::Command::new("kill")
                .args(["-9", &id])
                .status()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        Ok(())
    };
    let _ = fit(&net(), &plan(), &context(Some(Path::new(&folder))), kill);
    panic!("the kill did not work");
}

#[test]
fn kill_9_and_resume_give_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_child", "--nocapture"])
        .env(CHILD, folder.path())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    let resumed = net();
    let trained = fit(&resumed, &plan(), &context(Some(folder.path())), ok).unwrap();
    assert_eq!(trained.resumed, Some(8));
    assert_eq!(resumed.bits(), whole().0);
}

#[test]
fn cancelling_keeps_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = FitContext {
        cancel: Cancel::default(),
        ..context(Some(folder.path()))
    };
    let cancel = |s: &Step<'_>| {
        if s.index == 5 {
            ctx.cancel.cancel();
        }
        Ok(())
    };
    let e = fit(&net(), &plan(), &ctx, cancel).unwrap_err();
    assert!(matches!(e, TrainError::Cancelled { step: 6, .. }), "{e}");
    let resumed = net();
    let trained = fit(&resumed, &plan(), &context(Some(folder.path())), ok).unwrap();
    assert_eq!(trained.resumed, Some(6));
    assert_eq!(resumed.bits(), whole().0);
}

#[test]
fn divergence_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = context(Some(folder.path()));
    let run = Run {
        name: "n",
        plan: &plan(),
        seed: Seed(1),
        identity: Key::of_bytes(b""),
        ctx: &ctx,
    };
    let fail = |at: u64, poison: &dyn Fn(&Net, Loss) -> Loss| {
        let net = net();
        let mut batches = ShuffledBatches::new(SAMPLES, 4, false, Seed(2)).unwrap();
        let result = train(&net.store, &mut batches, &run, |step| {
            let loss = net.loss(step.samples, None)?;
            Ok::<_, TrainError>(if step.index == at {
                poison(&net, loss)
            } else {
                loss
            })
        });
        result.unwrap_err().to_string()
    };
    let e = fail(2, &|_, l| (l.total * f64::INFINITY).into());
    assert!(
        e.contains("loss is inf at step 2") && e.contains("no checkpoint was written"),
        "{e}"
    );
    let e = fail(6, &|_, l| (l.total * f64::NAN).into());
    assert!(
        e.contains("loss is NaN at step 6") && e.contains("checkpoint, of step 4"),
        "{e}"
    );
    // A finite loss whose gradient is not (√ at 0) spoils weights; they must not become a
    // checkpoint.
    let e = fail(7, &|n, l| {
        (l.total + (&n.linear.ws * 0.0).sum(Kind::Float).sqrt()).into()
    });
    assert!(
        e.contains("linear.weight is NaN") && e.contains("checkpoint, of step 4"),
        "{e}"
    );
    let net = net();
    let mut batches = ShuffledBatches::new(SAMPLES, 4, false, Seed(2)).unwrap();
    let trained = train(&net.store, &mut batches, &run, |s| {
        Ok::<_, TrainError>(net.loss(s.samples, None)?)
    })
    .unwrap();
    assert_eq!(trained.resumed, Some(4));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damages a file")]
fn foreign_and_damaged_checkpoints_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = context(Some(folder.path()));
    fit(&net(), &plan(), &ctx, ok).unwrap();
    let says = |plan: &TrainPlan, ctx: &FitContext, text: &str| {
        let e = fit(&net(), plan, ctx, ok).unwrap_err().to_string();
        assert!(e.contains(text) && e.contains("delete it"), "{e}");
    };
    says(
        &TrainPlan {
            rate: 0.01,
            ..plan()
        },
        &ctx,
        "belongs to another training",
    );
    let bf16 = FitContext {
        precision: Precision::Bf16,
        ..ctx.clone()
    };
    says(&plan(), &bf16, "belongs to another training");
    let file = folder.path().join("small_net.safetensors");
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bad).unwrap();
    says(&plan(), &ctx, "digest");
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    says(&plan(), &ctx, "damaged");
}

#[test]
fn updates_are_pytorchs() {
    let (ours, theirs) = (net(), net());
    let plan = TrainPlan::new(
        Optimiser::Adam {
            betas: (0.8, 0.95),
            epsilon: 1e-6,
            weight_decay: 0.01,
        },
        0.01,
        Length::Steps(12),
    );
    let ctx = context(None);
    let run = Run {
        name: "n",
        plan: &plan,
        seed: Seed(1),
        identity: Key::of_bytes(b""),
        ctx: &ctx,
    };
    let mut batches = ShuffledBatches::new(SAMPLES, SAMPLES, false, Seed(2)).unwrap();
    let mut seen: Vec<Vec<usize>> = vec![];
    train(&ours.store, &mut batches, &run, |s| {
        seen.push(s.samples.to_vec());
        Ok::<_, TrainError>(ours.loss(s.samples, None)?)
    })
    .unwrap();
    let adam = nn::Adam {
        beta1: 0.8,
        beta2: 0.95,
        wd: 0.01,
        eps: 1e-6,
        amsgrad: false,
    };
    let mut adam = adam.build(&theirs.store, 0.01).unwrap();
    for samples in seen {
        adam.backward_step(&theirs.loss(&samples, None).unwrap().total);
    }
    let (a, b) = (ours.bits(), theirs.bits());
    let worst = a
        .iter()
        .zip(&b)
        .map(|(&a, &b)| (f32::from_bits(a) - f32::from_bits(b)).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
    assert_ne!(a, net().bits());
}

#[test]
fn bf16_training_learns_and_keeps_f32_weights() {
    let net = net();
    let ctx = FitContext {
        precision: Precision::Bf16,
        ..context(None)
    };
    let seen = std::cell::Cell::new(None);
    let note = |_: &Step<'_>| {
        seen.set(Some(net.conv.forward(&net.data).kind()));
        Ok(())
    };
    let trained = fit(&net, &plan(), &ctx, note).unwrap();
    assert_eq!(seen.get(), Some(Kind::BFloat16));
    assert_eq!(trained.steps, 15);
    assert!(
        net.store
            .variables()
            .values()
            .all(|t| t.kind() == Kind::Float)
    );
    let exact = whole().0;
    let bits = net.bits();
    assert_ne!(bits, exact);
    let far = bits
        .iter()
        .zip(&exact)
        .map(|(&a, &b)| (f32::from_bits(a) - f32::from_bits(b)).abs());
    assert!(far.fold(0.0, f32::max) < 0.1);
    assert_eq!(
        autocast(Device::Cpu, Precision::F32, || net
            .conv
            .forward(&net.data)
            .kind()),
        Kind::Float
    );
    let before = self::net().error();
    assert!(net.error() < 0.5 * before, "{} {before}", net.error());
}
