use crate::embed::Embedder;
use crate::score::{Bank, Nearest};
use crate::{ImageScore, NAME, PatchCoreParams};
use segad_core::{AnomalyDetector, AnomalyMap, BoxError, Device, Image, Precision, Seed};
use segad_nn::method::{FittedDetector, MemoryBank};
use segad_nn::model::{ModelError, split_maps};
use segad_nn::{MapOperator, NnError, SavedModel, Upsample, Weights, to_vec};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Standard deviation of the blur over the map, in pixels of the network input.
const SIGMA: f64 = 4.0;
const SCHEMA: u32 = 1;
const BANK: &str = "memory_bank";

/// A fitted PatchCore: a backbone and a memory bank.
pub struct FittedPatchCore {
    params: PatchCoreParams,
    origin: Origin,
    embedder: Embedder,
    bank: Bank,
    operator: MapOperator,
    batch: usize,
    /// Which training patch each row of the bank was; not saved.
    sources: Option<Vec<usize>>,
}

/// What a model was fitted with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of training images.
    pub images: usize,
    /// Number of patches of all training images.
    pub patches: usize,
    /// Seed of the projection and of the coreset's start.
    pub seed: Seed,
    /// Arithmetic of the backbone, for the bank's rows and for queries; the rows were chosen in
    /// f32.
    pub precision: Precision,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: PatchCoreParams,
    #[serde(flatten)]
    origin: Origin,
}

impl FittedPatchCore {
    pub(crate) fn new(
        params: PatchCoreParams,
        origin: Origin,
        embedder: Embedder,
        bank: Tensor,
        batch: usize,
        sources: Option<Vec<usize>>,
    ) -> Result<Self, ModelError> {
        let side = embedder.side();
        let size = params.image_size;
        let device = embedder.extractor.device();
        let operator = MapOperator::new(
            (side, side),
            (size, size),
            Upsample::Nearest,
            Some(SIGMA),
            device,
        )?;
        let bank = Bank::new(bank.f_to_device(device)?)?;
        Ok(Self {
            params,
            origin,
            embedder,
            bank,
            operator,
            batch: batch.max(1),
            sources,
        })
    }

    /// The parameters that it was fitted with.
    pub fn params(&self) -> &PatchCoreParams {
        &self.params
    }

    /// What else it was fitted with.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Rows of the memory bank.
    pub fn bank_len(&self) -> usize {
        self.bank.len()
    }

    /// N×S×S from the distances of all patches of N images.
    fn enlarge(&self, nearest: &Nearest) -> Result<Tensor, NnError> {
        let side = self.embedder.side() as i64;
        let small = nearest.distances.f_view([-1, side, side])?;
        tch::no_grad(|| self.operator.apply(&small))
    }

    /// Maps and image scores in one pass; the scores as [`crate::PatchCoreSettings::score`] says.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn maps_and_scores(
        &self,
        images: &[Image],
    ) -> Result<(Vec<AnomalyMap>, Vec<f32>), ModelError> {
        let mut maps = Vec::with_capacity(images.len());
        let mut scores = Vec::with_capacity(images.len());
        for chunk in images.chunks(self.batch) {
            let queries = self.embedder.rows(chunk)?;
            let nearest = self.bank.nearest(&queries)?;
            let found = split_maps(NAME, maps.len(), &self.enlarge(&nearest)?)?;
            for (i, map) in found.into_iter().enumerate() {
                scores.push(match self.params.score {
                    ImageScore::Max => map.max(),
                    ImageScore::Reweighted => self.reweighted(&queries, &nearest, i)?,
                });
                maps.push(map);
            }
        }
        Ok((maps, scores))
    }

    /// The re-weighted score of the i-th image of a batch.
    fn reweighted(&self, queries: &Tensor, nearest: &Nearest, i: usize) -> Result<f32, NnError> {
        let patches = self.embedder.patches() as i64;
        let first = i as i64 * patches;
        let nearest = nearest.narrow(first, patches)?;
        let queries = queries.f_narrow(0, first, patches)?;
        self.bank
            .reweighted(&queries, &nearest, self.params.neighbours)
    }

    /// One image score each.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn scores(&self, images: &[Image]) -> Result<Vec<f32>, ModelError> {
        Ok(self.maps_and_scores(images)?.1)
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
        let Saved { settings, origin } = opened.parameters.clone();
        let embedder = Embedder::new(&settings, weights, device, origin.precision)?;
        let bank = opened.take(BANK, &[-1, embedder.dim() as i64])?;
        Self::new(settings, origin, embedder, bank, batch, None)
    }
}

impl FittedDetector for FittedPatchCore {
    /// The model as bytes: the memory bank, the parameters and the digest of the backbone's
    /// weights, not the weights themselves.
    fn save(&self) -> Result<SavedModel, ModelError> {
        // The backbone's weights are large and shared by many models: a digest names them.
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
        };
        let weights = self.embedder.extractor.backbone().digest();
        let inputs = SavedModel::weights_input(Some(weights));
        let tensors = [(BANK, &self.bank.rows)];
        Ok(SavedModel::new(NAME, SCHEMA, saved, inputs, tensors)?)
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    fn input(&self, images: &[Image]) -> Result<Tensor, ModelError> {
        Ok(self.embedder.extractor.input(images)?)
    }

    /// From network input to maps, N×S×S: everything between preprocessing and maps in tensor
    /// operations, so that it can be traced.
    fn network(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        let nearest = self.bank.nearest_of_all(&self.embedder.rows_of(input)?)?;
        Ok(self.enlarge(&nearest)?)
    }

    fn memory_bank(&self) -> Option<&dyn MemoryBank> {
        Some(self)
    }
}

impl MemoryBank for FittedPatchCore {
    /// Places along each side of the patch grid.
    fn grid(&self) -> usize {
        self.embedder.side()
    }

    fn image_size(&self) -> usize {
        self.params.image_size
    }

    /// Which training patch each row of the memory bank was: its position in the order image, y, x
    /// over the patch grids of all training images. `None` for a model that was read from a file,
    /// which does not record it.
    fn sources(&self) -> Option<&[usize]> {
        self.sources.as_deref()
    }

    /// For each place of one image's patch grid, row by row, the distance to the nearest row of the
    /// memory bank and which row that is.
    fn nearest(&self, image: &Image) -> Result<Vec<(f32, usize)>, BoxError> {
        let queries = self.embedder.rows(std::slice::from_ref(image))?;
        let nearest = self.bank.nearest(&queries)?;
        let rows = Vec::<i64>::try_from(&nearest.rows.f_to_device(tch::Device::Cpu)?)?;
        let rows = rows.into_iter().map(|row| row as usize);
        Ok(to_vec(&nearest.distances)?.into_iter().zip(rows).collect())
    }
}

impl AnomalyDetector for FittedPatchCore {
    type Error = ModelError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, ModelError> {
        Ok(self.maps_and_scores(images)?.0)
    }
}
