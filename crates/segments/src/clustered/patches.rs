use super::field::Field;
use super::kmeans::{Points, distance, kmeans, nearest};
use super::stability::{FOLDS, SegmentCount};
use super::{ClusteredParams, ClusteredReport, names};
use crate::SegmentsError;
use rand::Rng;
use segad_core::{LabelMap, Seed};
use serde::{Deserialize, Serialize};

/// Runs of k-means, of which the best is kept; a single run where halves are compared.
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
    /// An empty sample for `images` images with features of `dim` channels; `most` patches in
    /// total.
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
        // Equally many of each image, so that no large image outvotes the rest.
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
    /// [`SegmentsError::Channels`] for a fraction of a place, or one image too many.
    pub fn push(&mut self, values: &[f32]) -> Result<(), SegmentsError> {
        if values.is_empty() || !values.len().is_multiple_of(self.dim) || self.pushed == self.images
        {
            return Err(SegmentsError::Channels {
                actual: values.len(),
                expected: self.dim,
                images: self.images,
            });
        }
        let places = values.len() / self.dim;
        let mut rng = self.seed.derive(&format!("image {}", self.pushed)).rng();
        // Neighbouring images share a fold, so that halves of the folds do not share a batch.
        let fold = (self.pushed * FOLDS.min(self.images) / self.images) as u8;
        // The first steps of a Fisher–Yates shuffle: distinct places, each with equal chance.
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

    /// Clusters the sample, in parallel in the caller's rayon pool; the result does not depend on
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
        let centred = less_mean(&self.values, &mean);
        let all = Points {
            values: &centred,
            dim: self.dim,
        };
        let folds = FOLDS.min(self.images);
        let SegmentCount {
            count,
            stability,
            notes,
        } = SegmentCount::choose(params, folds, seed, &|half, count, seed| {
            self.cluster_half(all, half, count, seed)
        });
        let centres = kmeans(all, count, RESTARTS, seed.derive("all")).centres;
        // The largest cluster first, since its number is all that its name says.
        let mut sizes = vec![0usize; count];
        for row in all.rows() {
            sizes[nearest(row, &centres).0] += 1;
        }
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
        let clusters = PatchClusters {
            schema: 1,
            mean,
            centres,
            names: names(count),
        };
        Ok((clusters, report))
    }

    /// Labels of all patches by centres learned from the folds of a half.
    fn cluster_half(&self, all: Points<'_>, half: &[bool], count: usize, seed: Seed) -> Vec<usize> {
        let rows = all.rows().zip(&self.folds);
        let values: Vec<f32> = rows
            .filter(|(_, fold)| half[usize::from(**fold)])
            .flat_map(|(row, _)| row.iter().copied())
            .collect();
        let own = Points {
            values: &values,
            dim: self.dim,
        };
        // A single run: for each number of segments, sixteen halves are clustered.
        let centres = kmeans(own, count, 1, seed).centres;
        all.rows().map(|row| nearest(row, &centres).0).collect()
    }

    fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.dim];
        for row in self.values.chunks_exact(self.dim) {
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += f64::from(v);
            }
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
        let centred = less_mean(values, &self.mean);
        let planes = self
            .centres
            .chunks_exact(dim)
            .map(|centre| {
                let rows = centred.chunks_exact(dim);
                rows.map(|row| distance(row, centre)).collect()
            })
            .collect();
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

/// Rows of features, each less `mean`.
fn less_mean(values: &[f32], mean: &[f32]) -> Vec<f32> {
    values
        .chunks_exact(mean.len())
        .flat_map(|row| row.iter().zip(mean).map(|(v, m)| v - m))
        .collect()
}
