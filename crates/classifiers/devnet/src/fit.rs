use crate::model::{FittedDevNet, KIND};
use crate::score::Network;
use crate::{DevNetParams, FIT_REVISION};
use segad_core::{FitClassifier, FitContext, Image, Label, Seed, TrainLabelled};
use segad_nn::model::{ModelError, expect_labels, positions, training_identity};
use segad_nn::train::deviation::Origin;
use segad_nn::train::{BalancedBatches, ResizedImages, Run, train, turned};
use segad_nn::{Weights, torch_device};

/// DevNet, not fitted yet: parameters and the weights that the backbone starts with.
///
/// Memory: the network's variables four times over (values, gradients, Adam's two), one batch's
/// activations (about 30 MB per image of 256 pixels with ResNet-18), and as many resized training
/// images as fit the context's budget.
pub struct DevNet {
    params: DevNetParams,
    weights: Weights,
}

impl DevNet {
    /// With weights of `params.backbone`, complete up to its last tap.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: DevNetParams, weights: Weights) -> Result<Self, ModelError> {
        let kind = params.backbone;
        weights
            .check(kind, Some(kind.last_tap()))
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }
}

impl FitClassifier for DevNet {
    type Fitted = FittedDevNet;
    type Error = ModelError;

    /// Fits on labelled images. The same images, seed and precision give the same model. One bad
    /// image is enough, as in the published one-shot experiments; it then fills every bad place of
    /// every batch.
    ///
    /// # Errors
    /// Fewer than two good or no bad image, an unreadable image, a training that diverges or is
    /// cancelled.
    fn fit(
        &self,
        images: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedDevNet, ModelError> {
        let params = &self.params;
        let labels = images.labels();
        let (good, bad) = expect_labels(KIND, &labels, 2)?;
        let device = torch_device(ctx.device)?;
        let network = Network::new(params, &self.weights, seed.derive("network"), device)?;
        let [from_good, from_bad] = params.shares();
        let good_images = positions(&labels, Label::Good);
        let bad_images = positions(&labels, Label::Bad);
        let groups = vec![(good_images, from_good), (bad_images, from_bad)];
        let order = seed.derive("batches");
        let mut batches = BalancedBatches::new(groups, params.steps_per_epoch, order)?;
        let side = params.image_size;
        let mut pixels = ResizedImages::new(images, side, ctx.memory);
        let preprocess = params.backbone.preprocess(side, side);
        let plan = params.plan();
        let samples = images.samples();
        let run = Run {
            name: KIND,
            plan: &plan,
            seed: seed.derive("steps"),
            identity: training_identity(KIND, FIT_REVISION, params, &self.weights, samples, seed),
            ctx,
        };
        let trained = train(&network.backbone.store, &mut batches, &run, |step| {
            let mut batch: Vec<Image> = Vec::with_capacity(step.samples.len());
            for (slot, &i) in step.samples.iter().enumerate() {
                let mut image = pixels.get(i)?;
                if params.rotate {
                    // One image may fill several slots; each turns it by an angle of its own.
                    image = turned(&image, step.seed.derive(&format!("slot {slot}")))?;
                }
                batch.push(image);
            }
            let bad: Vec<bool> = step.samples.iter().map(|&i| labels[i].is_bad()).collect();
            let scores = network.scores(&preprocess.batch(&batch, device)?, true)?;
            let prior = step.seed.derive("prior");
            Ok::<_, ModelError>(params.objective().loss(&scores, &bad, prior)?.into())
        })?;
        tracing::debug!(good, bad, steps = trained.steps, "devnet trained");
        let origin = Origin {
            good,
            bad,
            steps: trained.steps,
            seed,
            precision: ctx.precision,
            weights: Some(self.weights.digest()),
            references: vec![],
            curve: trained.curve,
        };
        Ok(FittedDevNet::new(
            params.clone(),
            origin,
            network,
            ctx.batch,
        ))
    }
}
