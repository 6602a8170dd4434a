use crate::bank::{draw, embed, inside, places_each};
use crate::model::{FittedAnomalyDino, TrainedOn, extractor};
use crate::{AnomalyDinoParams, NAME};
use segad_core::{FitContext, FitDetector, Image, Seed, TrainGood};
use segad_imaging::rotate_nearest;
use segad_nn::model::{Extractor, ModelError, check_cancelled, expect_images, load_good};
use segad_nn::{NnError, Weights};
use tch::Tensor;

/// AnomalyDINO before fitting: parameters and the backbone's weights.
pub struct AnomalyDino {
    params: AnomalyDinoParams,
    weights: Weights,
}

impl AnomalyDino {
    /// With weights of `params.backbone`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: AnomalyDinoParams, weights: Weights) -> Result<Self, ModelError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone, last)
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &AnomalyDinoParams {
        &self.params
    }

    /// The angles by which good images are turned, in degrees.
    fn angles(&self) -> Vec<f64> {
        let turns = self.params.rotations;
        (0..turns)
            .map(|turn| 360.0 * turn as f64 / turns as f64)
            .collect()
    }
}

impl FitDetector for AnomalyDino {
    type Fitted = FittedAnomalyDino;
    type Error = ModelError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedAnomalyDino, ModelError> {
        expect_images(NAME, "good training images", good.len(), 1)?;
        let extractor = extractor(&self.params, &self.weights, ctx.device, ctx.precision)?;
        let angles = self.angles();
        // Fewer of each image, not fewer images: variety matters more than density.
        let each = places_each(&self.params, good.len() * angles.len());
        let task = ctx.progress.start(NAME, Some(good.len() as u64));
        let mut bank = Vec::new();
        for index in 0..good.len() {
            check_cancelled(NAME, ctx)?;
            let image = load_good("training", good, index)?;
            // One picture at a time: the size of a batch decides the last bits of features.
            for (turn, &degrees) in angles.iter().enumerate() {
                let seed = seed.derive(&format!("{index} {turn}"));
                bank.push(patches(&extractor, &image, degrees, each, seed)?);
            }
            task.advance(1);
        }
        let trained_on = TrainedOn {
            images: good.len(),
            seed,
            precision: ctx.precision,
        };
        let bank = Tensor::f_cat(&bank, 0)?;
        Ok(FittedAnomalyDino::new(
            self.params.clone(),
            trained_on,
            extractor,
            bank,
            ctx.batch,
        )?)
    }
}

/// Rows of the bank: patches of a picture that is turned by so many degrees.
fn patches(
    extractor: &Extractor,
    image: &Image,
    degrees: f64,
    count: usize,
    seed: Seed,
) -> Result<Tensor, NnError> {
    let turned = rotate_nearest(image, degrees).map_err(|e| NnError::Image {
        index: 0,
        source: e.into(),
    })?;
    let input = extractor.input(&[turned])?;
    let [_, side, _] = extractor.shapes()[0];
    tch::no_grad(|| {
        let rows = embed(&extractor.backbone().outputs(&input)?)?.f_squeeze_dim(0)?;
        let places = inside(side as usize, [image.height(), image.width()], degrees);
        let mut chosen = Vec::with_capacity(count);
        for place in draw(places, count, seed) {
            chosen.push(place as i64);
        }
        let chosen = Tensor::f_from_slice(&chosen)?.f_to_device(rows.device())?;
        Ok(rows.f_index_select(0, &chosen)?)
    })
}
