use super::columns::{centred, correlation, put_scaled};
use super::field::Field;
use super::kmeans::{Points, distance, kmeans};
use super::stability::{FOLDS, SegmentCount};
use super::{ClusteredParams, ClusteredReport, names};
use crate::SegmentsError;
use segad_core::{LabelMap, Seed};

/// Runs of k-means, of which the best is kept.
const RESTARTS: usize = 8;

/// Sums over good images of every channel at every place of a grid, separately for folds of
/// neighbouring images.
#[derive(Clone, Debug)]
pub struct PlaceSums {
    height: usize,
    width: usize,
    groups: Vec<usize>,
    channels: usize,
    images: usize,
    pushed: usize,
    folds: Vec<Fold>,
}

#[derive(Clone, Debug)]
struct Fold {
    images: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

/// The one map and how it came about.
#[derive(Clone, Debug)]
pub struct PlaceMap {
    /// The map.
    pub map: LabelMap,
    /// Names of its segments.
    pub names: Vec<String>,
    /// How it came about.
    pub report: ClusteredReport,
}

impl PlaceSums {
    /// Sums for `images` images on a grid of `height` × `width` places. `groups` is the number of
    /// channels of each group (the backbone's features, each detector's map); every group has the
    /// same weight, however many channels it has.
    ///
    /// # Errors
    /// [`SegmentsError::TooFewGood`] for fewer than 4 images; [`SegmentsError::Parameter`] for a
    /// grid or group of size 0.
    pub fn new(
        height: usize,
        width: usize,
        groups: &[usize],
        images: usize,
    ) -> Result<Self, SegmentsError> {
        if images < 4 {
            return Err(SegmentsError::TooFewGood {
                found: images,
                needed: 4,
            });
        }
        if height == 0 || width == 0 || groups.is_empty() || groups.contains(&0) {
            return Err(SegmentsError::Parameter {
                name: "grid",
                value: format!("{height}×{width}, channels {groups:?}"),
                expected: "at least one place, one group and one channel in each",
            });
        }
        let channels = groups.iter().sum();
        let size = height * width * channels;
        let fold = Fold {
            images: 0,
            sums: vec![0.0; size],
            squares: vec![0.0; size],
        };
        let folds = vec![fold; FOLDS.min(images)];
        Ok(Self {
            height,
            width,
            groups: groups.to_vec(),
            channels,
            images,
            pushed: 0,
            folds,
        })
    }

    /// Adds the next image: for each place, row-major, the channels of all groups.
    ///
    /// # Errors
    /// [`SegmentsError::Channels`] for a wrong number of values, or one image too many.
    pub fn push(&mut self, values: &[f32]) -> Result<(), SegmentsError> {
        let expected = self.height * self.width * self.channels;
        if values.len() != expected || self.pushed == self.images {
            return Err(SegmentsError::Channels {
                actual: values.len(),
                expected,
                images: self.images,
            });
        }
        // Neighbouring images share a fold, so that halves of the folds do not share a batch.
        let fold = self.pushed * self.folds.len() / self.images;
        let fold = &mut self.folds[fold];
        for ((sum, square), &v) in fold.sums.iter_mut().zip(&mut fold.squares).zip(values) {
            // The spread is a difference of large sums, which `f32` would lose.
            let v = f64::from(v);
            *sum += v;
            *square += v * v;
        }
        fold.images += 1;
        self.pushed += 1;
        Ok(())
    }

    /// Clusters the places into a map of `map_height` × `map_width` pixels. Runs in parallel in the
    /// caller's rayon pool; the result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`SegmentsError::TooFewGood`] if fewer images were added than announced;
    /// [`SegmentsError::Parameter`].
    pub fn cluster(
        &self,
        params: &ClusteredParams,
        map_height: usize,
        map_width: usize,
        seed: Seed,
    ) -> Result<PlaceMap, SegmentsError> {
        params.check()?;
        if self.pushed < self.images {
            return Err(SegmentsError::TooFewGood {
                found: self.pushed,
                needed: self.images,
            });
        }
        let seed = seed.derive("clustered segments");
        let weights = self.reliability();
        let SegmentCount {
            count,
            stability,
            mut notes,
        } = SegmentCount::choose(params, self.folds.len(), seed, &|half, count, seed| {
            let field = self.field(params, half, &weights, count, seed);
            field.labels(&(0..count).collect::<Vec<_>>())
        });
        let all = vec![true; self.folds.len()];
        let (labels, kept) = self
            .field(params, &all, &weights, count, seed.derive("all"))
            .enlarged(map_height, map_width)
            .labels_without_small(&mut notes);
        Ok(PlaceMap {
            map: LabelMap::new(map_height, map_width, labels, kept as u8)?,
            names: names(kept),
            report: ClusteredReport {
                images: self.images,
                segments: kept,
                stability,
                notes,
            },
        })
    }

    /// Smoothed distances of all places to centres learned from the chosen folds.
    fn field(
        &self,
        params: &ClusteredParams,
        chosen: &[bool],
        weights: &[Vec<f64>; 2],
        count: usize,
        seed: Seed,
    ) -> Field {
        let (values, dim) = self.columns(chosen, weights, params.position);
        let points = Points {
            values: &values,
            dim,
        };
        let planes = kmeans(points, count, RESTARTS, seed)
            .centres
            .chunks_exact(dim)
            .map(|centre| points.rows().map(|row| distance(row, centre)).collect())
            .collect();
        let field = Field {
            height: self.height,
            width: self.width,
            planes,
        };
        field.blurred(params.smooth * self.height.min(self.width) as f64)
    }

    /// Means and spreads of each channel at each place, over the images of the chosen folds.
    fn moments(&self, chosen: &[bool]) -> [Vec<f64>; 2] {
        let size = self.height * self.width * self.channels;
        let mut sums = vec![0.0; size];
        let mut squares = vec![0.0; size];
        let mut images = 0;
        for (fold, _) in self.folds.iter().zip(chosen).filter(|(_, c)| **c) {
            add(&mut sums, &fold.sums);
            add(&mut squares, &fold.squares);
            images += fold.images;
        }
        let n = images.max(1) as f64;
        let means: Vec<f64> = sums.iter().map(|s| s / n).collect();
        // Rounding can push the difference of two nearly equal numbers below 0.
        let spreads = means
            .iter()
            .zip(&squares)
            .map(|(m, q)| (q / n - m * m).max(0.0).sqrt())
            .collect();
        [means, spreads]
    }

    /// How far the groups' patterns repeat from one half of the images to the other: correlation
    /// over places and channels, 0 where it is negative. First the means of each group, then the
    /// spreads.
    fn reliability(&self) -> [Vec<f64>; 2] {
        // Every other fold, so that a slow drift over the images affects both halves alike.
        let odd: Vec<bool> = (0..self.folds.len()).map(|i| i % 2 == 1).collect();
        let even: Vec<bool> = odd.iter().map(|o| !o).collect();
        let a = self.moments(&even);
        let b = self.moments(&odd);
        [0, 1].map(|i| {
            self.group_starts()
                .map(|(first, count)| {
                    let x = centred(&a[i], self.channels, first, count);
                    let y = centred(&b[i], self.channels, first, count);
                    // What one half of the images does not confirm is noise, and gets no weight.
                    correlation(&x, &y).max(0.0)
                })
                .collect()
        })
    }

    /// The first channel of each group and their number.
    fn group_starts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.groups.iter().scan(0, |next, &count| {
            let first = *next;
            *next += count;
            Some((first, count))
        })
    }

    /// The table that is clustered: one row per place, with means, spreads and the position. The
    /// total variance of a group is the square of its weight. A weight is how far the group's
    /// pattern repeats, so that noise has no influence.
    fn columns(
        &self,
        chosen: &[bool],
        weights: &[Vec<f64>; 2],
        position: f64,
    ) -> (Vec<f32>, usize) {
        let dim = 2 * self.channels + 2;
        let mut out = vec![0.0f32; self.height * self.width * dim];
        for (i, table) in self.moments(chosen).iter().enumerate() {
            for ((first, count), &weight) in self.group_starts().zip(&weights[i]) {
                let columns = centred(table, self.channels, first, count);
                put_scaled(
                    &mut out,
                    dim,
                    i * self.channels + first,
                    &columns,
                    count,
                    weight,
                );
            }
        }
        let positions: Vec<f64> = (0..self.height * self.width)
            .flat_map(|i| [(i % self.width) as f64, (i / self.width) as f64])
            .collect();
        let columns = centred(&positions, 2, 0, 2);
        put_scaled(&mut out, dim, 2 * self.channels, &columns, 2, position);
        (out, dim)
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, v) in sums.iter_mut().zip(values) {
        *sum += v;
    }
}
