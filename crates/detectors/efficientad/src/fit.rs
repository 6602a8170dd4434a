use crate::model::{FittedEfficientAd, Networks, Origin};
use crate::stages::Stages;
use crate::teacher::teacher_tensors;
use crate::{EfficientAdError, EfficientAdParams, NAME, distill};
use segad_core::{CurvePoint, FitContext, FitDetector, Seed, TrainGood};
use segad_nn::model::{ModelError, expect_images};
use segad_nn::train::shuffle;
use segad_nn::{Weights, torch_device};
use std::collections::BTreeMap;
use tch::Tensor;

/// EfficientAD before fitting: parameters, the teacher's weights or those of the backbone that it
/// is distilled from, and the penalty's images.
pub struct EfficientAd<'a> {
    pub(crate) params: EfficientAdParams,
    pub(crate) weights: Weights,
    pub(crate) penalty: Option<TrainGood<'a>>,
}

impl<'a> EfficientAd<'a> {
    /// With the teacher's weights ([`crate::Teacher::Medium`], [`crate::Teacher::Small`]; the
    /// published names or anomalib's) or the backbone's ([`crate::Teacher::Distilled`]).
    ///
    /// # Errors
    /// [`EfficientAdError::Teacher`] or [`EfficientAdError::Backbone`] if they do not fit.
    pub fn new(params: EfficientAdParams, weights: Weights) -> Result<Self, EfficientAdError> {
        match params.derived() {
            Some(distill) => {
                let last = distill.layers().last().map(String::as_str);
                weights
                    .check(distill.backbone, last)
                    .map_err(|e| EfficientAdError::Backbone(ModelError::from_weights(e)))?;
            }
            // For its checks only: wrong weights should fail before anything is fitted.
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

    /// Fits on `good` and takes the quantiles of the normalisation from `holdout`, good images that
    /// train nothing else.
    ///
    /// # Errors
    /// [`EfficientAdError`]: no image on either side, constant images, an unreadable image, a
    /// diverged training.
    pub fn fit_with_holdout(
        &self,
        good: &TrainGood<'_>,
        holdout: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedEfficientAd, EfficientAdError> {
        expect_images(NAME, "training images", good.len(), 1)?;
        expect_images(NAME, "hold-out images", holdout.len(), 1)?;
        let given = self.penalty.as_ref().map_or(0, TrainGood::len);
        // The key of a model with a penalty contains the images, so both must agree.
        let on = self.params.penalty.is_some();
        if on != (given > 0) {
            return Err(EfficientAdError::Penalty { on, given });
        }
        tracing::debug!(images = good.len(), holdout = holdout.len(), "efficientad");
        let (teacher, mut curve) = self.teacher(good, seed, ctx)?;
        let stages = Stages {
            detector: self,
            good,
            seed,
            ctx,
            device: torch_device(ctx.device)?,
        };
        let trained = stages.train(teacher)?;
        curve.extend(trained.curve);
        let parts = trained.parts;
        let networks = Networks::new(
            &self.params,
            &parts,
            trained.channels,
            ctx.device,
            ctx.precision,
        )?;
        let scales = stages.scales(&networks, holdout)?;
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

    /// The teacher's tensors, and the curve of its distillation if it is distilled here.
    fn teacher(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<(BTreeMap<String, Tensor>, Vec<CurvePoint>), EfficientAdError> {
        let Some(params) = self.params.derived() else {
            let tensors = teacher_tensors(self.params.size(), &self.weights)?;
            return Ok((tensors, vec![]));
        };
        let seed = seed.derive("teacher");
        let mut teacher = distill(good, params, &self.weights, seed, ctx)?;
        // Named apart, since the training that follows counts its steps from 0 again.
        for point in &mut teacher.curve {
            point.name = format!("teacher: {}", point.name);
        }
        let tensors = teacher_tensors(params.network, &teacher.weights()?)?;
        Ok((tensors, teacher.curve))
    }
}

/// Which of `n` images train and which are held out: ⌊(1 − share)·n⌋ and the rest, at least one of
/// each.
fn split(n: usize, share: f64, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, seed.derive("holdout"));
    let train = (((1.0 - share) * n as f64) as usize)
        .min(n.saturating_sub(1))
        .max(1)
        .min(n);
    // In their original order, in which the training draws them by position.
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
        let what = "training images, one of which is held out";
        expect_images(NAME, what, good.len(), 2)?;
        let (train, holdout) = split(good.len(), self.params.holdout, seed);
        self.fit_with_holdout(&good.subset(&train), &good.subset(&holdout), seed, ctx)
    }
}
