use crate::{FittedWrn, Wrn, WrnParams, WrnSettings};
use segad_core::FitContext;
use segad_nn::method::ClassifierMethod;
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, SavedModel, Weights};

impl ClassifierMethod for Wrn {
    const KIND: &'static str = "wrn";
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const SCORES_REVISION: u32 = crate::SCORES_REVISION;
    type Settings = WrnSettings;

    fn backbone(params: &WrnParams) -> BackboneKind {
        params.backbone
    }

    fn with_weights(params: WrnParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<FittedWrn, ModelError> {
        FittedWrn::load(saved, ctx.device, ctx.batch)
    }
}
