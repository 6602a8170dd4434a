use crate::params::{parameters, student_shape};
use crate::score::{Inference, encoder};
use crate::student::Student;
use crate::{NAME, Rd4adParams};
use segad_core::{AnomalyDetector, AnomalyMap, CurvePoint, Device, Image, Precision, Seed};
use segad_nn::method::FittedDetector;
use segad_nn::model::{Extractor, ModelError, batched_maps};
use segad_nn::{SavedModel, Weights, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const SCHEMA: u32 = 1;

/// A fitted RD4AD: a frozen encoder and the student that was trained to reproduce its features.
pub struct FittedRd4ad {
    params: Rd4adParams,
    origin: Origin,
    curve: Vec<CurvePoint>,
    student: Student,
    inference: Inference,
    batch: usize,
}

/// What a model was trained with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of training images; 0: trained elsewhere.
    pub images: usize,
    /// Training steps; 0: trained elsewhere.
    pub steps: u64,
    /// Seed of the student's initial values and of the order of images.
    pub seed: Seed,
    /// Arithmetic of the encoder and the student.
    pub precision: Precision,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: Rd4adParams,
    #[serde(flatten)]
    origin: Origin,
    curve: Vec<CurvePoint>,
}

impl FittedRd4ad {
    pub(crate) fn new(
        params: Rd4adParams,
        origin: Origin,
        curve: Vec<CurvePoint>,
        encoder: Extractor,
        student: Student,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let inference = Inference::new(&params, encoder, &student)?;
        Ok(Self {
            params,
            origin,
            curve,
            student,
            inference,
            batch,
        })
    }

    /// The parameters that it was trained with.
    pub fn params(&self) -> &Rd4adParams {
        &self.params
    }

    /// What else it was trained with.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The student's state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.student.tensors()
    }

    /// Reads a saved model back; `weights` are those of the encoder that it was trained with. The
    /// precision is that of the fit. `batch` images go through the network at once.
    ///
    /// # Errors
    /// [`ModelError::OtherWeights`], or [`segad_nn::NnError::Saved`] for a damaged or foreign
    /// model.
    pub fn load(
        saved: &SavedModel,
        weights: &Weights,
        device: Device,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let mut opened = saved.open_with_weights::<Saved>(NAME, SCHEMA, weights)?;
        let Saved {
            settings,
            origin,
            curve,
        } = opened.parameters.clone();
        let encoder = encoder(&settings, weights, device, origin.precision)?;
        let student = Student::new(student_shape(&settings), encoder.device())?;
        student.read(|p| opened.take(&p.name, &p.shape))?;
        Self::new(settings, origin, curve, encoder, student, batch)
    }

    /// A model from a student trained elsewhere: safetensors of a state written by anomalib
    /// (`model.bottleneck.…`, `model.decoder.…`; encoder entries are ignored) or by the official
    /// code (`bn.…`, `decoder.…`). The unused conv4 and bn4 may be present.
    ///
    /// # Errors
    /// [`segad_nn::NnError::WeightNames`] and [`segad_nn::NnError::WeightShape`] for the state of
    /// another network, [`ModelError::Weights`] for the encoder's.
    pub fn import(
        params: Rd4adParams,
        state: &Weights,
        weights: &Weights,
        (device, precision): (Device, Precision),
        batch: usize,
    ) -> Result<Self, ModelError> {
        let mut renamed = Vec::new();
        for (name, tensor) in state.tensors() {
            let name = own_name(name);
            // anomalib stores the frozen encoder too; it is built from its own weights here.
            if !name.starts_with("encoder.") {
                renamed.push((name, tensor.shallow_clone()));
            }
        }
        // Through a file once more, which checks the values and gives the state a digest.
        let state = Weights::from_safetensors(&write_tensors(renamed)?)?;
        let required = parameters(&params, false);
        state.check_against("rd4ad", &required, &parameters(&params, true))?;

        let encoder = encoder(&params, weights, device, precision)?;
        let student = Student::new(student_shape(&params), encoder.device())?;
        student.read(|p| Ok(state.tensors()[&p.name].shallow_clone()))?;
        let origin = Origin {
            images: 0,
            steps: 0,
            seed: Seed(0),
            precision,
        };
        Self::new(params, origin, vec![], encoder, student, batch)
    }
}

/// The name here of a tensor in a published state.
fn own_name(published: &str) -> String {
    let name = published.strip_prefix("model.").unwrap_or(published);
    match name.strip_prefix("bn.") {
        Some(rest) => format!("bottleneck.{rest}"),
        None => name.to_owned(),
    }
}

impl FittedDetector for FittedRd4ad {
    /// The model as bytes: the student's state, the parameters and the digest of the encoder's
    /// weights, not the weights themselves.
    fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            curve: self.curve.clone(),
        };
        let weights = self.inference.encoder.backbone().digest();
        let inputs = SavedModel::weights_input(Some(weights));
        Ok(SavedModel::new(
            NAME,
            SCHEMA,
            saved,
            inputs,
            self.tensors(),
        )?)
    }

    /// The loss over the steps of training.
    fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The network input of images, N×3×S×S, normalised as the encoder wants it.
    fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        Ok(self.inference.encoder.input(images)?)
    }

    /// From network input to maps, N×S×S: everything between preprocessing and maps in tensor
    /// operations, so that it can be traced.
    fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.inference.network(input)?)
    }
}

impl AnomalyDetector for FittedRd4ad {
    type Error = ModelError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, ModelError> {
        batched_maps(NAME, images, self.batch, |chunk| {
            self.network(&self.input(chunk)?)
        })
    }
}
