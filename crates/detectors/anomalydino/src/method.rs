use crate::{AnomalyDino, AnomalyDinoParams, AnomalyDinoSettings, FittedAnomalyDino};
use segad_core::{BoxError, FitContext, Image};
use segad_nn::method::{DetectorMethod, FittedDetector, Inputs, MapScore, Pretrained};
use segad_nn::model::ModelError;
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights};
use tch::Tensor;

impl DetectorMethod for AnomalyDino {
    const KIND: &'static str = crate::NAME;
    const FIT_REVISION: u32 = crate::FIT_REVISION;
    const MAPS_REVISION: u32 = crate::MAPS_REVISION;
    const TRAINED: bool = false;
    type Settings = AnomalyDinoSettings;

    /// Only tokens of transformers compare well enough.
    fn backbone(offered: BackboneKind) -> BackboneKind {
        match offered.patch() {
            Some(_) => offered,
            // Convolutional networks have no tokens; the usual transformer takes their place.
            None => AnomalyDinoSettings::default().backbone,
        }
    }

    fn defaults(backbone: BackboneKind, image_size: usize) -> AnomalyDinoSettings {
        AnomalyDinoSettings {
            backbone,
            image_size,
            ..Default::default()
        }
    }

    fn map_score(params: &AnomalyDinoParams) -> MapScore {
        MapScore::Top(params.top_share)
    }

    fn preprocess(params: &AnomalyDinoParams) -> Preprocess {
        params
            .backbone
            .preprocess(params.image_size, params.image_size)
    }

    fn pretrained(params: &AnomalyDinoParams) -> Pretrained {
        Pretrained::backbone(params.backbone, params.layers())
    }

    fn with_weights(params: AnomalyDinoParams, weights: Weights) -> Result<Self, ModelError> {
        Self::new(params, weights)
    }

    fn load_with(
        params: &AnomalyDinoParams,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<FittedAnomalyDino, BoxError> {
        let weights = inputs.weights(&Self::pretrained(params))?;
        Ok(FittedAnomalyDino::load(
            saved, &weights, ctx.device, ctx.batch,
        )?)
    }
}

impl FittedDetector for FittedAnomalyDino {
    fn save(&self) -> Result<SavedModel, ModelError> {
        self.save()
    }

    fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        self.input(images)
    }

    fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        self.network(input)
    }
}
