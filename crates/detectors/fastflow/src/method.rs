use crate::{FastFlow, FastFlowParams, FastFlowSettings, FittedFastFlow};
use segad_core::{BoxError, FitContext};
use segad_nn::method::{DetectorMethod, Inputs, Pretrained};
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};

impl DetectorMethod for FastFlow {
    const KIND: &'static str = crate::NAME;
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const MAPS_REVISION: u32 = crate::MAPS_REVISION;
    const TRAINED: bool = true;
    type Settings = FastFlowSettings;

    fn defaults(backbone: BackboneKind, image_size: usize) -> FastFlowSettings {
        FastFlowSettings {
            backbone,
            image_size,
            ..Default::default()
        }
    }

    fn preprocess(params: &FastFlowParams) -> Preprocess {
        let side = params.image_size;
        params.backbone.preprocess(side, side)
    }

    fn pretrained(params: &FastFlowParams) -> Pretrained {
        Pretrained::backbone(params.backbone, params.layers())
    }

    fn with_weights(params: FastFlowParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load_with(
        params: &FastFlowParams,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<FittedFastFlow, BoxError> {
        let weights = inputs.weights(&Self::pretrained(params))?;
        Ok(FittedFastFlow::load(
            saved, &weights, ctx.device, ctx.batch,
        )?)
    }
}
