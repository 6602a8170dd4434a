use crate::{
    DistillSettings, EfficientAd, EfficientAdError, EfficientAdParams, EfficientAdSettings,
    FittedEfficientAd, PdnSize, Teacher,
};
use segad_core::{BoxError, FitContext, FitDetector, Key, KeyHasher, Seed, TrainGood};
use segad_nn::method::{DetectorMethod, ImageSet, Inputs, Pretrained};
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};

/// The images of the penalty, if it is on.
fn penalty(
    params: &EfficientAdParams,
    inputs: &dyn Inputs,
) -> Result<Option<Box<dyn ImageSet>>, BoxError> {
    let Some(name) = &params.penalty else {
        return Ok(None);
    };
    match inputs.general_images(name) {
        Ok(images) => Ok(Some(images)),
        Err(e) => Err(format!("penalty = {name:?}: {e}; or leave penalty out").into()),
    }
}

/// The teacher of this size as weights that fitting starts with.
pub fn published(size: PdnSize) -> Pretrained {
    Pretrained::Network {
        file: size.weights_name(),
        what: format!("EfficientAD's {size} teacher"),
        advice: "import the published one, or make one with `segad fit efficientad-teacher`",
    }
}

impl DetectorMethod for EfficientAd<'static> {
    const KIND: &'static str = crate::NAME;
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const MAPS_REVISION: u32 = crate::MAPS_REVISION;
    const TRAINED: bool = true;
    const SELF_CONTAINED: bool = true;
    type Settings = EfficientAdSettings;

    /// With a teacher distilled from the backbone: the published ones fit no other.
    fn defaults(backbone: BackboneKind, image_size: usize) -> EfficientAdSettings {
        EfficientAdSettings {
            teacher: Teacher::Distilled,
            distill: Some(DistillSettings {
                backbone,
                ..Default::default()
            }),
            image_size,
            ..Default::default()
        }
    }

    fn preprocess(params: &EfficientAdParams) -> Preprocess {
        params.input_norm.preprocess(params.image_size)
    }

    fn pretrained(params: &EfficientAdParams) -> Pretrained {
        match params.derived() {
            Some(distill) => Pretrained::backbone(distill.backbone, distill.layers()),
            None => published(params.size()),
        }
    }

    fn with_weights(params: EfficientAdParams, weights: Weights) -> Result<Self, EfficientAdError> {
        Self::new(params, weights)
    }

    fn inputs_digest(params: &EfficientAdParams, inputs: &dyn Inputs) -> Result<Key, BoxError> {
        let weights = inputs.weights_digest(&Self::pretrained(params))?;
        let penalty = penalty(params, inputs)?.map(|images| images.digest());
        let mut hasher = KeyHasher::new("efficientad inputs", 1);
        hasher.field("weights", &weights).field("penalty", &penalty);
        Ok(hasher.finish())
    }

    fn fit_with(
        params: &EfficientAdParams,
        inputs: &dyn Inputs,
        good: &TrainGood<'_>,
        holdout: Option<&TrainGood<'_>>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedEfficientAd, BoxError> {
        let weights = inputs.weights(&Self::pretrained(params))?;
        let penalty = penalty(params, inputs)?;
        let mut detector = EfficientAd::new(params.clone(), weights)?;
        if let Some(images) = &penalty {
            detector = detector.with_penalty(images.images());
        }
        Ok(match holdout {
            Some(holdout) => detector.fit_with_holdout(good, holdout, seed, ctx)?,
            None => detector.fit(good, seed, ctx)?,
        })
    }

    fn load_with(
        _: &EfficientAdParams,
        _: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<FittedEfficientAd, BoxError> {
        Ok(FittedEfficientAd::load(saved, ctx.device, ctx.batch)?)
    }
}
