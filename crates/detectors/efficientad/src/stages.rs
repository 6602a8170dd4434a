//! The passes that make up a fit.

use crate::images::Input;
use crate::model::{Networks, Parts};
use crate::pdn::{CHANNELS, Pdn};
use crate::score::{Combiner, Normalisation, normalisation};
use crate::statistics::{ChannelStatistics, Channels};
use crate::teacher::frozen;
use crate::training::{Lesson, Pupils};
use crate::{AutoencoderImages, EfficientAd, EfficientAdError, FIT_REVISION, NAME};
use segad_core::{FitContext, Key, KeyHasher, Precision, Seed, TrainGood};
use segad_nn::model::{check_cancelled, load_good};
use segad_nn::train::{
    CurvePoint, FrozenCache, Length, Optimiser, Run, Sampler, Schedule, ShuffledBatches, Step,
    TrainPlan, initialise, pytorch_default, train,
};
use segad_nn::{NnError, autocast, channels_last};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::VarStore;

/// What the passes of one fit share.
pub(crate) struct Stages<'a> {
    pub detector: &'a EfficientAd<'a>,
    pub good: &'a TrainGood<'a>,
    pub seed: Seed,
    pub ctx: &'a FitContext,
    pub device: tch::Device,
}

/// What training gives.
pub(crate) struct Trained {
    pub parts: Parts,
    /// Of the teacher's output.
    pub channels: Channels,
    pub curve: Vec<CurvePoint>,
}

impl Stages<'_> {
    /// The teacher's statistics, then student and autoencoder.
    pub(crate) fn train(
        &self,
        weights: BTreeMap<String, Tensor>,
    ) -> Result<Trained, EfficientAdError> {
        let params = &self.detector.params;
        let input = self.input();
        let teacher = FrozenTeacher::new(self, &weights)?;
        // An image and the teacher's output for it as the network computes it, so that keeping it
        // in bf16 loses nothing.
        let count = self.good.len();
        let ctx = self.ctx;
        let mut cache = FrozenCache::new(count, ctx.memory, ctx.precision, self.device, |i| {
            let x = input.batch(&[load_good("training", self.good, i)?])?;
            let y = teacher.forward(&x)?;
            Ok::<_, EfficientAdError>(vec![x, y])
        });
        let channels = self.measure(&mut cache)?;

        let store = VarStore::new(self.device);
        let size = params.size();
        let pupils = Pupils::new(&store, size, params.image_size, params.padding)?;
        initialise(&store, self.seed.derive("weights"), pytorch_default(&store))?;
        let run = Run {
            name: NAME,
            plan: &self.plan(),
            seed: self.seed.derive("steps"),
            identity: self.identity(),
            ctx,
        };
        // One image per step, as published.
        let mut order = ShuffledBatches::new(count, 1, false, self.seed.derive("order"))?;
        let mut penalties = self.penalties()?;
        let trained = train(&store, &mut order, &run, |step| {
            let [x, y] = into_pair(cache.batch(step.samples)?)?;
            // The cache joins samples row by row, which loses the layout.
            let x = channels_last(&x)?;
            let jittered = self.jittered(step, &teacher, &channels)?;
            let penalty = match &mut penalties {
                Some(penalties) => Some(penalties.draw(step, &input)?),
                None => None,
            };
            let lesson = Lesson {
                image: &x,
                teacher: &channels.normalise(&y)?,
                other: jittered.as_ref().map(|(x, y)| (x, y)),
                penalty: penalty.as_ref(),
            };
            let losses = pupils.losses(&lesson, params.hard_quantile, Some(step.seed))?;
            Ok::<_, EfficientAdError>(losses.into_loss()?)
        })?;
        Ok(Trained {
            parts: Parts::new(&store, weights),
            channels,
            curve: trained.curve,
        })
    }

    /// Mean and deviation of the teacher's channels over the training images.
    fn measure(
        &self,
        cache: &mut FrozenCache<'_, EfficientAdError>,
    ) -> Result<Channels, EfficientAdError> {
        let images = Some(self.good.len() as u64);
        let task = self.ctx.progress.start("efficientad: teacher", images);
        let mut statistics = ChannelStatistics::new(CHANNELS, self.device)?;
        for i in 0..self.good.len() {
            check_cancelled(NAME, self.ctx)?;
            let [_, y] = into_pair(cache.batch(&[i])?)?;
            statistics.add(&y)?;
            task.advance(1);
        }
        statistics.finish()
    }

    /// The autoencoder's image of a step and the teacher's normalised output for it, where it is
    /// not the student's.
    fn jittered(
        &self,
        step: &Step<'_>,
        teacher: &FrozenTeacher,
        channels: &Channels,
    ) -> Result<Option<(Tensor, Tensor)>, EfficientAdError> {
        let image = match (self.detector.params.autoencoder_images, step.samples) {
            (AutoencoderImages::Jittered, [i, ..]) => load_good("training", self.good, *i)?,
            _ => return Ok(None),
        };
        let mut rng = step.seed.derive("jitter").rng();
        let x = self.input().jittered(&image, &mut rng)?;
        let y = channels.normalise(&teacher.forward(&x)?)?;
        Ok(Some((x, y)))
    }

    fn penalties(&self) -> Result<Option<Penalties<'_>>, EfficientAdError> {
        let Some(images) = &self.detector.penalty else {
            return Ok(None);
        };
        let seed = self.seed.derive("penalty");
        let order = ShuffledBatches::new(images.len(), 1, false, seed)?;
        Ok(Some(Penalties { images, order }))
    }

    fn input(&self) -> Input {
        let params = &self.detector.params;
        Input {
            size: params.image_size,
            norm: params.input_norm,
            device: self.device,
        }
    }

    fn plan(&self) -> TrainPlan {
        let params = &self.detector.params;
        // At 95 % of the steps, the default, a step schedule falls only once.
        let every = ((params.decay_after * params.iterations as f64) as u64).max(1);
        let adam = Optimiser::adam(params.weight_decay);
        TrainPlan {
            schedule: Schedule::Step {
                every,
                gamma: params.decay_factor,
            },
            ..TrainPlan::new(adam, params.learning_rate, Length::Steps(params.iterations))
        }
    }

    /// All that decides the weights besides plan and seed; a distilled teacher follows from these
    /// too.
    fn identity(&self) -> Key {
        let penalty = self.detector.penalty.as_ref().map(|p| p.ids().to_vec());
        KeyHasher::new(NAME, FIT_REVISION)
            .field("params", &self.detector.params)
            .field("weights", &self.detector.weights.digest())
            .field("images", self.good.ids())
            .field("penalty", &penalty)
            .finish()
    }

    /// Quantiles of the hold-out.
    pub(crate) fn scales(
        &self,
        networks: &Networks,
        holdout: &TrainGood<'_>,
    ) -> Result<Normalisation, EfficientAdError> {
        let params = &self.detector.params;
        let combiner = Combiner::new(params, self.device)?;
        let images = Some(holdout.len() as u64);
        let task = self.ctx.progress.start("efficientad: hold-out", images);
        let mut student = Vec::new();
        let mut autoencoder = Vec::new();
        for i in 0..holdout.len() {
            check_cancelled(NAME, self.ctx)?;
            let x = self.input().batch(&[load_good("hold-out", holdout, i)?])?;
            let pair = networks.pair(&x)?;
            // One image at a time: only the values are kept, not the maps.
            let (a, b) = tch::no_grad(|| combiner.values(&pair))?;
            student.extend(a);
            autoencoder.extend(b);
            task.advance(1);
        }
        normalisation(student, autoencoder, holdout.len(), params)
    }
}

struct FrozenTeacher {
    network: Pdn,
    device: tch::Device,
    precision: Precision,
}

impl FrozenTeacher {
    fn new(stages: &Stages<'_>, weights: &BTreeMap<String, Tensor>) -> Result<Self, NnError> {
        let params = &stages.detector.params;
        let mut source = frozen(weights, "", stages.device);
        let padded = params.padding;
        Ok(Self {
            network: Pdn::new(params.size(), CHANNELS, padded, &mut source)?,
            device: stages.device,
            precision: stages.ctx.precision,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        tch::no_grad(|| autocast(self.device, self.precision, || self.network.forward(x)))
    }
}

/// The penalty's images in the order in which the steps see them.
struct Penalties<'a> {
    images: &'a TrainGood<'a>,
    order: ShuffledBatches,
}

impl Penalties<'_> {
    fn draw(&mut self, step: &Step<'_>, input: &Input) -> Result<Tensor, EfficientAdError> {
        // Its epochs are passes over these images, whose number is not that of the training images.
        let per_epoch = self.order.steps_per_epoch();
        let batch = self
            .order
            .batch(step.index / per_epoch, step.index % per_epoch);
        let image = load_good("penalty", self.images, batch.first().copied().unwrap_or(0))?;
        Ok(input.penalty(&image, &mut step.seed.derive("penalty").rng())?)
    }
}

/// A sample of the cache: an image and the network's output for it.
pub(crate) fn into_pair(parts: Vec<Tensor>) -> Result<[Tensor; 2], NnError> {
    parts.try_into().map_err(|_| NnError::EmptyBatch)
}
