use crate::{FittedPatchCore, PatchCore, PatchCoreError, PatchCoreParams, PatchCoreSettings};
use segad_core::{BoxError, FitContext, Image};
use segad_nn::method::{DetectorMethod, FittedDetector, Inputs, MemoryBank, Pretrained};
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};
use tch::Tensor;

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

impl FittedDetector for FittedPatchCore {
    fn save(&self) -> Result<SavedModel, ModelError> {
        self.save()
    }

    fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        self.input(images)
    }

    fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        self.network(input)
    }

    fn memory_bank(&self) -> Option<&dyn MemoryBank> {
        Some(self)
    }
}

impl MemoryBank for FittedPatchCore {
    fn grid(&self) -> usize {
        self.grid()
    }

    fn image_size(&self) -> usize {
        self.params().image_size
    }

    fn sources(&self) -> Option<&[usize]> {
        self.bank_sources()
    }

    fn nearest(&self, image: &Image) -> Result<Vec<(f32, usize)>, BoxError> {
        Ok(self.nearest(image)?)
    }
}
