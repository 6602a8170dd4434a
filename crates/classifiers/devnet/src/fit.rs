use crate::model::{FittedDevNet, Origin};
use crate::score::Network;
use crate::{DevNetError, DevNetParams, FIT_REVISION};
use segad_core::{FitClassifier, FitContext, Image, Key, KeyHasher, Label, Seed, TrainLabelled};
use segad_nn::train::{BalancedBatches, ResizedImages, Run, train, turned};
use segad_nn::{Weights, torch_device};

const NAME: &str = "devnet";

/// DevNet, not fitted yet: parameters and the weights that the backbone starts with.
///
/// Memory: the network's variables four times over (values, gradients, Adam's two), one batch's
/// activations (about 30 MB an image of 256 pixels with ResNet-18), and as many resized training
/// images as fit the context's budget.
pub struct DevNet {
    params: DevNetParams,
    weights: Weights,
}

impl DevNet {
    /// With weights of `params.backbone()`, complete up to its last tap.
    ///
    /// # Errors
    /// [`DevNetError::Weights`] if they are not.
    pub fn new(params: DevNetParams, weights: Weights) -> Result<Self, DevNetError> {
        let kind = params.backbone();
        weights
            .check(kind, Some(kind.last_tap()))
            .map_err(DevNetError::Weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &DevNetParams {
        &self.params
    }

    /// What a checkpoint belongs to.
    fn identity(&self, train: &TrainLabelled<'_>, seed: Seed) -> Key {
        let mut hasher = KeyHasher::new(NAME, FIT_REVISION);
        hasher
            .field("params", &self.params)
            .field("weights", &self.weights.digest());
        hasher.field("images", train.samples()).field("seed", &seed);
        hasher.finish()
    }
}

impl FitClassifier for DevNet {
    type Fitted = FittedDevNet;
    type Error = DevNetError;

    /// Fits on labelled images. The same images, seed and precision give the same model. One bad
    /// image is enough, as in the published one-shot experiments; it then fills every bad place of
    /// every batch.
    ///
    /// # Errors
    /// [`DevNetError`]: fewer than two good or no bad image, an unreadable image, a diverged or cancelled training.
    fn fit(
        &self,
        images: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedDevNet, DevNetError> {
        let s = self.params.settings();
        let of = |label| -> Vec<usize> {
            images
                .samples()
                .iter()
                .enumerate()
                .filter(|(_, s)| s.label == label)
                .map(|(i, _)| i)
                .collect()
        };
        let (good, bad) = (of(Label::Good), of(Label::Bad));
        for (label, actual, expected) in [(Label::Good, good.len(), 2), (Label::Bad, bad.len(), 1)]
        {
            if actual < expected {
                return Err(DevNetError::TooFewImages {
                    label,
                    actual,
                    expected,
                });
            }
        }
        let counts = [good.len(), bad.len()];
        let device = torch_device(ctx.device)?;
        let network = Network::new(&self.params, &self.weights, seed.derive("network"), device)?;
        let [from_good, from_bad] = self.params.shares();
        let groups = vec![(good, from_good), (bad, from_bad)];
        let mut batches = BalancedBatches::new(groups, s.steps_per_epoch, seed.derive("batches"))?;
        let mut pixels = ResizedImages::new(images, s.image_size, ctx.memory);
        let preprocess = self
            .params
            .backbone()
            .preprocess(s.image_size, s.image_size);
        let (plan, objective, identity) = (
            self.params.plan(),
            self.params.objective(),
            self.identity(images, seed),
        );
        let run = Run {
            name: NAME,
            plan: &plan,
            seed: seed.derive("steps"),
            identity,
            ctx,
        };
        let trained = train(&network.store, &mut batches, &run, |step| {
            let mut batch: Vec<Image> = Vec::with_capacity(step.samples.len());
            for (slot, &i) in step.samples.iter().enumerate() {
                let image = pixels.get(i)?;
                batch.push(if s.rotate {
                    turned(&image, step.seed.derive(&format!("slot {slot}")))?
                } else {
                    image
                });
            }
            let labels: Vec<bool> = step
                .samples
                .iter()
                .map(|&i| images.samples()[i].label.is_bad())
                .collect();
            let scores = network.scores(&preprocess.batch(&batch, device)?, true)?;
            Ok::<_, DevNetError>(
                objective
                    .loss(&scores, &labels, step.seed.derive("prior"))?
                    .into(),
            )
        })?;
        tracing::debug!(
            good = counts[0],
            bad = counts[1],
            steps = trained.steps,
            "devnet trained"
        );
        let origin = Origin {
            good: counts[0],
            bad: counts[1],
            steps: trained.steps,
            seed,
            precision: ctx.precision,
            weights: Some(self.weights.digest()),
            curve: trained.curve,
        };
        Ok(FittedDevNet::new(
            self.params.clone(),
            origin,
            network,
            ctx.batch,
        ))
    }
}
