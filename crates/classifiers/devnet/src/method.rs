use crate::{DevNet, DevNetParams, DevNetSettings, FittedDevNet};
use segad_core::FitContext;
use segad_nn::method::ClassifierMethod;
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, SavedModel, Weights};

impl ClassifierMethod for DevNet {
    const KIND: &'static str = "devnet";
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const SCORES_REVISION: u32 = crate::SCORES_REVISION;
    type Settings = DevNetSettings;

    fn backbone(params: &DevNetParams) -> BackboneKind {
        params.backbone
    }

    fn with_weights(params: DevNetParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<FittedDevNet, ModelError> {
        FittedDevNet::load(saved, ctx.device, ctx.batch)
    }
}
