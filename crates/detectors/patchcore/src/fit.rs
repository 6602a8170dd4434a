use crate::coreset::{self, Rows};
use crate::embed::Embedder;
use crate::model::{FittedPatchCore, Origin};
use crate::plan::Plan;
use crate::{NAME, PatchCoreError, PatchCoreParams, projection};
use segad_core::{FitContext, FitDetector, Image, Precision, Seed, TrainGood};
use segad_nn::model::{ModelError, check_cancelled, load_good};
use segad_nn::{NnError, Weights, from_slice, to_vec};
use std::ops::Range;
use tch::Tensor;

/// PatchCore before fitting: parameters and the backbone's weights.
///
/// Memory that grows with the number of images: N projected patches of d floats and 12 bytes each,
/// and the bank. If the unprojected patches fit into the budget as well they are kept; otherwise
/// (and in bf16) the images that the chosen patches come from go through the backbone once more.
/// One batch's activations and about 40 MiB of buffers come on top.
pub struct PatchCore {
    params: PatchCoreParams,
    weights: Weights,
}

impl PatchCore {
    /// With weights of `params.backbone`, complete up to the last layer used.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: PatchCoreParams, weights: Weights) -> Result<Self, ModelError> {
        let last = params.layers().last().map(String::as_str);
        weights
            .check(params.backbone, last)
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }

    /// The patch embeddings that a bank is chosen from: rows of [`PatchCore::dim`] values in the
    /// order image, y, x.
    ///
    /// # Errors
    /// libtorch's.
    pub fn patches(&self, images: &[Image], ctx: &FitContext) -> Result<Vec<f32>, ModelError> {
        let embedder = self.embedder(ctx, ctx.precision)?;
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
    pub fn dim(&self) -> Result<usize, NnError> {
        let mut dim = 0;
        for layer in self.params.layers() {
            dim += self.params.backbone.tap(layer)?.channels as usize;
        }
        Ok(dim)
    }

    fn embedder(&self, ctx: &FitContext, precision: Precision) -> Result<Embedder, ModelError> {
        Embedder::new(&self.params, &self.weights, ctx.device, precision)
    }
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
        // The choice of a coreset depends on the last bits of the features, so it is made in f32
        // whatever the precision. The chosen rows are in the precision of the queries: rounded
        // weights shift both alike.
        let chooser = self.embedder(ctx, Precision::F32)?;
        let dim = chooser.dim();
        let mut plan = Plan::new(&self.params, good.len(), chooser.patches(), dim, ctx.memory)?;
        let scorer = match ctx.precision {
            Precision::F32 => None,
            precision => Some(self.embedder(ctx, precision)?),
        };
        // What would be kept are features in f32.
        plan.keep &= scorer.is_none();
        tracing::debug!(?plan, images = good.len(), dim, "patchcore");

        let stages = Stages { good, ctx };
        let (projected, kept) = stages.embed(&chooser, &plan, seed)?;
        let rows = Rows::new(&projected, plan.projected.unwrap_or(dim));
        let chosen = stages.choose(rows, &plan, seed)?;
        let bank = if plan.projected.is_none() && scorer.is_none() {
            coreset::gather(rows, &chosen)?
        } else if plan.keep {
            coreset::gather(Rows::new(&kept, dim), &chosen)?
        } else {
            // The budget counts the projected patches once; a second pass may need their memory.
            drop(projected);
            stages.embed_again(scorer.as_ref().unwrap_or(&chooser), &chosen)?
        };
        let origin = Origin {
            images: good.len(),
            patches: plan.patches,
            seed,
            precision: ctx.precision,
        };
        Ok(FittedPatchCore::new(
            self.params.clone(),
            origin,
            scorer.unwrap_or(chooser),
            bank,
            ctx.batch,
            Some(chosen),
        )?)
    }
}

/// The passes over the training images that make up a fit.
struct Stages<'a> {
    good: &'a TrainGood<'a>,
    ctx: &'a FitContext,
}

impl Stages<'_> {
    /// The projected patches of all images and, if the plan keeps them, the unprojected ones.
    fn embed(
        &self,
        embedder: &Embedder,
        plan: &Plan,
        seed: Seed,
    ) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        let dim = embedder.dim();
        let matrix = match plan.projected {
            Some(to) => {
                let matrix = projection::matrix(dim, to, seed.derive("projection"))?;
                Some(matrix.f_to_device(embedder.extractor.device())?)
            }
            None => None,
        };
        let mut projected = Vec::with_capacity(plan.patches * plan.projected.unwrap_or(dim));
        let mut kept = Vec::with_capacity(if plan.keep { plan.patches * dim } else { 0 });
        let images = Some(self.good.len() as u64);
        let task = self.ctx.progress.start("patchcore: features", images);
        for range in self.batches() {
            let rows = embedder.rows(&self.load(range.clone())?)?;
            if plan.keep {
                kept.extend(to_vec(&rows)?);
            }
            let short = match &matrix {
                Some(matrix) => tch::no_grad(|| rows.f_matmul(matrix))?,
                None => rows,
            };
            projected.extend(to_vec(&short)?);
            task.advance(range.len() as u64);
        }
        Ok((projected, kept))
    }

    /// Which patches make the bank.
    fn choose(&self, rows: Rows<'_>, plan: &Plan, seed: Seed) -> Result<Vec<usize>, ModelError> {
        let bank = Some(plan.bank as u64);
        let task = self.ctx.progress.start("patchcore: coreset", bank);
        let start = draw_below(plan.patches, seed.derive("coreset").rng());
        coreset::greedy(rows, plan.bank, start, &mut |n| {
            task.advance(n as u64);
            !self.ctx.cancel.is_cancelled()
        })
    }

    /// The embeddings of the chosen patches, K×D, from a second pass over the batches that contain
    /// any.
    fn embed_again(&self, embedder: &Embedder, chosen: &[usize]) -> Result<Tensor, ModelError> {
        let dim = embedder.dim();
        let images = Some(self.good.len() as u64);
        let task = self.ctx.progress.start("patchcore: memory bank", images);
        let mut bank = vec![0f32; chosen.len() * dim];
        for range in self.batches() {
            let first = range.start * embedder.patches();
            let patches = first..range.end * embedder.patches();
            if chosen.iter().any(|i| patches.contains(i)) {
                // The same batch as before: its size decides how libtorch computes, and so the
                // last bits of the features.
                let rows = to_vec(&embedder.rows(&self.load(range.clone())?)?)?;
                for (&i, row) in chosen.iter().zip(bank.chunks_exact_mut(dim)) {
                    if patches.contains(&i) {
                        row.copy_from_slice(Rows::new(&rows, dim).row(i - first));
                    }
                }
            }
            task.advance(range.len() as u64);
        }
        Ok(from_slice(&bank, &[chosen.len() as i64, dim as i64])?)
    }

    fn batches(&self) -> impl Iterator<Item = Range<usize>> {
        let count = self.good.len();
        let batch = self.ctx.batch.max(1);
        (0..count)
            .step_by(batch)
            .map(move |i| i..(i + batch).min(count))
    }

    /// A batch of images, unless the fit was cancelled.
    fn load(&self, range: Range<usize>) -> Result<Vec<Image>, ModelError> {
        check_cancelled(NAME, self.ctx)?;
        range.map(|i| load_good("training", self.good, i)).collect()
    }
}

/// A uniform number below `bound`: the upper half of a product, which needs no division and is
/// biased by less than bound/2⁶⁴.
fn draw_below(bound: usize, mut rng: impl rand::Rng) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_spread_over_all_rows() {
        let starts: Vec<usize> = (0..200).map(|s| draw_below(10, Seed(s).rng())).collect();
        assert!((0..10).all(|i| starts.contains(&i)));
    }
}
