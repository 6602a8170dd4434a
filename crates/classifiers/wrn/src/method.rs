use crate::{FittedWrn, Wrn, WrnError, WrnParams, WrnSettings};
use segad_core::CurvePoint;
use segad_core::FitContext;
use segad_nn::method::{ClassifierMethod, FittedClassifier};
use segad_nn::{BackboneKind, SavedModel, Weights};

impl ClassifierMethod for Wrn {
    const KIND: &'static str = "wrn";
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const SCORES_REVISION: u32 = crate::SCORES_REVISION;
    type Settings = WrnSettings;
    type Params = WrnParams;

    fn check(settings: WrnSettings) -> Result<WrnParams, WrnError> {
        settings.checked()
    }

    fn backbone(params: &WrnParams) -> BackboneKind {
        params.backbone()
    }

    fn with_weights(params: WrnParams, weights: Weights) -> Result<Self, WrnError> {
        Self::new(params, weights)
    }

    fn load(saved: &SavedModel, ctx: &FitContext) -> Result<FittedWrn, WrnError> {
        FittedWrn::load(saved, ctx.device, ctx.batch)
    }
}

impl FittedClassifier for FittedWrn {
    fn save(&self) -> Result<SavedModel, WrnError> {
        self.save()
    }

    fn curve(&self) -> &[CurvePoint] {
        self.curve()
    }
}
