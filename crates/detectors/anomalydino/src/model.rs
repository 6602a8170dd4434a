use crate::bank::{distances, embed};
use crate::{AnomalyDinoParams, NAME};
use segad_core::{AnomalyDetector, AnomalyMap, Device, Image, Precision, Seed};
use segad_nn::model::{Extractor, ModelError, batched_maps};
use segad_nn::{MapOperator, NnError, SavedModel, Upsample, Weights};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Raised when the parameters or tensors of a saved model change their meaning.
const SCHEMA: u32 = 1;
const BANK: &str = "bank";
/// Standard deviation of the blur over the map, in pixels of the network input.
const SIGMA: f64 = 4.0;

/// A fitted AnomalyDINO: a backbone and a bank of patches of good images.
pub struct FittedAnomalyDino {
    params: AnomalyDinoParams,
    trained_on: TrainedOn,
    extractor: Extractor,
    /// M×(L·C), see [`embed`].
    bank: Tensor,
    operator: MapOperator,
    batch: usize,
}

/// What a model was fitted with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Number of training images.
    pub images: usize,
    /// Seed of the choice of patches.
    pub seed: Seed,
    /// Arithmetic of the backbone.
    pub precision: Precision,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: AnomalyDinoParams,
    #[serde(flatten)]
    trained_on: TrainedOn,
}

/// From images to the tokens of each layer.
pub(crate) fn extractor(
    params: &AnomalyDinoParams,
    weights: &Weights,
    device: Device,
    precision: Precision,
) -> Result<Extractor, ModelError> {
    let place = (device, precision);
    let size = params.image_size;
    Extractor::new(params.backbone, params.layers(), weights, size, place)
}

impl FittedAnomalyDino {
    pub(crate) fn new(
        params: AnomalyDinoParams,
        trained_on: TrainedOn,
        extractor: Extractor,
        bank: Tensor,
        batch: usize,
    ) -> Result<Self, NnError> {
        let [_, side, _] = extractor.shapes()[0];
        let operator = MapOperator::new(
            (side as usize, side as usize),
            (params.image_size, params.image_size),
            Upsample::Bilinear {
                align_corners: false,
            },
            Some(SIGMA),
            extractor.device(),
        )?;
        Ok(Self {
            params,
            trained_on,
            bank: bank.f_to_device(extractor.device())?,
            extractor,
            operator,
            batch,
        })
    }

    /// The parameters that it was fitted with.
    pub fn params(&self) -> &AnomalyDinoParams {
        &self.params
    }

    /// What else it was fitted with.
    pub fn trained_on(&self) -> TrainedOn {
        self.trained_on
    }

    /// Patches in the bank.
    pub fn bank_len(&self) -> usize {
        self.bank.size()[0] as usize
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        Ok(self.extractor.input(images)?)
    }

    /// From network input to the distances of the patches, N×h×w: before they are enlarged.
    ///
    /// # Errors
    /// libtorch's.
    pub fn distances(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        let [_, side, _] = self.extractor.shapes()[0];
        tch::no_grad(|| {
            let rows = embed(&self.extractor.backbone().outputs(input)?)?.f_flatten(0, 1)?;
            let apart = distances(&rows, &self.bank, self.params.neighbours)?;
            Ok(apart.f_view([-1, side, side])?)
        })
    }

    /// From network input to maps, N×S×S, in tensor operations, so that it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        let small = self.distances(input)?;
        Ok(tch::no_grad(|| self.operator.apply(&small))?)
    }

    /// The model as bytes: the bank, the parameters and the digest of the backbone's weights, not
    /// the weights themselves.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, ModelError> {
        let saved = Saved {
            settings: self.params.clone(),
            trained_on: self.trained_on,
        };
        // The weights stay outside: hundreds of megabytes that every model of this kind shares.
        let inputs = SavedModel::weights_input(Some(self.extractor.backbone().digest()));
        Ok(SavedModel::new(
            NAME,
            SCHEMA,
            saved,
            inputs,
            [(BANK, &self.bank)],
        )?)
    }

    /// Reads a saved model back; `weights` are those of the backbone that it was fitted with. The
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
            trained_on,
        } = opened.parameters.clone();
        let extractor = extractor(&settings, weights, device, trained_on.precision)?;
        let dim: i64 = extractor
            .shapes()
            .iter()
            .map(|[channels, ..]| channels)
            .sum();
        let bank = opened.take(BANK, &[-1, dim])?;
        Ok(Self::new(settings, trained_on, extractor, bank, batch)?)
    }
}

impl AnomalyDetector for FittedAnomalyDino {
    type Error = ModelError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, ModelError> {
        batched_maps(NAME, images, self.batch, |chunk| {
            self.network(&self.input(chunk)?)
        })
    }
}
