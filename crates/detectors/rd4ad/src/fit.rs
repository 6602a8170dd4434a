use crate::distance::loss;
use crate::model::{FittedRd4ad, Origin};
use crate::score::{Encoder, three};
use crate::student::Student;
use crate::{FIT_REVISION, Rd4adError, Rd4adParams};
use segad_core::{FitContext, FitDetector, Key, KeyHasher, Seed, TrainGood};
use segad_nn::Weights;
use segad_nn::train::{FrozenCache, Length, Optimiser, Run, ShuffledBatches, TrainPlan, train};

/// RD4AD, not fitted yet: parameters and the encoder's weights.
///
/// Memory: the student's variables four times over (values, gradients, Adam's two; 0.9 GB for
/// WideResNet-50-2), one batch's activations, and the encoder's features of as many images as fit
/// the context's budget (7.3 MB an image for WideResNet-50-2 at 256², half of it in bf16). Features
/// of the others are worked out anew in every epoch.
pub struct Rd4ad {
    params: Rd4adParams,
    weights: Weights,
}

impl Rd4ad {
    /// With weights of `params.backbone()`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`Rd4adError::Weights`] if they are not.
    pub fn new(params: Rd4adParams, weights: Weights) -> Result<Self, Rd4adError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone(), last)
            .map_err(Rd4adError::Weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &Rd4adParams {
        &self.params
    }

    fn plan(&self) -> TrainPlan {
        let [b1, b2] = self.params.betas();
        let adam = Optimiser::Adam {
            betas: (b1, b2),
            epsilon: 1e-8,
            weight_decay: 0.0,
        };
        TrainPlan::new(
            adam,
            self.params.learning_rate(),
            Length::Epochs(self.params.epochs()),
        )
    }

    /// What a checkpoint belongs to.
    fn identity(&self, good: &TrainGood<'_>, seed: Seed) -> Key {
        let ids: Vec<&str> = good.ids().iter().map(|id| id.as_str()).collect();
        let mut hasher = KeyHasher::new("rd4ad", FIT_REVISION);
        hasher
            .field("params", &self.params)
            .field("weights", &self.weights.digest());
        hasher.field("images", &ids).field("seed", &seed);
        hasher.finish()
    }
}

impl FitDetector for Rd4ad {
    type Fitted = FittedRd4ad;
    type Error = Rd4adError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedRd4ad, Rd4adError> {
        if good.len() < 2 {
            return Err(Rd4adError::TooFewImages(good.len()));
        }
        let params = &self.params;
        let encoder = Encoder::new(params, &self.weights, ctx.device, ctx.precision)?;
        let device = encoder.backbone.device();
        let student = Student::new(params.shape(), device)?;
        student.initialise(seed.derive("student"))?;

        let features = |i: usize| -> Result<_, Rd4adError> {
            let id = || good.ids()[i].to_string();
            let image = good
                .load(i)
                .map_err(|source| Rd4adError::Load { id: id(), source })?;
            Ok(encoder.features(&[image])?.into())
        };
        let mut cache = FrozenCache::new(good.len(), ctx.memory, ctx.precision, device, features);
        let mut batches =
            ShuffledBatches::new(good.len(), params.batch(), false, seed.derive("order"))?;
        let plan = self.plan();
        let identity = self.identity(good, seed);
        let run = Run {
            name: "rd4ad",
            plan: &plan,
            seed: seed.derive("steps"),
            identity,
            ctx,
        };
        let trained = train(&student.store, &mut batches, &run, |step| {
            let encoder = three(cache.batch(step.samples)?)?;
            let decoder = student.forward(&encoder, true)?;
            Ok::<_, Rd4adError>(loss(params.loss(), &encoder, &decoder)?.into())
        })?;
        tracing::debug!(
            images = good.len(),
            kept = cache.kept(),
            steps = trained.steps,
            "rd4ad trained"
        );
        drop(cache);

        let origin = Origin {
            images: good.len(),
            steps: trained.steps,
            seed,
            precision: ctx.precision,
        };
        FittedRd4ad::new(
            params.clone(),
            (origin, trained.curve),
            encoder,
            student,
            ctx.batch,
        )
    }
}
