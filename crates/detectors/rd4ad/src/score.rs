use crate::distance::Scorer;
use crate::folded::Folded;
use crate::params::{Rd4adParams, feature_sizes};
use crate::student::Student;
use segad_core::{Device, Precision};
use segad_nn::model::{Extractor, ModelError};
use segad_nn::{NnError, Weights};
use tch::Tensor;

/// The frozen encoder.
pub(crate) fn encoder(
    params: &Rd4adParams,
    weights: &Weights,
    device: Device,
    precision: Precision,
) -> Result<Extractor, ModelError> {
    Extractor::new(
        params.backbone,
        params.layers(),
        weights,
        params.image_size,
        (device, precision),
    )
}

/// The features of the three layers, finest first.
pub(crate) fn into_three(features: Vec<Tensor>) -> Result<[Tensor; 3], NnError> {
    <[Tensor; 3]>::try_from(features).map_err(|f| NnError::Shape {
        what: "encoder features",
        actual: vec![f.len() as i64],
        expected: "three".into(),
    })
}

/// From network input to maps.
pub(crate) struct Inference {
    pub encoder: Extractor,
    student: Folded,
    scorer: Scorer,
}

impl Inference {
    pub(crate) fn new(
        params: &Rd4adParams,
        encoder: Extractor,
        student: &Student,
    ) -> Result<Self, NnError> {
        let size = (params.image_size, params.image_size);
        let sizes = feature_sizes(params);
        let scorer = Scorer::new(params.combine, sizes, size, encoder.device())?;
        let student = Folded::new(student, encoder.backbone().precision())?;
        Ok(Self {
            encoder,
            student,
            scorer,
        })
    }

    /// Maps N×S×S.
    pub(crate) fn network(&self, input: &Tensor) -> Result<Tensor, NnError> {
        tch::no_grad(|| {
            let encoder = into_three(self.encoder.backbone().features(input)?)?;
            let decoder = self.student.forward(&encoder)?;
            self.scorer.maps(&encoder, &decoder)
        })
    }
}
