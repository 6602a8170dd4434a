//! The state of a training between steps.

use super::{Loss, Run};
use crate::train::checkpoint::{Checkpoint, Position, state};
use crate::train::optimise::{Slot, clip};
use crate::train::{REVISION, TrainError};
use segad_core::{Key, KeyHasher};
use std::time::Instant;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// Points of the loss curve where
/// [`TrainPlan::record_every`](crate::train::TrainPlan::record_every) leaves it open.
const POINTS: u64 = 1000;

pub(super) struct Training<'a> {
    run: &'a Run<'a>,
    /// All variables by name, in order of names.
    variables: Vec<(String, Tensor)>,
    /// Which of them are trained.
    trainable: Vec<usize>,
    slots: Vec<Slot>,
    pub(super) position: Position,
    pub(super) per_epoch: u64,
    pub(super) total: u64,
    record_every: u64,
    checkpoint: Option<Checkpoint>,
    /// Whether steps were done since the last checkpoint.
    pub(super) unwritten: bool,
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
    let mut hasher = KeyHasher::new("training", REVISION);
    hasher
        .field("of", &run.identity)
        .field("name", run.name)
        .field("plan", run.plan)
        .field("seed", &run.seed);
    run.ctx.arithmetic().feed_fields(&mut hasher);
    hasher.field("per_epoch", &per_epoch);
    for (name, tensor) in variables {
        hasher
            .field(name, &tensor.size())
            .field("trained", &tensor.requires_grad());
    }
    hasher.finish()
}

impl<'a> Training<'a> {
    pub(super) fn new(
        store: &VarStore,
        per_epoch: u64,
        run: &'a Run<'a>,
    ) -> Result<Self, TrainError> {
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

    pub(super) fn resume(&mut self) -> Result<Option<u64>, TrainError> {
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
    pub(super) fn step(&mut self, loss: Loss) -> Result<f64, TrainError> {
        // Before the backward pass: one NaN would reach every weight, and the last checkpoint with
        // it.
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
    pub(super) fn write(&mut self) -> Result<(), TrainError> {
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
