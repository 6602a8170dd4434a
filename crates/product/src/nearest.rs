//! Distances of tokens to the nearest good ones.

use crate::error::{ProductError, Result};
use crate::token_parts::Said;
use crate::tokens::ImageTokens;
use rayon::prelude::*;
use segad_core::{Device, FitContext};
use segad_heads::{Tokens, count_of, mean_of_largest};
use segad_nn::{NnError, from_slice, to_vec, torch_device};
use std::ops::Range;
use tch::Tensor;

/// Places whose mean distance is the score, of 256.
const SCORED: usize = 8;
/// Rows of a bank, about; each good image gives at least [`FEWEST`], at most [`MOST`].
const ROWS: usize = 16_384;
const FEWEST: usize = 16;
const MOST: usize = 64;

/// How many tokens of each of this many good images are kept.
pub(crate) fn kept_of(good: usize) -> usize {
    (ROWS / good.max(1)).clamp(FEWEST, MOST)
}

/// 1 − the largest cosine similarity to a good token, for each place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distances {
    /// Mean of the layers' similarities.
    pub all: Vec<f64>,
    /// The first layer by itself.
    pub first: Vec<f64>,
}

impl Distances {
    /// Score and map of an image.
    pub(crate) fn said(&self) -> Said {
        Said {
            score: mean_of_largest(&self.all, count_of(SCORED, self.all.len())),
            map: self.all.clone(),
        }
    }

    /// The largest distance of the first layer.
    pub(crate) fn top(&self) -> f64 {
        self.first.iter().fold(f64::NEG_INFINITY, |m, &d| m.max(d))
    }
}

/// Tokens of good images, of length 1, rounded to bf16 as a model file keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bank {
    rows: usize,
    /// Values and channels of each layer.
    layers: Vec<(Vec<f32>, usize)>,
}

impl Bank {
    /// Takes in the tokens at these places.
    pub(crate) fn push(&mut self, tokens: &ImageTokens, places: &[usize]) {
        if self.layers.is_empty() {
            self.layers = tokens
                .channels()
                .into_iter()
                .map(|c| (Vec::new(), c))
                .collect();
        }
        for ((rows, _), layer) in self.layers.iter_mut().zip(tokens.layers()) {
            for &place in places {
                let mut row = layer.at(place).to_vec();
                normalise(&mut row);
                rows.extend(row.into_iter().map(rounded));
            }
        }
        self.rows += places.len();
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// All values, bf16, layer after layer.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let values = self.layers.iter().flat_map(|(values, _)| values);
        values
            .flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes())
            .collect()
    }

    /// # Errors
    /// [`ProductError::Damaged`] for another number of bytes.
    pub(crate) fn from_bytes(bytes: &[u8], rows: usize, channels: &[usize]) -> Result<Self> {
        // A card may state any numbers.
        let width = channels
            .iter()
            .try_fold(0usize, |sum, &c| sum.checked_add(c));
        let size = width.and_then(|width| width.checked_mul(rows)?.checked_mul(2));
        if size != Some(bytes.len()) {
            let why = format!(
                "its tokens have {} bytes, not 2 for each of {channels:?} channels in {rows} rows",
                bytes.len()
            );
            return Err(ProductError::Damaged(why));
        }
        let mut values = bytes
            .chunks_exact(2)
            .map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16));
        let layers = channels
            .iter()
            .map(|&c| (values.by_ref().take(rows * c).collect(), c));
        Ok(Self {
            rows,
            layers: layers.collect(),
        })
    }

    pub(crate) fn open(&self, device: Device) -> Result<Search> {
        let device = torch_device(device)?;
        let mut layers = Vec::new();
        for (values, channels) in &self.layers {
            let rows = from_slice(values, &[self.rows as i64, *channels as i64])?;
            layers.push(
                rows.f_transpose(0, 1)
                    .map_err(NnError::from)?
                    .to_device(device),
            );
        }
        Ok(Search { layers, device })
    }
}

/// The nearest bf16 number; ties to even.
fn rounded(value: f32) -> f32 {
    let bits = value.to_bits();
    let up = 0x7fff + ((bits >> 16) & 1);
    f32::from_bits(bits.wrapping_add(up) & 0xffff_0000)
}

fn normalise(row: &mut [f32]) {
    let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    let length = square.sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter_mut()
        .for_each(|v| *v = (f64::from(*v) * scale) as f32);
}

/// A bank at work: a tensor C×rows a layer.
pub(crate) struct Search {
    layers: Vec<Tensor>,
    device: tch::Device,
}

impl Search {
    /// Distances to all rows but `skipped`.
    pub(crate) fn distances(
        &self,
        tokens: &ImageTokens,
        skipped: Range<usize>,
    ) -> std::result::Result<Distances, NnError> {
        let mut first = None;
        let mut sum: Option<Tensor> = None;
        for (bank, layer) in self.layers.iter().zip(tokens.layers()) {
            let similar = self.queries(layer)?.f_matmul(bank)?;
            if first.is_none() {
                first = Some(nearest(&similar, &skipped)?);
            }
            sum = Some(match sum {
                Some(sum) => sum.f_add(&similar)?,
                None => similar,
            });
        }
        let (Some(first), Some(sum)) = (first, sum) else {
            return Ok(Distances::default());
        };
        let mean = nearest(&sum, &skipped)?;
        let count = self.layers.len() as f64;
        Ok(Distances {
            all: mean.iter().map(|&s| 1.0 - f64::from(s) / count).collect(),
            first: first.iter().map(|&s| 1.0 - f64::from(s)).collect(),
        })
    }

    /// Tokens of length 1, places×C.
    fn queries(&self, layer: Tokens<'_>) -> std::result::Result<Tensor, NnError> {
        let mut values = Vec::with_capacity(layer.places() * layer.channels());
        for row in layer.rows() {
            let mut row = row.to_vec();
            normalise(&mut row);
            values.extend(row);
        }
        let size = [layer.places() as i64, layer.channels() as i64];
        Ok(from_slice(&values, &size)?.f_to_device(self.device)?)
    }
}

/// The largest value of each row over the columns outside of `skipped`.
fn nearest(similar: &Tensor, skipped: &Range<usize>) -> std::result::Result<Vec<f32>, NnError> {
    let columns = similar.size()[1] as usize;
    let mut best: Option<Tensor> = None;
    for kept in [0..skipped.start, skipped.end..columns] {
        if kept.is_empty() {
            continue;
        }
        let part = similar.f_narrow(1, kept.start as i64, kept.len() as i64)?;
        let most = part.f_amax([1i64].as_slice(), false)?;
        best = Some(match best {
            Some(best) => best.f_maximum(&most)?,
            None => most,
        });
    }
    let best = best.ok_or_else(|| NnError::Operator("a bank without a row".to_owned()))?;
    to_vec(&best)
}

/// The bank of all good images, and the distances of each image to the rows of other folds.
pub(crate) fn crossfit(
    tokens: &[ImageTokens],
    places: &[Vec<usize>],
    folds: &[usize],
    is_good: impl Fn(usize) -> bool,
    ctx: &FitContext,
) -> Result<(Bank, Vec<Distances>)> {
    let k = folds.iter().max().map_or(0, |last| last + 1);
    let mut bank = Bank::default();
    let mut rows_of = Vec::with_capacity(k);
    // Rows of a fold lie side by side, so that leaving it out leaves two slices.
    for fold in 0..k {
        let start = bank.rows();
        for i in (0..tokens.len()).filter(|&i| folds[i] == fold && is_good(i)) {
            bank.push(&tokens[i], &places[i]);
        }
        rows_of.push(start..bank.rows());
    }
    let task = ctx.progress.start("nearest tokens", None);
    let all: Vec<usize> = (0..tokens.len()).collect();
    let share = all.len().div_ceil(rayon::current_num_threads()).max(1);
    let parts = all.par_chunks(share).map(|own: &[usize]| {
        let search = bank.open(ctx.device)?;
        let mut found = Vec::with_capacity(own.len());
        for &i in own {
            if ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            found.push(search.distances(&tokens[i], rows_of[folds[i]].clone())?);
        }
        Ok(found)
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    drop(task);
    Ok((bank, parts.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_bf16() {
        // 1 + 2⁻⁷ is the next after 1; half-way goes to the even one, 1.
        assert_eq!(rounded(1.0 + 2f32.powi(-8)), 1.0);
        assert_eq!(rounded(1.0 + 3.0 * 2f32.powi(-8)), 1.0 + 2f32.powi(-6));
        assert_eq!(rounded(-0.3), -0.30078125);
    }

    #[test]
    fn a_bank_has_the_size_that_its_card_states() {
        assert!(Bank::from_bytes(&[0; 12], 2, &[1, 2]).is_ok());
        for (rows, channels) in [
            (2, vec![3, 1]),
            (1, vec![usize::MAX, 1]),
            (usize::MAX, vec![3]),
        ] {
            let found = Bank::from_bytes(&[0; 12], rows, &channels);
            assert!(
                matches!(found, Err(ProductError::Damaged(_))),
                "{rows} {channels:?}"
            );
        }
    }

    #[test]
    fn the_kept_share_follows_the_number_of_images() {
        assert_eq!((kept_of(10), kept_of(400), kept_of(5000)), (64, 40, 16));
    }
}
