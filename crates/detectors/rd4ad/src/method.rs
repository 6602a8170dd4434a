use crate::{FittedRd4ad, Rd4ad, Rd4adParams, Rd4adSettings};
use segad_core::{BoxError, FitContext};
use segad_nn::method::{DetectorMethod, Inputs, Pretrained};
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};

impl DetectorMethod for Rd4ad {
    const KIND: &'static str = crate::NAME;
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const MAPS_REVISION: u32 = crate::MAPS_REVISION;
    const TRAINED: bool = true;
    type Settings = Rd4adSettings;

    fn defaults(backbone: BackboneKind, image_size: usize) -> Rd4adSettings {
        Rd4adSettings {
            backbone,
            image_size,
            ..Default::default()
        }
    }

    fn preprocess(params: &Rd4adParams) -> Preprocess {
        let side = params.image_size;
        params.backbone.preprocess(side, side)
    }

    fn pretrained(params: &Rd4adParams) -> Pretrained {
        Pretrained::backbone(params.backbone, params.layers())
    }

    fn with_weights(params: Rd4adParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load_with(
        params: &Rd4adParams,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<FittedRd4ad, BoxError> {
        let weights = inputs.weights(&Self::pretrained(params))?;
        Ok(FittedRd4ad::load(saved, &weights, ctx.device, ctx.batch)?)
    }
}
