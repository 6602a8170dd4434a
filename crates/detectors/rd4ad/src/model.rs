use crate::score::{Encoder, Inference};
use crate::student::Student;
use crate::{Rd4adError, Rd4adParams};
use segad_core::{AnomalyDetector, AnomalyMap, Device, Image, Precision, Seed};
use segad_nn::train::CurvePoint;
use segad_nn::{SavedModel, Weights, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

const KIND: &str = "rd4ad";
const SCHEMA: u32 = 1;
const WEIGHTS: &str = "backbone weights";

/// A fitted RD4AD: a frozen encoder and the student that was trained to give its features back.
pub struct FittedRd4ad {
    params: Rd4adParams,
    origin: Origin,
    curve: Vec<CurvePoint>,
    student: Student,
    inference: Inference,
}

/// What a model was trained with, beside its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of training images; 0: trained elsewhere.
    pub images: usize,
    /// Training steps; 0: trained elsewhere.
    pub steps: u64,
    /// Seed of the student's first values and of the order of images.
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
        (origin, curve): (Origin, Vec<CurvePoint>),
        encoder: Encoder,
        student: Student,
        batch: usize,
    ) -> Result<Self, Rd4adError> {
        let inference = Inference::new(&params, encoder, &student, batch)?;
        Ok(Self {
            params,
            origin,
            curve,
            student,
            inference,
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

    /// The loss over the steps of training.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The network input of images, N×3×S×S, normalised as the encoder wants it.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn input(&self, images: &[Image]) -> Result<Tensor, Rd4adError> {
        Ok(self.inference.encoder.input(images)?)
    }

    /// From network input to maps, N×S×S: all that lies between preprocessing and maps as
    /// operations on tensors, so that it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, Rd4adError> {
        self.inference.network(input)
    }

    /// The student's state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.student.tensors()
    }

    /// The model as bytes: the student's state, the parameters and the digest of the encoder's
    /// weights, not the weights themselves.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, Rd4adError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            curve: self.curve.clone(),
        };
        let inputs =
            BTreeMap::from([(WEIGHTS.to_owned(), self.inference.encoder.backbone.digest())]);
        let tensors = self.student.tensors();
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// Reads a saved model back; `weights` are the encoder's, those that it was trained with. The
    /// precision is that of the fit. `batch` images go through the network at once.
    ///
    /// # Errors
    /// [`Rd4adError::OtherWeights`], or [`segad_nn::NnError::Saved`] for a damaged or foreign
    /// model.
    pub fn load(
        saved: &SavedModel,
        weights: &Weights,
        device: Device,
        batch: usize,
    ) -> Result<Self, Rd4adError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let actual = weights.digest();
        let expected = opened.inputs.get(WEIGHTS).copied().unwrap_or(actual);
        if expected != actual {
            return Err(Rd4adError::OtherWeights { expected, actual });
        }
        let Saved {
            settings,
            origin,
            curve,
        } = opened.parameters.clone();
        let encoder = Encoder::new(&settings, weights, device, origin.precision)?;
        let student = Student::new(settings.shape(), encoder.backbone.device())?;
        student.read(|p| opened.take(&p.name, &p.shape))?;
        Self::new(settings, (origin, curve), encoder, student, batch)
    }

    /// A model from a student trained elsewhere: safetensors of a state that anomalib
    /// (`model.bottleneck.…`, `model.decoder.…`; encoder entries are left out) or the official code
    /// (`bn.…`, `decoder.…`) wrote. Its unused conv4 and bn4 may be there.
    ///
    /// # Errors
    /// [`segad_nn::NnError::WeightNames`] and [`segad_nn::NnError::WeightShape`] for the state of
    /// another network, [`Rd4adError::Weights`] for the encoder's.
    pub fn import(
        params: Rd4adParams,
        state: &Weights,
        weights: &Weights,
        (device, precision): (Device, Precision),
        batch: usize,
    ) -> Result<Self, Rd4adError> {
        let rename = |name: &str| {
            let name = name.strip_prefix("model.").unwrap_or(name);
            match name.strip_prefix("bn.") {
                Some(rest) => format!("bottleneck.{rest}"),
                None => name.to_owned(),
            }
        };
        let renamed = state.tensors().iter().map(|(name, t)| (rename(name), t));
        let renamed: Vec<(String, &Tensor)> = renamed
            .filter(|(n, _)| !n.starts_with("encoder."))
            .collect();
        let named: Vec<(&str, &Tensor)> = renamed.iter().map(|(n, t)| (n.as_str(), *t)).collect();
        let state = Weights::from_safetensors(&write_tensors(named)?)?;
        state.check_against("rd4ad", &params.parameters(false), &params.parameters(true))?;

        let encoder = Encoder::new(&params, weights, device, precision)?;
        let student = Student::new(params.shape(), encoder.backbone.device())?;
        student.read(|p| Ok(state.tensors()[&p.name].shallow_clone()))?;
        let origin = Origin {
            images: 0,
            steps: 0,
            seed: Seed(0),
            precision,
        };
        Self::new(params, (origin, vec![]), encoder, student, batch)
    }
}

impl AnomalyDetector for FittedRd4ad {
    type Error = Rd4adError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, Rd4adError> {
        self.inference.maps(images)
    }
}
