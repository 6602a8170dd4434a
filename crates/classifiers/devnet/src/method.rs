use crate::{DevNet, DevNetError, DevNetParams, DevNetSettings, FittedDevNet};
use segad_core::CurvePoint;
use segad_core::FitContext;
use segad_nn::method::{ClassifierMethod, FittedClassifier};
use segad_nn::{BackboneKind, SavedModel, Weights};

impl ClassifierMethod for DevNet {
    const KIND: &'static str = "devnet";
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const SCORES_REVISION: u32 = crate::SCORES_REVISION;
    type Settings = DevNetSettings;
    type Params = DevNetParams;

    fn check(settings: DevNetSettings) -> Result<DevNetParams, DevNetError> {
        settings.checked()
    }

    fn backbone(params: &DevNetParams) -> BackboneKind {
        params.backbone()
    }

    fn with_weights(params: DevNetParams, weights: Weights) -> Result<Self, DevNetError> {
        Self::new(params, weights)
    }

    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<FittedDevNet, DevNetError> {
        FittedDevNet::load(saved, ctx.device, ctx.batch)
    }
}

impl FittedClassifier for FittedDevNet {
    fn save(&self) -> Result<SavedModel, DevNetError> {
        self.save()
    }

    fn curve(&self) -> &[CurvePoint] {
        self.curve()
    }
}
