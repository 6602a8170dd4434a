use crate::coreset::{self, Rows};
use crate::embed::Embedder;
use crate::model::{FittedPatchCore, Origin};
use crate::{PatchCoreError, PatchCoreParams, projection};
use segad_core::{FitContext, FitDetector, Image, Precision, Seed, TrainGood};
use segad_nn::{Weights, to_vec};

/// PatchCore, not fitted yet: parameters and the backbone's weights.
///
/// Memory that grows with the number of images: N projected patches of d floats and 12 bytes each,
/// and the bank. If the unprojected patches fit the budget as well they are kept, else (and in
/// bf16) the images whose patches were chosen go through the backbone once more. One batch's
/// activations and about 40 MiB of buffers come on top.
pub struct PatchCore {
    params: PatchCoreParams,
    weights: Weights,
}

/// Sizes that follow from the parameters and the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub patches: usize,
    /// Rows of the memory bank.
    pub bank: usize,
    /// Length of a projected patch; `None` where projecting would not shorten it.
    pub projected: Option<usize>,
    /// Whether the unprojected patches stay in memory.
    pub keep: bool,
}

impl Plan {
    pub fn new(
        params: &PatchCoreParams,
        images: usize,
        per_image: usize,
        dim: usize,
        budget: u64,
    ) -> Result<Self, PatchCoreError> {
        if images == 0 {
            return Err(PatchCoreError::NoImages);
        }
        let patches = images * per_image;
        let bank = (patches as f64 * params.coreset_ratio()) as usize;
        let neighbours = params.neighbours();
        if bank == 0 || patches < neighbours {
            return Err(PatchCoreError::TooFewPatches {
                images,
                patches,
                bank,
                neighbours,
            });
        }
        let projected = Some(projection::components(patches, params.projection_epsilon()));
        let projected = projected.filter(|&d| 0 < d && d < dim);
        let bytes = |rows: usize, columns: usize| 4 * rows as u64 * columns as u64;
        let needed = bytes(patches, projected.unwrap_or(dim) + 3) + bytes(bank, dim);
        if needed > budget {
            return Err(PatchCoreError::Memory {
                images,
                patches,
                needed,
                budget,
            });
        }
        let keep = projected.is_some() && needed + bytes(patches, dim) <= budget;
        Ok(Self {
            patches,
            bank,
            projected,
            keep,
        })
    }
}

impl PatchCore {
    /// With weights of `params.backbone()`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`PatchCoreError::Weights`] if they are not.
    pub fn new(params: PatchCoreParams, weights: Weights) -> Result<Self, PatchCoreError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone(), last)
            .map_err(PatchCoreError::Weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &PatchCoreParams {
        &self.params
    }

    /// The patch embeddings that a bank is chosen from: rows of [`PatchCore::dim`] values in the
    /// order image, y, x.
    ///
    /// # Errors
    /// libtorch's.
    pub fn patches(&self, images: &[Image], ctx: &FitContext) -> Result<Vec<f32>, PatchCoreError> {
        let embedder = Embedder::new(&self.params, &self.weights, ctx.device, ctx.precision)?;
        let mut values = Vec::new();
        for chunk in images.chunks(ctx.batch.max(1)) {
            values.extend(to_vec(&embedder.rows(chunk)?)?);
        }
        Ok(values)
    }

    /// Length of a patch embedding.
    ///
    /// # Errors
    /// None that [`PatchCore::new`] has not found.
    pub fn dim(&self) -> Result<usize, PatchCoreError> {
        let channels = |layer: &String| Ok(self.params.backbone().tap(layer)?.channels as usize);
        self.params.layers().iter().map(channels).sum()
    }
}

fn load(good: &TrainGood<'_>, range: std::ops::Range<usize>) -> Result<Vec<Image>, PatchCoreError> {
    let one = |i: usize| {
        let id = || good.ids()[i].to_string();
        good.load(i)
            .map_err(|source| PatchCoreError::Load { id: id(), source })
    };
    range.map(one).collect()
}

impl FitDetector for PatchCore {
    type Fitted = FittedPatchCore;
    type Error = PatchCoreError;

    fn fit(
        &self,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedPatchCore, PatchCoreError> {
        // Which rows a coreset chooses hangs on the last bits of features, so it chooses in f32
        // whatever the precision. Their values are in the precision of the queries: rounded weights
        // move both alike.
        let embedder = Embedder::new(&self.params, &self.weights, ctx.device, Precision::F32)?;
        let (per_image, dim) = (embedder.side() * embedder.side(), embedder.dim());
        let mut plan = Plan::new(&self.params, good.len(), per_image, dim, ctx.memory)?;
        let scoring = match ctx.precision {
            Precision::F32 => None,
            precision => Some(Embedder::new(
                &self.params,
                &self.weights,
                ctx.device,
                precision,
            )?),
        };
        // What would be kept are features in f32.
        plan.keep &= scoring.is_none();
        tracing::debug!(?plan, images = good.len(), dim, "patchcore");
        let batch = ctx.batch.max(1);
        let going = || {
            if ctx.cancel.is_cancelled() {
                Err(PatchCoreError::Cancelled)
            } else {
                Ok(())
            }
        };
        let batches = || {
            (0..good.len())
                .step_by(batch)
                .map(|i| i..(i + batch).min(good.len()))
        };

        let matrix = match plan.projected {
            Some(to) => {
                let matrix = projection::matrix(dim, to, seed.derive("projection"))?;
                Some(matrix.f_to_device(embedder.backbone.device())?)
            }
            None => None,
        };
        let short = plan.projected.unwrap_or(dim);
        let mut projected = Vec::with_capacity(plan.patches * short);
        let mut kept = Vec::with_capacity(if plan.keep { plan.patches * dim } else { 0 });
        let task = ctx
            .progress
            .start("patchcore: features", Some(good.len() as u64));
        for range in batches() {
            going()?;
            let rows = embedder.rows(&load(good, range.clone())?)?;
            if plan.keep {
                kept.extend(to_vec(&rows)?);
            }
            projected.extend(to_vec(&match &matrix {
                Some(matrix) => tch::no_grad(|| rows.f_matmul(matrix))?,
                None => rows,
            })?);
            task.advance(range.len() as u64);
        }
        drop(task);

        let task = ctx
            .progress
            .start("patchcore: coreset", Some(plan.bank as u64));
        let rows = Rows::new(&projected, short);
        let start = (seed.derive("coreset").rng(), plan.patches);
        let chosen = coreset::greedy(rows, plan.bank, uniform(start), &mut |n| {
            task.advance(n as u64);
            !ctx.cancel.is_cancelled()
        })?;
        drop(task);

        let bank = if plan.projected.is_none() && scoring.is_none() {
            coreset::gather(rows, &chosen)?
        } else if plan.keep {
            coreset::gather(Rows::new(&kept, dim), &chosen)?
        } else {
            drop(projected);
            let task = ctx
                .progress
                .start("patchcore: memory bank", Some(good.len() as u64));
            let again = scoring.as_ref().unwrap_or(&embedder);
            let mut bank = vec![0f32; chosen.len() * dim];
            for range in batches() {
                going()?;
                let first = range.start * per_image;
                let here = first..range.end * per_image;
                if chosen.iter().any(|i| here.contains(i)) {
                    // The same batch as before, so that the features are the same to the bit.
                    let rows = to_vec(&again.rows(&load(good, range.clone())?)?)?;
                    for (place, _) in chosen.iter().enumerate().filter(|(_, i)| here.contains(i)) {
                        let from = (chosen[place] - first) * dim;
                        bank[place * dim..(place + 1) * dim]
                            .copy_from_slice(&rows[from..from + dim]);
                    }
                }
                task.advance(range.len() as u64);
            }
            segad_nn::from_slice(&bank, &[chosen.len() as i64, dim as i64])?
        };
        let origin = Origin {
            images: good.len(),
            patches: plan.patches,
            seed,
            precision: ctx.precision,
        };
        let embedder = scoring.unwrap_or(embedder);
        FittedPatchCore::new(
            self.params.clone(),
            origin,
            embedder,
            bank,
            batch,
            Some(chosen),
        )
    }
}

/// A uniform number below `bound`.
fn uniform((mut rng, bound): (impl rand::Rng, usize)) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PatchCoreSettings;

    fn plan(images: usize, budget: u64) -> Result<Plan, PatchCoreError> {
        Plan::new(
            &PatchCoreSettings::default().checked().unwrap(),
            images,
            1024,
            1536,
            budget,
        )
    }

    #[test]
    fn sizes_of_the_paper() {
        for (images, patches, bank, projected) in [
            (60, 61_440, 614, 272),
            (209, 214_016, 2140, 303),
            (1000, 1_024_000, 10_240, 341),
        ] {
            let expected = Plan {
                patches,
                bank,
                projected: Some(projected),
                keep: true,
            };
            assert_eq!(plan(images, 64 << 30).unwrap(), expected);
        }
        // 1000 images: 1.41 GB projected, 63 MB bank, 6.29 GB unprojected.
        assert!(!plan(1000, 2 << 30).unwrap().keep);
        assert!(matches!(
            plan(1000, 1 << 30),
            Err(PatchCoreError::Memory {
                needed: 1_471_938_560,
                ..
            })
        ));
    }

    #[test]
    fn too_little_is_an_error() {
        assert!(matches!(plan(0, 1 << 30), Err(PatchCoreError::NoImages)));
        let params = PatchCoreSettings::default().checked().unwrap();
        let few = |per_image| Plan::new(&params, 1, per_image, 1536, 1 << 30);
        assert!(matches!(
            few(4),
            Err(PatchCoreError::TooFewPatches {
                patches: 4,
                bank: 0,
                ..
            })
        ));
        assert!(few(100).is_ok());
        // Projecting must shorten.
        let small = Plan::new(&params, 60, 1024, 168, 1 << 30).unwrap();
        assert_eq!((small.projected, small.keep), (None, false));
    }

    #[test]
    fn starts_spread_over_all_rows() {
        let starts: Vec<usize> = (0..200).map(|s| uniform((Seed(s).rng(), 10))).collect();
        assert!((0..10).all(|i| starts.contains(&i)));
    }
}
