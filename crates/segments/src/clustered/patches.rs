use super::field::Field;
use super::kmeans::{Points, distance, kmeans, nearest};
use super::stability::{FOLDS, choose, measure};
use super::{ClusteredParams, ClusteredReport, names};
use crate::SegmentsError;
use rand::Rng;
use segad_core::{LabelMap, Seed};
use serde::{Deserialize, Serialize};

/// Runs of k-means, of which the best counts; fewer where halves are compared.
const RESTARTS: usize = 4;

/// Features of patches drawn from good images.
#[derive(Clone, Debug)]
pub struct PatchSample {
    dim: usize,
    images: usize,
    pushed: usize,
    each: usize,
    seed: Seed,
    values: Vec<f32>,
    folds: Vec<u8>,
}

/// Learned clusters of patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchClusters {
    /// Format of this file.
    pub schema: u32,
    /// Mean of each channel over the sample.
    pub mean: Vec<f32>,
    /// Centres, row after row, of features less their mean.
    pub centres: Vec<f32>,
    /// Names of the segments, in the order of the centres.
    pub names: Vec<String>,
}

impl PatchSample {
    /// An empty sample for `images` images with features of `dim` channels; `most` patches in all.
    ///
    /// # Errors
    /// [`SegmentsError::TooFewGood`] for fewer than 4 images.
    pub fn new(dim: usize, images: usize, most: usize, seed: Seed) -> Result<Self, SegmentsError> {
        if images < 4 {
            return Err(SegmentsError::TooFewGood {
                found: images,
                needed: 4,
            });
        }
        let each = (most / images).max(1);
        let seed = seed.derive("clustered patches");
        Ok(Self {
            dim,
            images,
            pushed: 0,
            each,
            seed,
            values: Vec::new(),
            folds: Vec::new(),
        })
    }

    /// Draws patches of the next image; `values` holds the channels of each of its places.
    ///
    /// # Errors
    /// [`SegmentsError::Channels`] for no whole number of places, or one image too many.
    pub fn push(&mut self, values: &[f32]) -> Result<(), SegmentsError> {
        if values.is_empty() || !values.len().is_multiple_of(self.dim) || self.pushed == self.images
        {
            let (actual, expected) = (values.len(), self.dim);
            return Err(SegmentsError::Channels {
                actual,
                expected,
                images: self.images,
            });
        }
        let places = values.len() / self.dim;
        let mut rng = self.seed.derive(&format!("image {}", self.pushed)).rng();
        let fold = (self.pushed * FOLDS.min(self.images) / self.images) as u8;
        let mut order: Vec<usize> = (0..places).collect();
        for i in 0..self.each.min(places) {
            order.swap(i, i + (rng.next_u64() % (places - i) as u64) as usize);
            self.values
                .extend_from_slice(&values[order[i] * self.dim..(order[i] + 1) * self.dim]);
            self.folds.push(fold);
        }
        self.pushed += 1;
        Ok(())
    }

    /// Clusters the sample, side by side in the caller's rayon pool; the result does not depend on
    /// the number of threads.
    ///
    /// # Errors
    /// [`SegmentsError::TooFewGood`] if fewer images were added than announced;
    /// [`SegmentsError::Parameter`].
    pub fn cluster(
        &self,
        params: &ClusteredParams,
        seed: Seed,
    ) -> Result<(PatchClusters, ClusteredReport), SegmentsError> {
        params.check()?;
        if self.pushed < self.images {
            return Err(SegmentsError::TooFewGood {
                found: self.pushed,
                needed: self.images,
            });
        }
        let seed = seed.derive("clustered segments");
        let mean = self.mean();
        let centred: Vec<f32> = self
            .values
            .chunks_exact(self.dim)
            .flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m))
            .collect();
        let all = Points {
            values: &centred,
            dim: self.dim,
        };
        let label = |half: &[bool], count: usize, seed: Seed| {
            let own = self
                .folds
                .iter()
                .enumerate()
                .filter(|(_, f)| half[usize::from(**f)]);
            let values: Vec<f32> = own.flat_map(|(i, _)| all.row(i).iter().copied()).collect();
            let centres = kmeans(
                Points {
                    values: &values,
                    dim: self.dim,
                },
                count,
                1,
                seed,
            )
            .centres;
            (0..all.len())
                .map(|i| nearest(all.row(i), &centres).0)
                .collect()
        };
        let (mut stability, mut notes) = (Vec::new(), Vec::new());
        let count = match params.segments {
            Some(count) => count,
            None => {
                stability = measure(params, FOLDS.min(self.images), seed, &label);
                let (count, note) = choose(&stability, params.stability);
                notes.extend(note);
                count
            }
        };
        let centres = kmeans(all, count, RESTARTS, seed.derive("all")).centres;
        // The largest cluster first, as its name says nothing else.
        let mut sizes = vec![0usize; count];
        (0..all.len()).for_each(|i| sizes[nearest(all.row(i), &centres).0] += 1);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&k| std::cmp::Reverse(sizes[k]));
        let centres = order
            .iter()
            .flat_map(|&k| centres[k * self.dim..(k + 1) * self.dim].to_vec())
            .collect();
        let report = ClusteredReport {
            images: self.images,
            segments: count,
            stability,
            notes,
        };
        Ok((
            PatchClusters {
                schema: 1,
                mean,
                centres,
                names: names(count),
            },
            report,
        ))
    }

    fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.dim];
        for row in self.values.chunks_exact(self.dim) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(s, &v)| *s += f64::from(v));
        }
        let n = self.folds.len().max(1) as f64;
        sums.into_iter().map(|s| (s / n) as f32).collect()
    }
}

impl PatchClusters {
    /// The label map of an image from its features on a grid, channels innermost. `smooth` is the
    /// spread of the smoothing as a share of the grid's shorter side.
    ///
    /// # Errors
    /// [`SegmentsError::Channels`] unless `values` fits the grid.
    pub fn label_map(
        &self,
        values: &[f32],
        grid: (usize, usize),
        smooth: f64,
        height: usize,
        width: usize,
    ) -> Result<LabelMap, SegmentsError> {
        let dim = self.mean.len();
        let expected = grid.0 * grid.1 * dim;
        if values.len() != expected || expected == 0 {
            return Err(SegmentsError::Channels {
                actual: values.len(),
                expected,
                images: 1,
            });
        }
        let centred: Vec<f32> = values
            .chunks_exact(dim)
            .flat_map(|row| row.iter().zip(&self.mean).map(|(v, m)| v - m))
            .collect();
        let plane = |c: &[f32]| {
            centred
                .chunks_exact(dim)
                .map(|row| distance(row, c))
                .collect()
        };
        let planes = self.centres.chunks_exact(dim).map(plane).collect();
        let field = Field {
            height: grid.0,
            width: grid.1,
            planes,
        };
        let sigma = smooth * grid.0.min(grid.1) as f64;
        let kept: Vec<usize> = (0..self.names.len()).collect();
        let labels = field.blurred(sigma).enlarged(height, width).labels(&kept);
        let labels = labels.into_iter().map(|l| l as u8).collect();
        Ok(LabelMap::new(
            height,
            width,
            labels,
            self.names.len() as u8,
        )?)
    }
}
