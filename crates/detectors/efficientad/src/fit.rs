use crate::images::{Input, load};
use crate::model::{FittedEfficientAd, Networks, Origin, Parts};
use crate::pdn::{CHANNELS, Pdn};
use crate::score::{Combiner, Pair, normalisation};
use crate::statistics::{ChannelStatistics, Channels};
use crate::teacher::{frozen, teacher_tensors};
use crate::training::{Lesson, Pupils};
use crate::{AutoencoderImages, EfficientAdError, EfficientAdParams, FIT_REVISION, distill};
use segad_core::{FitContext, FitDetector, Key, KeyHasher, Seed, TrainGood};
use segad_nn::train::{
    CurvePoint, FrozenCache, Length, Optimiser, Run, Sampler, Schedule, ShuffledBatches, TrainPlan,
    initialise, pytorch_default, shuffle, train,
};
use segad_nn::{Weights, autocast, channels_last, torch_device};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::VarStore;

const NAME: &str = "efficientad";

/// EfficientAD, not fitted yet: parameters, the teacher's weights or those of the backbone that it
/// is distilled from, and the penalty's images.
pub struct EfficientAd<'a> {
    params: EfficientAdParams,
    weights: Weights,
    penalty: Option<TrainGood<'a>>,
}

impl<'a> EfficientAd<'a> {
    /// With the teacher's weights ([`crate::Teacher::Medium`], [`crate::Teacher::Small`]; the
    /// published names or anomalib's) or the backbone's ([`crate::Teacher::Distilled`]).
    ///
    /// # Errors
    /// [`EfficientAdError::Teacher`] or [`EfficientAdError::Backbone`] if they do not fit.
    pub fn new(params: EfficientAdParams, weights: Weights) -> Result<Self, EfficientAdError> {
        match params.distill() {
            Some(distill) => {
                let last = distill.layers().last().map(String::as_str);
                weights
                    .check(distill.backbone(), last)
                    .map_err(EfficientAdError::Backbone)?;
            }
            None => drop(teacher_tensors(params.size(), &weights)?),
        }
        Ok(Self {
            params,
            weights,
            penalty: None,
        })
    }

    /// Gives the images of the folder that the setting `penalty` names; their labels do not matter.
    #[must_use]
    pub fn with_penalty(mut self, images: TrainGood<'a>) -> Self {
        self.penalty = Some(images);
        self
    }

    /// The parameters.
    pub fn params(&self) -> &EfficientAdParams {
        &self.params
    }

    /// Fits on `good` and takes the quantiles of the normalisation from `holdout`, good images that
    /// train nothing else.
    ///
    /// # Errors
    /// [`EfficientAdError`]: no image on either side, constant images, an unreadable image, a diverged training.
    pub fn fit_with_holdout(
        &self,
        good: &TrainGood<'_>,
        holdout: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedEfficientAd, EfficientAdError> {
        at_least("training images", good.len(), 1)?;
        at_least("hold-out images", holdout.len(), 1)?;
        let given = self.penalty.as_ref().map_or(0, TrainGood::len);
        let on = self.params.settings().penalty.is_some();
        if on != (given > 0) {
            return Err(EfficientAdError::Penalty { on, given });
        }
        tracing::debug!(images = good.len(), holdout = holdout.len(), "efficientad");
        let (teacher, mut curve) = match self.params.distill() {
            None => (teacher_tensors(self.params.size(), &self.weights)?, vec![]),
            Some(params) => {
                let mut made = distill(good, params, &self.weights, seed.derive("teacher"), ctx)?;
                // The steps of the training that follows are counted from 0 again.
                made.curve
                    .iter_mut()
                    .for_each(|p| p.name = format!("teacher: {}", p.name));
                (
                    teacher_tensors(params.size(), &made.weights()?)?,
                    made.curve,
                )
            }
        };
        let fit = Fit {
            detector: self,
            good,
            seed,
            ctx,
            device: torch_device(ctx.device)?,
        };
        let (parts, channels, more) = fit.train(teacher)?;
        curve.extend(more);
        let networks = Networks::new(&self.params, &parts, channels, ctx.device, ctx.precision)?;
        let scales = fit.scales(&networks, holdout)?;
        let origin = Origin {
            images: good.len(),
            holdout: holdout.len(),
            seed,
            precision: ctx.precision,
            weights: self.weights.digest(),
        };
        FittedEfficientAd::new(
            self.params.clone(),
            origin,
            parts,
            networks,
            scales,
            curve,
            ctx.batch,
        )
    }
}

fn at_least(what: &'static str, actual: usize, expected: usize) -> Result<(), EfficientAdError> {
    if actual < expected {
        return Err(EfficientAdError::TooFewImages {
            what,
            actual,
            expected,
        });
    }
    Ok(())
}

/// Which of `n` images train and which are held out: ⌊(1 − share)·n⌋ and the rest, at least one.
fn split(n: usize, share: f64, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, seed.derive("holdout"));
    let train = (((1.0 - share) * n as f64) as usize)
        .min(n.saturating_sub(1))
        .max(1)
        .min(n);
    let mut holdout = order.split_off(train);
    order.sort_unstable();
    holdout.sort_unstable();
    (order, holdout)
}

impl FitDetector for EfficientAd<'_> {
    type Fitted = FittedEfficientAd;
    type Error = EfficientAdError;

    /// As [`EfficientAd::fit_with_holdout`], with a share of `good` held out, drawn by the seed.
    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedEfficientAd, EfficientAdError> {
        at_least("training images, one of which is held out,", good.len(), 2)?;
        let (train, holdout) = split(good.len(), self.params.settings().holdout, seed);
        self.fit_with_holdout(&good.subset(&train), &good.subset(&holdout), seed, ctx)
    }
}

/// One fit.
struct Fit<'a> {
    detector: &'a EfficientAd<'a>,
    good: &'a TrainGood<'a>,
    seed: Seed,
    ctx: &'a FitContext,
    device: tch::Device,
}

impl Fit<'_> {
    fn going(&self) -> Result<(), EfficientAdError> {
        if self.ctx.cancel.is_cancelled() {
            Err(EfficientAdError::Cancelled)
        } else {
            Ok(())
        }
    }

    fn input(&self) -> Input {
        let s = self.detector.params.settings();
        Input {
            size: s.image_size,
            norm: s.input_norm,
            device: self.device,
        }
    }

    /// Teacher statistics, then student and autoencoder.
    fn train(
        &self,
        teacher: BTreeMap<String, Tensor>,
    ) -> Result<(Parts, Channels, Vec<CurvePoint>), EfficientAdError> {
        let (params, ctx, input) = (&self.detector.params, self.ctx, self.input());
        let s = params.settings();
        let pdn = Pdn::new(
            params.size(),
            CHANNELS,
            s.padding,
            &mut frozen(&teacher, "", self.device),
        )?;
        let raw =
            |x: &Tensor| tch::no_grad(|| autocast(self.device, ctx.precision, || pdn.forward(x)));
        // An image and the teacher's output for it, as the network gives it: in bf16 that loses
        // nothing.
        let mut cache = FrozenCache::new(
            self.good.len(),
            ctx.memory,
            ctx.precision,
            self.device,
            |i| {
                let x = input.batch(&[load("training", self.good, i)?])?;
                let y = raw(&x)?;
                Ok::<_, EfficientAdError>(vec![x, y])
            },
        );

        let task = ctx
            .progress
            .start("efficientad: teacher", Some(self.good.len() as u64));
        let mut statistics = ChannelStatistics::new(CHANNELS, self.device)?;
        for i in 0..self.good.len() {
            self.going()?;
            let [_, y] = two(cache.batch(&[i])?)?;
            statistics.add(&y)?;
            task.advance(1);
        }
        drop(task);
        let channels = statistics.finish()?;

        let store = VarStore::new(self.device);
        let pupils = Pupils::new(&store, params.size(), s.image_size, s.padding)?;
        initialise(&store, self.seed.derive("weights"), pytorch_default(&store))?;
        let (plan, identity) = (self.plan(), self.identity());
        let run = Run {
            name: NAME,
            plan: &plan,
            seed: self.seed.derive("steps"),
            identity,
            ctx,
        };
        let mut order = ShuffledBatches::new(self.good.len(), 1, false, self.seed.derive("order"))?;
        let others = self.detector.penalty.as_ref();
        let mut other_order = others
            .map(|o| ShuffledBatches::new(o.len(), 1, false, self.seed.derive("penalty")))
            .transpose()?;
        let trained = train(&store, &mut order, &run, |step| {
            let [x, y] = two(cache.batch(step.samples)?)?;
            let (x, teacher) = (channels_last(&x)?, channels.normalise(&y)?);
            let jittered = match (s.autoencoder_images, step.samples) {
                (AutoencoderImages::Jittered, [i, ..]) => {
                    let image = load("training", self.good, *i)?;
                    let x = input.jittered(&image, &mut step.seed.derive("jitter").rng())?;
                    let y = channels.normalise(&raw(&x)?)?;
                    Some((x, y))
                }
                _ => None,
            };
            let penalty = match (others, &mut other_order) {
                (Some(images), Some(order)) => {
                    let per_epoch = order.steps_per_epoch();
                    let i = order.batch(step.index / per_epoch, step.index % per_epoch);
                    let image = load("penalty", images, i.first().copied().unwrap_or(0))?;
                    Some(input.penalty(&image, &mut step.seed.derive("penalty").rng())?)
                }
                _ => None,
            };
            let lesson = Lesson {
                image: &x,
                teacher: &teacher,
                other: jittered.as_ref().map(|(x, y)| (x, y)),
                penalty: penalty.as_ref(),
            };
            Ok::<_, EfficientAdError>(
                pupils
                    .losses(&lesson, s.hard_quantile, Some(step.seed))?
                    .into_loss()?,
            )
        })?;
        let mut parts: BTreeMap<String, Tensor> = store
            .variables()
            .into_iter()
            .map(|(name, t)| (name, t.detach()))
            .collect();
        parts.extend(
            teacher
                .into_iter()
                .map(|(name, t)| (format!("teacher.{name}"), t)),
        );
        Ok((Parts(parts), channels, trained.curve))
    }

    fn plan(&self) -> TrainPlan {
        let s = self.detector.params.settings();
        let every = ((s.decay_after * s.iterations as f64) as u64).max(1);
        let adam = Optimiser::adam(s.weight_decay);
        TrainPlan {
            schedule: Schedule::Step {
                every,
                gamma: s.decay_factor,
            },
            ..TrainPlan::new(adam, s.learning_rate, Length::Steps(s.iterations))
        }
    }

    /// All that decides the weights beside plan and seed; a distilled teacher follows from these
    /// too.
    fn identity(&self) -> Key {
        let mut hasher = KeyHasher::new(NAME, FIT_REVISION);
        hasher
            .field("params", &self.detector.params)
            .field("weights", &self.detector.weights.digest());
        hasher.field("images", self.good.ids());
        let penalty: Option<Vec<_>> = self.detector.penalty.as_ref().map(|p| p.ids().to_vec());
        hasher.field("penalty", &penalty);
        hasher.finish()
    }

    /// Quantiles of the hold-out.
    fn scales(
        &self,
        networks: &Networks,
        holdout: &TrainGood<'_>,
    ) -> Result<crate::score::Normalisation, EfficientAdError> {
        let params = &self.detector.params;
        let combiner = Combiner::new(params, self.device)?;
        let task = self
            .ctx
            .progress
            .start("efficientad: hold-out", Some(holdout.len() as u64));
        let (mut student, mut autoencoder) = (Vec::new(), Vec::new());
        for i in 0..holdout.len() {
            self.going()?;
            let x = self.input().batch(&[load("hold-out", holdout, i)?])?;
            let pair: Pair = networks.pair(&x)?;
            let (a, b) = tch::no_grad(|| combiner.values(&pair))?;
            student.extend(a);
            autoencoder.extend(b);
            task.advance(1);
        }
        normalisation(student, autoencoder, holdout.len(), params)
    }
}

/// A sample of the cache: an image and the teacher's output.
fn two(parts: Vec<Tensor>) -> Result<[Tensor; 2], EfficientAdError> {
    parts
        .try_into()
        .map_err(|_| EfficientAdError::Nn(segad_nn::NnError::EmptyBatch))
}
