//! Detectors fitted fold by fold, so that every image has maps by detectors that had not seen it.

use crate::backbones::Backbones;
use crate::data::Data;
use crate::error::{ProductError, Result};
use crate::gauge::{Gauge, segment_maxima};
use rayon::prelude::*;
use segad_core::{AnomalyMap, FitContext, Image, Sample, Seed, TrainGood, TrainSplit};
use segad_features::Scratch;
use segad_methods::{Detector, DetectorSettings, folds};

/// What is kept of one image's maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub features: Vec<f32>,
    /// Of each detector: its own score, the map's maximum, its mean, and its maximum within each
    /// segment.
    pub own: Vec<f32>,
    pub maxima: Vec<f32>,
    pub means: Vec<f32>,
    pub parts: Vec<Vec<f32>>,
}

pub(crate) struct Crossfit {
    /// One an image, in the order of the data.
    pub observed: Vec<Observed>,
    /// The detectors fitted on all good images.
    pub detectors: Vec<Box<dyn Detector>>,
}

/// What all folds share.
pub(crate) struct CrossfitPlan<'a> {
    pub data: &'a Data<'a>,
    pub folds: &'a [usize],
    pub k: usize,
    pub detectors: &'a [DetectorSettings],
    pub backbones: &'a Backbones,
    pub gauge: &'a Gauge,
    pub seed: Seed,
    pub ctx: &'a FitContext,
}

enum Part {
    Rows(Vec<(usize, Observed)>),
    Detectors(Vec<Box<dyn Detector>>),
}

impl CrossfitPlan<'_> {
    pub(crate) fn run(&self) -> Result<Crossfit> {
        // The last job is the fit on all good images. The longest jobs come first.
        let jobs: Vec<Option<usize>> = std::iter::once(None).chain((0..self.k).map(Some)).collect();
        let mut parts = Vec::with_capacity(jobs.len());
        for side_by_side in jobs.chunks(self.parallel()) {
            let done = side_by_side.par_iter().map(|fold| match fold {
                None => Ok(Part::Detectors(self.fit(None)?)),
                Some(fold) => Ok(Part::Rows(self.fold(*fold)?)),
            });
            parts.extend(done.collect::<Result<Vec<Part>>>()?);
        }
        let mut observed = vec![Observed::default(); self.data.items.len()];
        let mut detectors = Vec::new();
        for part in parts {
            match part {
                Part::Rows(rows) => rows.into_iter().for_each(|(i, o)| observed[i] = o),
                Part::Detectors(all) => detectors = all,
            }
        }
        Ok(Crossfit {
            observed,
            detectors,
        })
    }

    /// How many folds are worked on at a time: each may take its part of the memory, which must do
    /// for PatchCore's projected patches, the largest thing there is: 360 f32 for each of the
    /// (side/8)² places of a good image.
    fn parallel(&self) -> usize {
        let good = self.data.good().len() as u64;
        let side = self.detectors[0].image_size() as u64 / 8;
        // Bytes of a memory bank before its coreset: f32, some 360 channels, a patch per 8 pixels.
        let needed = 4 * 360 * good * side * side;
        let side_by_side = self.ctx.memory / needed.max(1);
        rayon::current_num_threads()
            .min(usize::try_from(side_by_side).unwrap_or(usize::MAX))
            .max(1)
    }

    /// Fits every detector on the good images outside `fold`.
    fn fit(&self, fold: Option<usize>) -> Result<Vec<Box<dyn Detector>>> {
        let items = self.data.items.iter().zip(self.folds);
        let kept = items.filter(|(item, own)| !item.is_bad() && Some(**own) != fold);
        let samples: Vec<Sample> = kept.map(|(item, _)| item.sample.clone()).collect();
        let split = TrainSplit::new(samples)?;
        let good = split.good(self.data.loader);
        let ctx = FitContext {
            // The budget is that of the process, which runs so many fits at a time.
            memory: self.ctx.memory / self.parallel() as u64,
            ..self.ctx.clone()
        };
        let detectors = self.detectors.iter();
        detectors.map(|d| self.fit_one(d, &good, &ctx)).collect()
    }

    fn fit_one(
        &self,
        detector: &DetectorSettings,
        good: &TrainGood<'_>,
        ctx: &FitContext,
    ) -> Result<Box<dyn Detector>> {
        if ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        // By kind, so that adding a detector leaves the others as they are.
        let seed = self.seed.derive(detector.kind());
        let fitted = detector.fit(self.backbones, good, None, seed, ctx);
        fitted.map_err(|e| {
            // What a detector says when it is stopped is its own.
            if ctx.cancel.is_cancelled() {
                ProductError::Cancelled
            } else {
                ProductError::detector(detector.kind(), e)
            }
        })
    }

    fn fold(&self, fold: usize) -> Result<Vec<(usize, Observed)>> {
        let detectors = self.fit(Some(fold))?;
        let (own, _) = folds::split(self.folds, fold);
        let name = format!("fold {}: maps", fold + 1);
        let task = self.ctx.progress.start(&name, Some(own.len() as u64));
        let mut scratch = Scratch::default();
        let mut rows = Vec::with_capacity(own.len());
        for i in own {
            if self.ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            let item = &self.data.items[i];
            let image = self.data.load(item)?;
            let seen = self.observe(&image, &detectors, &mut scratch);
            rows.push((i, seen.map_err(|e| item.failed(e))?));
            task.advance(1);
        }
        Ok(rows)
    }

    fn observe(
        &self,
        image: &Image,
        detectors: &[Box<dyn Detector>],
        scratch: &mut Scratch,
    ) -> Result<Observed> {
        let maps = maps(detectors, self.detectors, image)?;
        let gauged = self.gauge.gauge(image, &maps, scratch)?;
        let mut parts = Vec::with_capacity(maps.len());
        for map in &maps {
            parts.push(segment_maxima(map, &gauged.segments)?);
        }
        Ok(Observed {
            features: gauged.features,
            own: maps
                .iter()
                .zip(self.detectors)
                .map(|(map, settings)| settings.map_score().of(map))
                .collect(),
            maxima: maps.iter().map(AnomalyMap::max).collect(),
            means: maps.iter().map(|m| mean(m.values())).collect(),
            parts,
        })
    }
}

fn mean(values: &[f32]) -> f32 {
    // In f64: a million small numbers in f32 would lose digits.
    let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
    (sum / values.len() as f64) as f32
}

/// One map a detector. Always one image at a time, so that neighbours in a batch cannot change a
/// bit.
pub(crate) fn maps(
    detectors: &[Box<dyn Detector>],
    settings: &[DetectorSettings],
    image: &Image,
) -> Result<Vec<AnomalyMap>> {
    let mut all = Vec::with_capacity(detectors.len());
    for (detector, settings) in detectors.iter().zip(settings) {
        let maps = detector.maps(std::slice::from_ref(image));
        let maps = maps.map_err(|e| ProductError::detector(settings.kind(), e))?;
        all.extend(maps);
    }
    Ok(all)
}
