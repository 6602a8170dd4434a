use crate::Rd4adError;
use crate::distance::Scorer;
use crate::folded::Folded;
use crate::params::Rd4adParams;
use crate::student::Student;
use segad_core::{AnomalyMap, Device, Image, Precision};
use segad_nn::{Backbone, NnError, Preprocess, Weights, to_vec};
use tch::Tensor;

/// The frozen encoder.
pub(crate) struct Encoder {
    pub backbone: Backbone,
    preprocess: Preprocess,
}

impl Encoder {
    pub fn new(
        params: &Rd4adParams,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self, Rd4adError> {
        let (kind, last) = (
            params.backbone(),
            params.layers().last().map(String::as_str),
        );
        weights.check(kind, last).map_err(Rd4adError::Weights)?;
        Ok(Self {
            backbone: Backbone::new(kind, params.layers(), weights, device, precision)?,
            preprocess: kind.preprocess(params.image_size(), params.image_size()),
        })
    }

    pub fn input(&self, images: &[Image]) -> Result<Tensor, NnError> {
        self.preprocess.batch(images, self.backbone.device())
    }

    /// Features of a batch, finest first, f32.
    pub fn features(&self, images: &[Image]) -> Result<[Tensor; 3], NnError> {
        three(self.backbone.features(&self.input(images)?)?)
    }
}

/// The features as an array.
pub(crate) fn three(features: Vec<Tensor>) -> Result<[Tensor; 3], NnError> {
    <[Tensor; 3]>::try_from(features).map_err(|f| NnError::Shape {
        what: "encoder features",
        actual: vec![f.len() as i64],
        expected: "three".into(),
    })
}

/// From images to maps.
pub(crate) struct Inference {
    pub encoder: Encoder,
    student: Folded,
    scorer: Scorer,
    size: usize,
    batch: usize,
}

impl Inference {
    pub fn new(
        params: &Rd4adParams,
        encoder: Encoder,
        student: &Student,
        batch: usize,
    ) -> Result<Self, Rd4adError> {
        let size = params.image_size();
        let device = encoder.backbone.device();
        let scorer = Scorer::new(
            params.combine(),
            params.feature_sizes(),
            (size, size),
            device,
        )?;
        let student = Folded::new(student, encoder.backbone.precision())?;
        Ok(Self {
            encoder,
            student,
            scorer,
            size,
            batch: batch.max(1),
        })
    }

    /// From network input to maps, N×S×S.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, Rd4adError> {
        tch::no_grad(|| {
            let encoder = three(self.encoder.backbone.features(input)?)?;
            let decoder = self.student.forward(&encoder)?;
            Ok(self.scorer.maps(&encoder, &decoder)?)
        })
    }

    pub fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, Rd4adError> {
        let mut maps = Vec::with_capacity(images.len());
        for (b, chunk) in images.chunks(self.batch).enumerate() {
            let values = to_vec(&self.network(&self.encoder.input(chunk)?)?)?;
            for (i, values) in values.chunks_exact(self.size * self.size).enumerate() {
                let map = AnomalyMap::new(self.size, self.size, values.to_vec());
                maps.push(map.map_err(|source| Rd4adError::Map {
                    index: b * self.batch + i,
                    source,
                })?);
            }
        }
        Ok(maps)
    }
}
