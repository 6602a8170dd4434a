use crate::flow::Flows;
use crate::model::{FittedFastFlow, Origin, extractor};
use crate::{FIT_REVISION, FastFlowParams, NAME};
use segad_core::{FitContext, FitDetector, Seed, TrainGood};
use segad_nn::Weights;
use segad_nn::model::{ModelError, expect_images, load_good, training_identity};
use segad_nn::train::{FrozenCache, Run, ShuffledBatches, train};

/// FastFlow before fitting: parameters and the backbone's weights.
///
/// The images' features are kept within [`FitContext::memory`] (WideResNet-50-2 at 256²: 7.3 MB per
/// image, half of it in bf16) and recomputed in every epoch where they do not fit, with the same
/// result. The flows' weights, gradients and Adam's memory (16 bytes per parameter) and one batch's
/// activations come on top.
pub struct FastFlow {
    params: FastFlowParams,
    weights: Weights,
}

impl FastFlow {
    /// With weights of `params.backbone`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: FastFlowParams, weights: Weights) -> Result<Self, ModelError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone, last)
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }
}

impl FitDetector for FastFlow {
    type Fitted = FittedFastFlow;
    type Error = ModelError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedFastFlow, ModelError> {
        // A single image would not show how good images vary.
        expect_images(NAME, "good training images", good.len(), 2)?;
        let params = &self.params;
        let extractor = extractor(params, &self.weights, ctx.device, ctx.precision)?;
        let device = extractor.device();
        let mut flows = Flows::new(params, &extractor.shapes(), device)?;
        flows.initialise(seed)?;
        let count = good.len();
        // Image by image, so that what the budget keeps changes no bit.
        let mut cache = FrozenCache::new(count, ctx.memory, ctx.precision, device, |i| {
            Ok::<_, ModelError>(extractor.features(&[load_good("training", good, i)?])?)
        });
        let order = seed.derive("batches");
        let mut batches = ShuffledBatches::new(count, params.batch, params.drop_last, order)?;
        let run = Run {
            name: NAME,
            plan: &params.plan(),
            seed: seed.derive("steps"),
            identity: training_identity(
                NAME,
                FIT_REVISION,
                params,
                &self.weights,
                good.ids(),
                seed,
            ),
            ctx,
        };
        let trained = train(&flows.store, &mut batches, &run, |step| {
            Ok::<_, ModelError>(flows.loss(&cache.batch(step.samples)?)?.into())
        })?;
        let steps = trained.steps;
        tracing::debug!(steps, kept = cache.kept(), images = count, "fastflow");
        // It borrows the extractor, which the fitted model takes.
        drop(cache);
        let origin = Origin {
            images: count,
            seed,
            precision: ctx.precision,
            steps,
            curve: trained.curve,
        };
        let params = params.clone();
        Ok(FittedFastFlow::new(
            params, origin, extractor, flows, ctx.batch,
        ))
    }
}
