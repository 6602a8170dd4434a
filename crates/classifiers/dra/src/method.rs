use crate::{Dra, DraParams, DraSettings, FittedDra};
use segad_core::FitContext;
use segad_nn::method::ClassifierMethod;
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, SavedModel, Weights};

impl ClassifierMethod for Dra {
    const KIND: &'static str = "dra";
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const SCORES_REVISION: u32 = crate::SCORES_REVISION;
    type Settings = DraSettings;

    fn backbone(params: &DraParams) -> BackboneKind {
        params.backbone
    }

    fn with_weights(params: DraParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<FittedDra, ModelError> {
        FittedDra::load(saved, ctx.device, ctx.batch)
    }
}
