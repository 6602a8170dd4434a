use crate::flow::Flows;
use crate::model::{Extractor, FittedFastFlow, Origin};
use crate::{FIT_REVISION, FastFlowError, FastFlowParams};
use segad_core::{FitContext, FitDetector, KeyHasher, Seed, TrainGood};
use segad_nn::Weights;
use segad_nn::train::{FrozenCache, Run, ShuffledBatches, train};

/// FastFlow, not fitted yet: parameters and the backbone's weights.
///
/// The images' features are kept within [`FitContext::memory`] (WideResNet-50-2 at 256²: 7.3 MB an
/// image, half of it in bf16) and worked out again in every epoch where they do not fit, with the
/// same result. The flows' weights, gradients and Adam's memory (16 bytes a parameter) and one
/// batch's activations come on top.
pub struct FastFlow {
    params: FastFlowParams,
    weights: Weights,
}

impl FastFlow {
    /// With weights of `params.backbone()`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`FastFlowError::Weights`] if they are not.
    pub fn new(params: FastFlowParams, weights: Weights) -> Result<Self, FastFlowError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone(), last)
            .map_err(FastFlowError::Weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &FastFlowParams {
        &self.params
    }
}

impl FitDetector for FastFlow {
    type Fitted = FittedFastFlow;
    type Error = FastFlowError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedFastFlow, FastFlowError> {
        if good.len() < 2 {
            return Err(FastFlowError::TooFewImages(good.len()));
        }
        let settings = self.params.settings();
        let extractor = Extractor::new(&self.params, &self.weights, ctx.device, ctx.precision)?;
        let device = extractor.device();
        let mut flows = Flows::new(&self.params, &extractor.shapes(), device)?;
        flows.initialise(seed)?;
        let mut cache = FrozenCache::new(good.len(), ctx.memory, ctx.precision, device, |i| {
            let image = good.load(i).map_err(|source| FastFlowError::Load {
                id: good.ids()[i].to_string(),
                source,
            })?;
            extractor.features(&[image])
        });
        let mut batches = ShuffledBatches::new(
            good.len(),
            settings.batch,
            settings.drop_last,
            seed.derive("batches"),
        )?;
        let mut identity = KeyHasher::new("fastflow", FIT_REVISION);
        identity
            .field("params", &self.params)
            .field("weights", &self.weights.digest());
        identity.field("images", good.ids()).field("seed", &seed);
        let plan = self.params.plan();
        let identity = identity.finish();
        let run = Run {
            name: "fastflow",
            plan: &plan,
            seed: seed.derive("steps"),
            identity,
            ctx,
        };
        let trained = train(&flows.store, &mut batches, &run, |step| {
            Ok::<_, FastFlowError>(flows.loss(&cache.batch(step.samples)?)?.into())
        })?;
        tracing::debug!(
            steps = trained.steps,
            kept = cache.kept(),
            images = good.len(),
            "fastflow"
        );
        drop(cache);
        let origin = Origin {
            images: good.len(),
            seed,
            precision: ctx.precision,
            steps: trained.steps,
            curve: trained.curve,
        };
        Ok(FittedFastFlow::new(
            self.params.clone(),
            origin,
            extractor,
            flows,
            ctx.batch,
        ))
    }
}
