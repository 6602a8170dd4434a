use crate::model::{FittedWrn, Head, HeldOut, Origin};
use crate::{FIT_REVISION, WrnError, WrnParams};
use segad_core::{
    FitClassifier, FitContext, Image, ImageClassifier, Key, KeyHasher, Label, Seed, TrainLabelled,
};
use segad_metrics::Scores;
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
    /// With weights of `params.backbone()`; its own classifier may be absent.
    ///
    /// # Errors
    /// [`WrnError::Weights`] if they are another network's or incomplete.
    pub fn new(params: WrnParams, weights: Weights) -> Result<Self, WrnError> {
        weights
            .check(params.backbone(), Some(&params.tap()))
            .map_err(WrnError::Weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &WrnParams {
        &self.params
    }

    /// What a checkpoint belongs to.
    fn identity(&self, train: &TrainLabelled<'_>, seed: Seed) -> Key {
        let mut hasher = KeyHasher::new("wrn", FIT_REVISION);
        hasher
            .field("params", &self.params)
            .field("weights", &self.weights.digest());
        hasher.field("images", train.samples()).field("seed", &seed);
        hasher.finish()
    }

    /// Trains on these images; gives the network as it is then.
    fn trained(
        &self,
        train: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<(Trained, Weights, Head), WrnError> {
        let s = self.params.settings();
        let device = torch_device(ctx.device)?;
        let store = VarStore::new(device);
        let channels = s.backbone.tap(&self.params.tap())?.channels;
        let fc = store.root() / "fc";
        let (weight, bias) = (
            fc.f_zeros("weight", &[1, channels])?,
            fc.f_zeros("bias", &[1])?,
        );
        // The backbone's variables come after this: they start with its weights.
        initialise(&store, seed.derive("head"), pytorch_default(&store))?;
        let network =
            TrainableBackbone::new(s.backbone, &self.params.tap(), &self.weights, &store.root())?;

        let preprocess = s.backbone.preprocess(s.image_size, s.image_size);
        let prepare = |i: usize| -> Result<Vec<Tensor>, WrnError> {
            Ok(vec![preprocess.batch(&[load(train, i)?], device)?])
        };
        let mut inputs = FrozenCache::new(
            train.len(),
            ctx.memory,
            segad_core::Precision::F32,
            device,
            prepare,
        );
        let labels: Vec<f32> = train
            .labels()
            .iter()
            .map(|l| f32::from(l.as_u8()))
            .collect();
        let mut batches = ShuffledBatches::new(train.len(), s.batch, true, seed.derive("order"))?;
        let (plan, identity) = (self.params.plan(), self.identity(train, seed));
        let run = Run {
            name: "wrn",
            plan: &plan,
            seed: seed.derive("steps"),
            identity,
            ctx,
        };
        let done = segad_nn::train::train(&store, &mut batches, &run, |step| {
            let images = inputs.batch(step.samples)?;
            let targets: Vec<f32> = step.samples.iter().map(|&i| labels[i]).collect();
            let targets = Tensor::f_from_slice(&targets)?.f_to_device(device)?;
            let features = network.forward(&images[0], !s.frozen_statistics)?;
            let logits = global_average(&features)?
                .f_linear(&weight, Some(&bias))?
                .f_view([-1])?;
            Ok::<_, WrnError>(focal_loss(&logits, &targets, s.alpha, s.gamma)?.into())
        })?;
        let own = |t: &Tensor| from_slice(&to_vec(t)?, &t.size());
        let head = Head {
            weight: own(&weight)?,
            bias: own(&bias)?,
        };
        Ok((done, network.weights()?, head))
    }
}

fn load(train: &TrainLabelled<'_>, i: usize) -> Result<Image, WrnError> {
    train.load(i).map_err(|source| WrnError::Load {
        id: train.samples()[i].id.to_string(),
        source,
    })
}

/// Positions of the images to train on and of the others, each ascending: ⌊share·n⌋ of each label,
/// at least one.
fn draw(labels: &[Label], share: f64, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let mut taken = vec![false; labels.len()];
    for label in [Label::Good, Label::Bad] {
        let mut all: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == label).collect();
        // The small term keeps 0.8 · 1000 at 800 should the product land a bit below.
        let count = ((share * all.len() as f64 + 1e-9).floor() as usize).max(1);
        shuffle(&mut all, seed.derive(label.as_str()));
        all.into_iter().take(count).for_each(|i| taken[i] = true);
    }
    (0..labels.len()).partition(|&i| taken[i])
}

impl FitClassifier for Wrn {
    type Fitted = FittedWrn;
    type Error = WrnError;

    fn fit(
        &self,
        train: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedWrn, WrnError> {
        let (good, bad) = (train.count(Label::Good), train.count(Label::Bad));
        if good == 0 || bad == 0 {
            return Err(WrnError::OneClass { good, bad });
        }
        let share = self.params.settings().train_share;
        let (seen, others) = draw(&train.labels(), share, seed.derive("share"));
        let (seen, others) = (train.subset(&seen), train.subset(&others));
        let (done, weights, head) = self.trained(&seen, seed, ctx)?;
        tracing::debug!(images = seen.len(), steps = done.steps, "wrn trained");
        let origin = Origin {
            good: seen.count(Label::Good),
            bad: seen.count(Label::Bad),
            steps: done.steps,
            seed,
            precision: ctx.precision,
            held_out: None,
        };
        let history = (origin, done.curve);
        let mut fitted = FittedWrn::new(
            self.params.clone(),
            history,
            (weights, head),
            ctx.device,
            ctx.batch,
        )?;
        let mut scores = Vec::with_capacity(others.len());
        for i in 0..others.len() {
            scores.extend(fitted.scores(&[load(&others, i)?])?);
        }
        // An error here means that one label is absent, and then there is no AUROC.
        fitted.hold_out(
            Scores::new(&scores, &others.labels())
                .ok()
                .map(|s| HeldOut {
                    good: s.good().len(),
                    bad: s.bad().len(),
                    auroc: s.auroc(),
                }),
        );
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
