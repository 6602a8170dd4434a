use crate::embed::Embedder;
use crate::score::Bank;
use crate::{ImageScore, PatchCoreError, PatchCoreParams};
use segad_core::{AnomalyDetector, AnomalyMap, Device, Image, Precision, Seed};
use segad_nn::{MapOperator, SavedModel, Upsample, Weights, to_vec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

/// Standard deviation of the blur over the map, in pixels of the network input.
const SIGMA: f64 = 4.0;
const KIND: &str = "patchcore";
const SCHEMA: u32 = 1;
const WEIGHTS: &str = "backbone weights";
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

/// What a model was fitted with, beside its parameters.
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

#[derive(Serialize, Deserialize)]
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
    ) -> Result<Self, PatchCoreError> {
        let (side, size) = (embedder.side(), params.image_size());
        let device = embedder.backbone.device();
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

    /// Places along each side of the patch grid.
    pub fn grid(&self) -> usize {
        self.embedder.side()
    }

    /// Which training patch each row of the memory bank was: its position in the order image, y, x
    /// over the patch grids of all training images. `None` for a model that was read from a file,
    /// which does not keep it.
    pub fn bank_sources(&self) -> Option<&[usize]> {
        self.sources.as_deref()
    }

    /// For each place of one image's patch grid, row by row, the distance to the nearest row of the
    /// memory bank and which row that is.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn nearest(&self, image: &Image) -> Result<Vec<(f32, usize)>, PatchCoreError> {
        let nearest = self
            .bank
            .nearest(&self.embedder.rows(std::slice::from_ref(image))?)?;
        let rows = Vec::<i64>::try_from(&nearest.rows.f_to_device(tch::Device::Cpu)?)?;
        let distances = to_vec(&nearest.distances)?;
        Ok(distances
            .into_iter()
            .zip(rows)
            .map(|(d, row)| (d, row as usize))
            .collect())
    }

    /// The network input of images, N×3×S×S, normalised as the backbone wants it.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn input(&self, images: &[Image]) -> Result<Tensor, PatchCoreError> {
        self.embedder.input(images)
    }

    /// From network input to maps, N×S×S: all that lies between preprocessing and maps as
    /// operations on tensors, so that it can be traced.
    ///
    /// # Errors
    /// libtorch's.
    pub fn network(&self, input: &Tensor) -> Result<Tensor, PatchCoreError> {
        let side = self.embedder.side() as i64;
        let nearest = self.bank.nearest_of_all(&self.embedder.rows_of(input)?)?;
        let small = nearest.distances.f_view([-1, side, side])?;
        Ok(tch::no_grad(|| self.operator.apply(&small))?)
    }

    /// Maps and image scores in one go; the scores as [`PatchCoreParams::score`] says.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn maps_and_scores(
        &self,
        images: &[Image],
    ) -> Result<(Vec<AnomalyMap>, Vec<f32>), PatchCoreError> {
        let (mut maps, mut scores) = (
            Vec::with_capacity(images.len()),
            Vec::with_capacity(images.len()),
        );
        let (side, size) = (self.embedder.side() as i64, self.params.image_size());
        for (b, chunk) in images.chunks(self.batch).enumerate() {
            let queries = self.embedder.rows(chunk)?;
            let nearest = self.bank.nearest(&queries)?;
            let small = nearest.distances.f_view([-1, side, side])?;
            let large = to_vec(&tch::no_grad(|| self.operator.apply(&small))?)?;
            for (i, values) in large.chunks_exact(size * size).enumerate() {
                let map = AnomalyMap::new(size, size, values.to_vec());
                let map = map.map_err(|source| PatchCoreError::Map {
                    index: b * self.batch + i,
                    source,
                })?;
                scores.push(match self.params.score() {
                    ImageScore::Max => map.max(),
                    ImageScore::Reweighted => {
                        let (from, n) = (i as i64 * side * side, side * side);
                        let part = nearest.narrow(from, n)?;
                        let queries = queries.f_narrow(0, from, n)?;
                        self.bank
                            .reweighted(&queries, &part, self.params.neighbours())?
                    }
                });
                maps.push(map);
            }
        }
        Ok((maps, scores))
    }

    /// One image score each.
    ///
    /// # Errors
    /// As [`AnomalyDetector::maps`].
    pub fn scores(&self, images: &[Image]) -> Result<Vec<f32>, PatchCoreError> {
        Ok(self.maps_and_scores(images)?.1)
    }

    /// The model as bytes: the memory bank, the parameters and the digest of the backbone's
    /// weights, not the weights themselves.
    ///
    /// # Errors
    /// libtorch's.
    pub fn save(&self) -> Result<SavedModel, PatchCoreError> {
        let saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
        };
        let inputs = BTreeMap::from([(WEIGHTS.to_owned(), self.embedder.backbone.digest())]);
        Ok(SavedModel::new(
            KIND,
            SCHEMA,
            saved,
            inputs,
            [(BANK, &self.bank.rows)],
        )?)
    }

    /// Reads a saved model back; `weights` are the backbone's, those that it was fitted with. The
    /// precision is that of the fit. `batch` images go through the network at once.
    ///
    /// # Errors
    /// [`PatchCoreError::OtherWeights`], or [`segad_nn::NnError::Saved`] for a damaged or foreign
    /// model.
    pub fn load(
        saved: &SavedModel,
        weights: &Weights,
        device: Device,
        batch: usize,
    ) -> Result<Self, PatchCoreError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let actual = weights.digest();
        let expected = opened.inputs.get(WEIGHTS).copied().unwrap_or(actual);
        if expected != actual {
            return Err(PatchCoreError::OtherWeights { expected, actual });
        }
        let Saved { settings, origin } = &opened.parameters;
        let (settings, origin) = (settings.clone(), *origin);
        let embedder = Embedder::new(&settings, weights, device, origin.precision)?;
        let bank = opened.take(BANK, &[-1, embedder.dim() as i64])?;
        Self::new(settings, origin, embedder, bank, batch, None)
    }
}

impl AnomalyDetector for FittedPatchCore {
    type Error = PatchCoreError;

    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, PatchCoreError> {
        Ok(self.maps_and_scores(images)?.0)
    }
}
