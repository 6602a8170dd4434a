use crate::model::Head;
use crate::{WrnError, WrnParams};
use segad_core::{Device, Image, Precision};
use segad_nn::{Backbone, Preprocess, Weights, global_average, to_vec};
use tch::Tensor;

/// From images to logits: the trained backbone, frozen and folded, averages over places, one linear
/// layer.
pub(crate) struct Inference {
    backbone: Backbone,
    preprocess: Preprocess,
    weight: Tensor,
    bias: Tensor,
    batch: usize,
}

impl Inference {
    pub fn new(
        params: &WrnParams,
        weights: &Weights,
        head: &Head,
        (device, precision): (Device, Precision),
        batch: usize,
    ) -> Result<Self, WrnError> {
        let (kind, size) = (params.backbone(), params.settings().image_size);
        let backbone = Backbone::new(kind, &[params.tap()], weights, device, precision)?;
        let on = |t: &Tensor| t.f_to_device(backbone.device());
        let (weight, bias) = (on(&head.weight)?, on(&head.bias)?);
        Ok(Self {
            preprocess: kind.preprocess(size, size),
            backbone,
            weight,
            bias,
            batch: batch.max(1),
        })
    }

    pub fn scores(&self, images: &[Image]) -> Result<Vec<f32>, WrnError> {
        let mut scores = Vec::with_capacity(images.len());
        for chunk in images.chunks(self.batch) {
            let input = self.preprocess.batch(chunk, self.backbone.device())?;
            let features = self.backbone.features(&input)?;
            let pooled = global_average(&features[0])?;
            let logits = tch::no_grad(|| pooled.f_linear(&self.weight, Some(&self.bias)))?;
            scores.extend(to_vec(&logits)?);
        }
        match scores.iter().position(|s: &f32| !s.is_finite()) {
            Some(index) => Err(WrnError::Score {
                index,
                value: scores[index],
            }),
            None => Ok(scores),
        }
    }
}
