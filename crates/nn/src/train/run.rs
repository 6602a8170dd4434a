use super::checkpoint::{Checkpoint, Position, state};
use super::optimise::{Slot, clip};
use super::{CurvePoint, Sampler, TrainError, TrainPlan};
use crate::autocast;
use segad_core::{FitContext, Key, KeyHasher, Seed};
use std::time::Instant;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// Points of the loss curve where [`TrainPlan::record_every`] leaves it open.
const POINTS: u64 = 1000;

/// One training of one network.
#[derive(Clone)]
pub struct Run<'a> {
    /// What it is called in progress, messages and the checkpoint's file name, e.g. `fastflow`.
    pub name: &'a str,
    /// How to train.
    pub plan: &'a TrainPlan,
    /// Decides [`Step::seed`]; the sampler and the initial weights have seeds of their own.
    pub seed: Seed,
    /// What else decides the weights: parameters, images, frozen weights, revisions. A checkpoint
    /// of another identity is refused.
    pub identity: Key,
    /// Device, precision, progress, cancellation, checkpoint folder.
    pub ctx: &'a FitContext,
}

/// One step, as the loss function sees it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Steps done before.
    pub index: u64,
    /// Epochs done before.
    pub epoch: u64,
    /// The samples of the batch.
    pub samples: &'a [usize],
    /// Randomness of this step, e.g. for dropout and augmentation.
    pub seed: Seed,
}

/// The loss of a step.
#[derive(Debug)]
pub struct Loss {
    /// What is minimised: one value, with its graph.
    pub total: Tensor,
    /// Parts to note in the curve, one value each.
    pub parts: Vec<(&'static str, Tensor)>,
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Self {
            total,
            parts: vec![],
        }
    }
}

/// What a training leaves besides the weights in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Steps done.
    pub steps: u64,
    /// The loss curve: `loss` and the loss's parts, in order of steps.
    pub curve: Vec<CurvePoint>,
    /// The step that a checkpoint was read at; `None`: trained from the start.
    pub resumed: Option<u64>,
}

/// Trains the variables of a store that require gradients. The loss function runs under
/// [`autocast`] of the context's precision; backward pass and update are f32.
///
/// The weights are a function of only the initial weights, plan, sampler, seed and loss function
/// (on one device and number of threads). With a checkpoint folder, the store, the optimiser's
/// memory and the position are written there now and then, on cancellation and at the end; a later
/// call resumes there, to the same weights bit for bit. The last checkpoint stays, so that
/// nothing is lost until the result is stored; whoever owns the folder deletes it.
///
/// # Errors
/// [`TrainError`], as `E`; the loss function's own.
pub fn train<E: From<TrainError>>(
    store: &VarStore,
    sampler: &mut dyn Sampler,
    run: &Run<'_>,
    mut loss: impl FnMut(&Step<'_>) -> Result<Loss, E>,
) -> Result<Trained, E> {
    let mut training = Training::new(store, sampler.steps_per_epoch(), run)?;
    let resumed = training.resume()?;
    let task = run.ctx.progress.start(run.name, Some(training.total));
    task.advance(training.position.step);
    while training.position.step < training.total {
        if run.ctx.cancel.is_cancelled() {
            training.write()?;
            let step = training.position.step;
            return Err(TrainError::Cancelled {
                name: run.name.to_owned(),
                step,
            }
            .into());
        }
        let index = training.position.step;
        let epoch = index / training.per_epoch;
        // Samples and seeds are functions of the step, so nothing random has to be saved.
        let samples = sampler.batch(epoch, index % training.per_epoch);
        let seed = run.seed.derive(&format!("step {index}"));
        let step = Step {
            index,
            epoch,
            samples: &samples,
            seed,
        };
        // Only the forward pass: the backward pass takes each operation's own kind, and updates of
        // f32 variables in bf16 would lose small steps.
        let found = autocast(store.device(), run.ctx.precision, || loss(&step))?;
        let value = training.step(found)?;
        task.advance(1);
        task.message(&format!("loss {value:.5}"));
    }
    if training.unwritten {
        training.write()?;
    }
    let Position { step, recorder, .. } = training.position;
    Ok(Trained {
        steps: step,
        curve: recorder.points,
        resumed,
    })
}

struct Training<'a> {
    run: &'a Run<'a>,
    /// All variables by name, in order of names.
    variables: Vec<(String, Tensor)>,
    /// Which of them are trained.
    trainable: Vec<usize>,
    slots: Vec<Slot>,
    position: Position,
    per_epoch: u64,
    total: u64,
    record_every: u64,
    checkpoint: Option<Checkpoint>,
    /// Whether steps were done since the last checkpoint.
    unwritten: bool,
    /// When the last checkpoint was written, or would have been.
    written_at: Instant,
    /// After which step it was written.
    written_step: Option<u64>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "only decides when a checkpoint is written"
)]
fn now() -> Instant {
    Instant::now()
}

/// Everything that decides the weights, down to the variables' shapes.
fn checkpoint_identity(run: &Run<'_>, per_epoch: u64, variables: &[(String, Tensor)]) -> Key {
    let mut hasher = KeyHasher::new("training", super::REVISION);
    hasher
        .field("of", &run.identity)
        .field("name", run.name)
        .field("plan", run.plan)
        .field("seed", &run.seed)
        .field("precision", &run.ctx.precision)
        .field("per_epoch", &per_epoch);
    for (name, tensor) in variables {
        hasher
            .field(name, &tensor.size())
            .field("trained", &tensor.requires_grad());
    }
    hasher.finish()
}

impl<'a> Training<'a> {
    fn new(store: &VarStore, per_epoch: u64, run: &'a Run<'a>) -> Result<Self, TrainError> {
        run.plan.check()?;
        let per_epoch = per_epoch.max(1);
        // A store lists its variables in random order; checkpoints and clipping sum in this one.
        let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some((name, _)) = variables.iter().find(|(_, t)| t.kind() != Kind::Float) {
            return Err(TrainError::Kind(name.clone()));
        }
        let trainable: Vec<usize> = (0..variables.len())
            .filter(|&i| variables[i].1.requires_grad())
            .collect();
        let mut slots = Vec::with_capacity(trainable.len());
        for &i in &trainable {
            slots.push(Slot::new(&run.plan.optimiser, &variables[i].1)?);
        }
        let total = run.plan.steps(per_epoch);
        let checkpoint = run.ctx.checkpoints.as_ref().map(|folder| {
            let identity = checkpoint_identity(run, per_epoch, &variables);
            Checkpoint::new(folder, run.name, identity)
        });
        Ok(Self {
            run,
            position: Position {
                updates: vec![0; slots.len()],
                ..Position::default()
            },
            variables,
            trainable,
            slots,
            per_epoch,
            total,
            record_every: run
                .plan
                .record_every
                .unwrap_or(total.div_ceil(POINTS))
                .max(1),
            checkpoint,
            unwritten: false,
            written_at: now(),
            written_step: None,
        })
    }

    fn resume(&mut self) -> Result<Option<u64>, TrainError> {
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(None);
        };
        let tensors = state(&self.variables, &self.trainable, &self.slots);
        let Some(position) = tch::no_grad(|| checkpoint.read(&tensors))? else {
            return Ok(None);
        };
        for (slot, &updates) in self.slots.iter_mut().zip(&position.updates) {
            slot.updates = updates;
        }
        let step = position.step;
        tracing::info!(
            name = self.run.name,
            step,
            "training resumes from a checkpoint"
        );
        self.written_step = Some(step);
        self.position = position;
        Ok(Some(step))
    }

    /// Loss to weights; gives the loss.
    fn step(&mut self, loss: Loss) -> Result<f64, TrainError> {
        // Before the backward pass: one NaN would reach every weight, and the last checkpoint with it.
        let value = loss.total.f_double_value(&[])?;
        self.expect_finite("loss", value)?;
        for (name, part) in &loss.parts {
            let value = part.f_double_value(&[])?;
            self.expect_finite(name, value)?;
            self.position.recorder.add(name, value);
        }
        self.position.recorder.add("loss", value);
        let plan = self.run.plan;
        let rate = plan.rate_at(self.position.step, self.per_epoch);
        let inputs: Vec<&Tensor> = self
            .trainable
            .iter()
            .map(|&i| &self.variables[i].1)
            .collect();
        let gradients = Tensor::f_run_backward(&[&loss.total], &inputs, false, false)?;
        // Frees the graph, and with it all activations, before the update needs memory.
        drop(loss);
        // A variable that the loss does not depend on has no gradient.
        let mut gradients: Vec<Option<Tensor>> = gradients
            .into_iter()
            .map(|g| if g.defined() { Some(g) } else { None })
            .collect();
        tch::no_grad(|| {
            if let Some(limit) = plan.clip_norm {
                clip(&mut gradients, limit)?;
            }
            for (k, gradient) in gradients.iter().enumerate() {
                if let Some(gradient) = gradient {
                    let variable = &mut self.variables[self.trainable[k]].1;
                    self.slots[k].update(&plan.optimiser, rate, variable, gradient)?;
                }
            }
            Ok::<_, TrainError>(())
        })?;
        self.position.step += 1;
        self.unwritten = true;
        let step = self.position.step;
        if step.is_multiple_of(self.record_every) || step == self.total {
            self.position.recorder.close(step);
        }
        // The time decides, not the step: steps take milliseconds or minutes. It changes no weight.
        let by_steps = plan
            .checkpoint_steps
            .is_some_and(|n| step.is_multiple_of(n));
        let due = by_steps || self.written_at.elapsed().as_secs_f64() >= plan.checkpoint_seconds;
        if due || step == self.total {
            self.write()?;
        }
        Ok(value)
    }

    /// Writes a checkpoint if a folder was given, after a check of the weights: a checkpoint is
    /// always good.
    fn write(&mut self) -> Result<(), TrainError> {
        for (name, tensor) in &self.variables {
            // A finite loss may still have an infinite gradient in one weight.
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return self.expect_finite(name, f64::NAN);
            }
        }
        if let Some(checkpoint) = &self.checkpoint {
            self.position.updates = self.slots.iter().map(|s| s.updates).collect();
            let tensors = state(&self.variables, &self.trainable, &self.slots);
            checkpoint.write(&tensors, &self.position)?;
            self.written_step = Some(self.position.step);
        }
        self.written_at = now();
        self.unwritten = false;
        Ok(())
    }

    fn expect_finite(&self, what: &str, value: f64) -> Result<(), TrainError> {
        if value.is_finite() {
            return Ok(());
        }
        let kept = match (&self.checkpoint, self.written_step) {
            (Some(c), Some(step)) => {
                format!(
                    "the last good checkpoint, of step {step}, is {}",
                    c.path().display()
                )
            }
            _ => "no checkpoint was written".to_owned(),
        };
        Err(TrainError::Diverged {
            name: self.run.name.to_owned(),
            what: what.to_owned(),
            value,
            step: self.position.step,
            kept,
        })
    }
}
