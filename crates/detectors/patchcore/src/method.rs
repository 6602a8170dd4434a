use crate::plan::Plan;
use crate::{FittedPatchCore, PatchCore, PatchCoreError, PatchCoreParams, PatchCoreSettings};
use segad_core::{BoxError, FitContext};
use segad_nn::method::{DetectorMethod, Inputs, Pretrained};
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};

impl DetectorMethod for PatchCore {
    const KIND: &'static str = crate::NAME;
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const MAPS_REVISION: u32 = crate::MAPS_REVISION;
    const TRAINED: bool = false;
    type Settings = PatchCoreSettings;

    fn defaults(backbone: BackboneKind, image_size: usize) -> PatchCoreSettings {
        PatchCoreSettings {
            backbone,
            image_size,
            ..Default::default()
        }
    }

    fn preprocess(params: &PatchCoreParams) -> Preprocess {
        let side = params.image_size;
        params.backbone.preprocess(side, side)
    }

    fn pretrained(params: &PatchCoreParams) -> Pretrained {
        Pretrained::backbone(params.backbone, params.layers())
    }

    fn least_memory(params: &PatchCoreParams, images: usize) -> u64 {
        // Settings that have no plan are an error of the fit.
        Plan::least_memory(params, images).unwrap_or(0)
    }

    fn with_weights(params: PatchCoreParams, weights: Weights) -> Result<Self, PatchCoreError> {
        Ok(Self::new(params, weights)?)
    }

    fn load_with(
        params: &PatchCoreParams,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<FittedPatchCore, BoxError> {
        let weights = inputs.weights(&Self::pretrained(params))?;
        Ok(FittedPatchCore::load(
            saved, &weights, ctx.device, ctx.batch,
        )?)
    }
}
