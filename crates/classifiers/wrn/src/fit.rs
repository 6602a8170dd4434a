use crate::model::{FittedWrn, HeldOut, KIND, Network, Origin};
use crate::{FIT_REVISION, WrnParams};
use segad_core::{
    FitClassifier, FitContext, ImageClassifier, Label, Precision, Seed, TrainLabelled,
};
use segad_metrics::Scores;
use segad_nn::model::{ModelError, expect_labels, load_labelled, positions, training_identity};
use segad_nn::train::{
    FrozenCache, Run, ShuffledBatches, Trained, focal_loss, initialise, pytorch_default, shuffle,
};
use segad_nn::{TrainableBackbone, Weights, from_slice, global_average, to_vec, torch_device};
use tch::Tensor;
use tch::nn::VarStore;

/// WRN, not fitted yet: parameters and the weights that training starts with.
///
/// Memory: the network's variables three times over (values, gradients, momentum; 0.8 GB for
/// WideResNet-50-2), one batch's activations, and as many prepared images as fit the context's
/// budget (0.8 MB each at 256²).
pub struct Wrn {
    params: WrnParams,
    weights: Weights,
}

impl Wrn {
    /// With weights of `params.backbone`; its own classifier may be absent.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are another network's or incomplete.
    pub fn new(params: WrnParams, weights: Weights) -> Result<Self, ModelError> {
        let kind = params.backbone;
        weights
            .check(kind, Some(kind.last_tap()))
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }

    /// Trains on these images; gives the network as it is then.
    fn train(
        &self,
        images: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<(Trained, Network), ModelError> {
        let params = &self.params;
        let kind = params.backbone;
        let device = torch_device(ctx.device)?;
        let store = VarStore::new(device);
        let fc = store.root() / "fc";
        let weight = fc.f_zeros("weight", &[1, kind.last_channels()])?;
        let bias = fc.f_zeros("bias", &[1])?;
        // The backbone's variables come after this: they start with its weights.
        initialise(&store, seed.derive("head"), pytorch_default(&store))?;
        let network = TrainableBackbone::new(kind, kind.last_tap(), &self.weights, &store.root())?;

        let preprocess = kind.preprocess(params.image_size, params.image_size);
        let prepare = |i: usize| -> Result<Vec<Tensor>, ModelError> {
            let image = load_labelled(images, i)?;
            Ok(vec![preprocess.batch(&[image], device)?])
        };
        // The network's input, not its output, is cached: all of the network is trained. bf16 would
        // round pixels, so it stays f32 in any precision.
        let mut inputs =
            FrozenCache::new(images.len(), ctx.memory, Precision::F32, device, prepare);
        let labels = images.labels();
        let order = seed.derive("order");
        let mut batches = ShuffledBatches::new(images.len(), params.batch, true, order)?;
        let plan = params.plan();
        let samples = images.samples();
        let run = Run {
            name: KIND,
            plan: &plan,
            seed: seed.derive("steps"),
            identity: training_identity(KIND, FIT_REVISION, params, &self.weights, samples, seed),
            ctx,
        };
        let trained = segad_nn::train::train(&store, &mut batches, &run, |step| {
            let images = inputs.batch(step.samples)?;
            let targets: Vec<f32> = step
                .samples
                .iter()
                .map(|&i| f32::from(labels[i].as_u8()))
                .collect();
            let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?;
            let features = network.forward(&images[0], !params.frozen_statistics)?;
            // One logit, not two: focal loss is binary, and so is the score.
            let logits = global_average(&features)?
                .f_linear(&weight, Some(&bias))?
                .f_view([-1])?;
            let loss = focal_loss(&logits, &targets, params.alpha, params.gamma)?;
            Ok::<_, ModelError>(loss.into())
        })?;
        let network = Network {
            backbone: network.weights()?,
            weight: copied(&weight)?,
            bias: copied(&bias)?,
        };
        Ok((trained, network))
    }
}

/// The values of a variable, without its gradient.
fn copied(variable: &Tensor) -> Result<Tensor, ModelError> {
    Ok(from_slice(&to_vec(variable)?, &variable.size())?)
}

/// Positions of the images to train on and of the others, each ascending: ⌊share·n⌋ of each label,
/// at least one.
fn draw(labels: &[Label], share: f64, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let mut taken = vec![false; labels.len()];
    for label in [Label::Good, Label::Bad] {
        let mut all = positions(labels, label);
        // The small term keeps 0.8 · 1000 at 800 should the product land a bit below.
        let count = ((share * all.len() as f64 + 1e-9).floor() as usize).max(1);
        shuffle(&mut all, seed.derive(label.as_str()));
        all.into_iter().take(count).for_each(|i| taken[i] = true);
    }
    (0..labels.len()).partition(|&i| taken[i])
}

impl FitClassifier for Wrn {
    type Fitted = FittedWrn;
    type Error = ModelError;

    fn fit(
        &self,
        train: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedWrn, ModelError> {
        expect_labels(KIND, &train.labels(), 1)?;
        let share = self.params.train_share;
        let (seen, others) = draw(&train.labels(), share, seed.derive("share"));
        let seen = train.subset(&seen);
        let others = train.subset(&others);
        let (trained, network) = self.train(&seen, seed, ctx)?;
        tracing::debug!(images = seen.len(), steps = trained.steps, "wrn trained");
        let origin = Origin {
            good: seen.count(Label::Good),
            bad: seen.count(Label::Bad),
            steps: trained.steps,
            seed,
            precision: ctx.precision,
            held_out: None,
        };
        let history = (origin, trained.curve);
        // The part held out is scored by the finished model and influences nothing.
        let mut fitted =
            FittedWrn::new(self.params.clone(), history, network, ctx.device, ctx.batch)?;
        let mut scores = Vec::with_capacity(others.len());
        for i in 0..others.len() {
            scores.extend(fitted.scores(&[load_labelled(&others, i)?])?);
        }
        // Without images of both labels there is no AUROC, which is not an error of the fit.
        let held_out = Scores::new(&scores, &others.labels()).ok();
        fitted.hold_out(held_out.map(|s| HeldOut {
            good: s.good().len(),
            bad: s.bad().len(),
            auroc: s.auroc(),
        }));
        Ok(fitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_each_label_is_drawn() {
        let labels: Vec<Label> = (0..3000)
            .map(|i| if i < 2000 { Label::Good } else { Label::Bad })
            .collect();
        let (seen, others) = draw(&labels, 0.8, Seed(3));
        let bad = |list: &[usize]| list.iter().filter(|&&i| labels[i].is_bad()).count();
        assert_eq!(
            (seen.len(), bad(&seen), others.len(), bad(&others)),
            (2400, 800, 600, 200)
        );
        assert_eq!(draw(&labels, 0.8, Seed(3)).0, seen);
        assert_ne!(draw(&labels, 0.8, Seed(4)).0, seen);
        // Evenly over the images: of each half 80 %, within 4 standard deviations.
        let early = seen.iter().filter(|&&i| i < 1000).count() as f64;
        assert!(
            (early - 800.0).abs() < 4.0 * (1000.0 * 0.8 * 0.2 / 2.0f64).sqrt(),
            "{early}"
        );
        let (few, none) = draw(&[Label::Bad, Label::Good], 0.1, Seed(0));
        assert_eq!((few.len(), none.len()), (2, 0));
    }
}
