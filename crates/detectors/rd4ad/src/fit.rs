use crate::distance::loss;
use crate::model::{FittedRd4ad, Origin};
use crate::params::student_shape;
use crate::score::{encoder, into_three};
use crate::student::Student;
use crate::{FIT_REVISION, NAME, Rd4adParams};
use segad_core::{FitContext, FitDetector, Seed, TrainGood};
use segad_nn::Weights;
use segad_nn::model::{ModelError, expect_images, load_good, training_identity};
use segad_nn::train::{FrozenCache, Length, Optimiser, Run, ShuffledBatches, TrainPlan, train};

/// RD4AD before fitting: parameters and the encoder's weights.
///
/// Memory: the student's variables four times over (values, gradients, Adam's two; 0.9 GB for
/// WideResNet-50-2), one batch's activations, and the encoder's features of as many images as fit
/// into [`FitContext::memory`] (7.3 MB per image for WideResNet-50-2 at 256², half of it in bf16).
/// The features of the other images are recomputed in every epoch.
pub struct Rd4ad {
    params: Rd4adParams,
    weights: Weights,
}

impl Rd4ad {
    /// With weights of `params.backbone`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: Rd4adParams, weights: Weights) -> Result<Self, ModelError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone, last)
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }

    fn plan(&self) -> TrainPlan {
        let adam = Optimiser::Adam {
            betas: self.params.betas.into(),
            epsilon: 1e-8,
            weight_decay: 0.0,
        };
        let length = Length::Epochs(self.params.epochs);
        TrainPlan::new(adam, self.params.learning_rate, length)
    }
}

impl FitDetector for Rd4ad {
    type Fitted = FittedRd4ad;
    type Error = ModelError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedRd4ad, ModelError> {
        // Batch statistics of a single image would be all that the student knows.
        expect_images(NAME, "good training images", good.len(), 2)?;
        let params = &self.params;
        let encoder = encoder(params, &self.weights, ctx.device, ctx.precision)?;
        let device = encoder.device();
        let student = Student::new(student_shape(params), device)?;
        student.initialise(seed.derive("student"))?;

        let count = good.len();
        // Image by image, so that what the budget keeps changes no bit.
        let mut cache = FrozenCache::new(count, ctx.memory, ctx.precision, device, |i| {
            Ok::<_, ModelError>(encoder.features(&[load_good("training", good, i)?])?)
        });
        let order = seed.derive("order");
        let mut batches = ShuffledBatches::new(count, params.batch, false, order)?;
        let ids: Vec<&str> = good.ids().iter().map(|id| id.as_str()).collect();
        let run = Run {
            name: NAME,
            plan: &self.plan(),
            seed: seed.derive("steps"),
            identity: training_identity(NAME, FIT_REVISION, params, &self.weights, &ids, seed),
            ctx,
        };
        let trained = train(&student.store, &mut batches, &run, |step| {
            let encoder = into_three(cache.batch(step.samples)?)?;
            let decoder = student.forward(&encoder, true)?;
            Ok::<_, ModelError>(loss(params.loss, &encoder, &decoder)?.into())
        })?;
        let steps = trained.steps;
        tracing::debug!(images = count, kept = cache.kept(), steps, "rd4ad trained");
        // It borrows the encoder, which the fitted model takes.
        drop(cache);

        let origin = Origin {
            images: count,
            steps,
            seed,
            precision: ctx.precision,
        };
        let params = params.clone();
        FittedRd4ad::new(params, origin, trained.curve, encoder, student, ctx.batch)
    }
}
