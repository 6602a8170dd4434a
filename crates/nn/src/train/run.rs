mod training;

use super::checkpoint::Position;
use super::{CurvePoint, Sampler, TrainError, TrainPlan};
use crate::autocast;
use segad_core::{FitContext, Key, Seed};
use tch::Tensor;
use tch::nn::VarStore;
use training::Training;

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
/// (on one device, and on one number of libtorch's threads: see [`crate::set_threads`]). With a checkpoint folder, the store, the optimiser's
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
