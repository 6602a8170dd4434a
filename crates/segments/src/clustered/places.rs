use super::field::Field;
use super::kmeans::{Points, distance, kmeans};
use super::stability::{FOLDS, choose, measure};
use super::{ClusteredParams, ClusteredReport, names};
use crate::{SMALL_SEGMENT, SegmentsError};
use segad_core::{LabelMap, Seed};

/// Runs of k-means, of which the best counts.
const RESTARTS: usize = 8;

/// Sums over good images of every channel at every place of a grid, kept apart in folds of
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
    /// channels of each group (the backbone's features, each detector's map); groups weigh alike,
    /// however many channels they have.
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
    /// [`SegmentsError::Channels`] for another number of values, or one image too many.
    pub fn push(&mut self, values: &[f32]) -> Result<(), SegmentsError> {
        let expected = self.height * self.width * self.channels;
        if values.len() != expected || self.pushed == self.images {
            return Err(SegmentsError::Channels {
                actual: values.len(),
                expected,
                images: self.images,
            });
        }
        let fold = self.pushed * self.folds.len() / self.images;
        let fold = &mut self.folds[fold];
        for ((sum, square), &v) in fold.sums.iter_mut().zip(&mut fold.squares).zip(values) {
            let v = f64::from(v);
            *sum += v;
            *square += v * v;
        }
        fold.images += 1;
        self.pushed += 1;
        Ok(())
    }

    /// Clusters the places into a map of `map_height` × `map_width` pixels. Runs side by side in
    /// the caller's rayon pool; the result does not depend on the number of threads.
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
        let sigma = params.smooth * self.height.min(self.width) as f64;
        let weights = self.reliability();
        let field = |half: &[bool], count: usize, seed: Seed| {
            let (values, dim) = self.columns(half, &weights, params.position);
            let points = Points {
                values: &values,
                dim,
            };
            let centres = kmeans(points, count, RESTARTS, seed).centres;
            let plane = |c: &[f32]| {
                (0..points.len())
                    .map(|i| distance(points.row(i), c))
                    .collect()
            };
            let planes = centres.chunks_exact(dim).map(plane).collect();
            Field {
                height: self.height,
                width: self.width,
                planes,
            }
            .blurred(sigma)
        };
        let label = |half: &[bool], count: usize, seed: Seed| {
            field(half, count, seed).labels(&(0..count).collect::<Vec<_>>())
        };
        let (mut stability, mut notes) = (Vec::new(), Vec::new());
        let count = match params.segments {
            Some(count) => count,
            None => {
                stability = measure(params, self.folds.len(), seed, &label);
                let (count, note) = choose(&stability, params.stability);
                notes.extend(note);
                count
            }
        };
        let all = vec![true; self.folds.len()];
        let large = field(&all, count, seed.derive("all")).enlarged(map_height, map_width);
        let (labels, kept) = without_small(&large, &mut notes);
        let labels = in_order(labels);
        let names = names(kept);
        let map = LabelMap::new(map_height, map_width, labels, kept as u8)?;
        let report = ClusteredReport {
            images: self.images,
            segments: kept,
            stability,
            notes,
        };
        Ok(PlaceMap { map, names, report })
    }

    /// Means and spreads of each channel at each place, over the images of the chosen folds.
    fn moments(&self, chosen: &[bool]) -> [Vec<f64>; 2] {
        let size = self.height * self.width * self.channels;
        let (mut sums, mut squares, mut n) = (vec![0.0; size], vec![0.0; size], 0usize);
        for (fold, _) in self.folds.iter().zip(chosen).filter(|(_, c)| **c) {
            sums.iter_mut().zip(&fold.sums).for_each(|(a, b)| *a += b);
            squares
                .iter_mut()
                .zip(&fold.squares)
                .for_each(|(a, b)| *a += b);
            n += fold.images;
        }
        let n = n.max(1) as f64;
        let means: Vec<f64> = sums.iter().map(|s| s / n).collect();
        let spread = |(m, q): (&f64, &f64)| (q / n - m * m).max(0.0).sqrt();
        let spreads = means.iter().zip(&squares).map(spread).collect();
        [means, spreads]
    }

    /// How far the groups' patterns repeat from one half of the images to the other: correlation
    /// over places and channels, 0 where it is negative. First the means of each group, then the
    /// spreads.
    fn reliability(&self) -> [Vec<f64>; 2] {
        let odd: Vec<bool> = (0..self.folds.len()).map(|i| i % 2 == 1).collect();
        let even: Vec<bool> = odd.iter().map(|o| !o).collect();
        let (a, b) = (self.moments(&even), self.moments(&odd));
        [0, 1].map(|i| {
            let mut first = 0;
            let mut one = |&count: &usize| {
                let [x, y] =
                    [&a[i], &b[i]].map(|table| self.centred(table, self.channels, first, count));
                first += count;
                let product =
                    |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                let (xx, yy) = (product(&x, &x), product(&y, &y));
                if xx > 0.0 && yy > 0.0 {
                    (product(&x, &y) / (xx * yy).sqrt()).max(0.0)
                } else {
                    0.0
                }
            };
            self.groups.iter().map(&mut one).collect()
        })
    }

    /// `count` columns of `table` (rows of `stride`, from `first` on), each less its mean over
    /// places.
    fn centred(&self, table: &[f64], stride: usize, first: usize, count: usize) -> Vec<f64> {
        let places = self.height * self.width;
        let part = |row: &[f64]| row[first..first + count].to_vec();
        let mut out: Vec<f64> = table.chunks_exact(stride).flat_map(part).collect();
        for c in 0..count {
            let mean = out.iter().skip(c).step_by(count).sum::<f64>() / places as f64;
            let size = out
                .iter()
                .skip(c)
                .step_by(count)
                .map(|v| v.abs())
                .fold(0.0, f64::max);
            for v in out.iter_mut().skip(c).step_by(count) {
                *v -= mean;
                // Rounding of a constant column is no structure.
                if v.abs() <= 1e-9 * size {
                    *v = 0.0;
                }
            }
        }
        out
    }

    /// The table that is clustered: a row per place; means, spreads and the position. A group's
    /// total variance is the square of its weight; weights are how far a group's pattern repeats,
    /// so that noise counts for nothing.
    fn columns(
        &self,
        chosen: &[bool],
        weights: &[Vec<f64>; 2],
        position: f64,
    ) -> (Vec<f32>, usize) {
        let places = self.height * self.width;
        let moments = self.moments(chosen);
        let dim = 2 * self.channels + 2;
        let mut out = vec![0.0f32; places * dim];
        let mut put = |centred: &[f64], to: usize, weight: f64| {
            let count = centred.len() / places;
            let deviation = (centred.iter().map(|v| v * v).sum::<f64>() / places as f64).sqrt();
            let factor = if deviation > 0.0 {
                weight / deviation
            } else {
                0.0
            };
            for (row, from) in out.chunks_exact_mut(dim).zip(centred.chunks_exact(count)) {
                row[to..to + count]
                    .iter_mut()
                    .zip(from)
                    .for_each(|(o, v)| *o = (v * factor) as f32);
            }
        };
        for (i, table) in moments.iter().enumerate() {
            let mut first = 0;
            for (&count, &weight) in self.groups.iter().zip(&weights[i]) {
                put(
                    &self.centred(table, self.channels, first, count),
                    i * self.channels + first,
                    weight,
                );
                first += count;
            }
        }
        let at = |i: usize| [(i % self.width) as f64, (i / self.width) as f64];
        let positions: Vec<f64> = (0..places).flat_map(at).collect();
        put(
            &self.centred(&positions, 2, 0, 2),
            2 * self.channels,
            position,
        );
        (out, dim)
    }
}

/// Labels of the pixels, where segments of fewer than [`SMALL_SEGMENT`] pixels fell to their
/// neighbours one after the other, and the number of segments that are left.
fn without_small(field: &Field, notes: &mut Vec<String>) -> (Vec<usize>, usize) {
    let mut kept: Vec<usize> = (0..field.planes.len()).collect();
    loop {
        let labels = field.labels(&kept);
        let area = |k: usize| labels.iter().filter(|&&l| l == k).count();
        let smallest = kept.iter().map(|&k| (area(k), k)).min();
        match smallest {
            Some((pixels, k)) if pixels < SMALL_SEGMENT && kept.len() > 1 => {
                notes.push(format!(
                    "a cluster of {pixels} pixels, fewer than {SMALL_SEGMENT}, was given to its neighbours"
                ));
                kept.retain(|&other| other != k);
            }
            _ => return (labels, kept.len()),
        }
    }
}

/// Labels numbered in the order in which they first appear.
fn in_order(labels: Vec<usize>) -> Vec<u8> {
    let mut number: Vec<usize> = Vec::new();
    let mut one = |label: usize| {
        let known = number.iter().position(|&l| l == label);
        known.unwrap_or_else(|| {
            number.push(label);
            number.len() - 1
        }) as u8
    };
    labels.into_iter().map(&mut one).collect()
}
