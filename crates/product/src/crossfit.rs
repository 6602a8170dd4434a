//! Detectors fitted fold by fold, so that every image has maps by detectors that had not seen it.

use crate::detect::{Backbones, DetectorSettings, Maps};
use crate::error::{ProductError, Result};
use crate::fit::{Data, Item};
use crate::gauge::{Gauge, segment_maxima};
use rayon::prelude::*;
use segad_core::{FitContext, Image, Label, Sample, Seed, TrainSplit};
use segad_features::Scratch;

/// What is kept of one image's maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub features: Vec<f32>,
    /// Of each detector: the map's maximum, its mean, and its maximum within each segment.
    pub maxima: Vec<f32>,
    pub means: Vec<f32>,
    pub parts: Vec<Vec<f32>>,
}

pub(crate) struct Crossfit {
    /// One an image, in the order of the data.
    pub observed: Vec<Observed>,
    /// The detectors fitted on all good images.
    pub detectors: Vec<Box<dyn Maps>>,
}

/// What all folds share.
pub(crate) struct Plan<'a> {
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
    Detectors(Vec<Box<dyn Maps>>),
}

impl Plan<'_> {
    pub fn run(&self) -> Result<Crossfit> {
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
    /// for PatchCore's projected patches, the largest thing there is.
    fn parallel(&self) -> usize {
        let good = self
            .data
            .items
            .iter()
            .filter(|i| !i.sample.label.is_bad())
            .count() as u64;
        let side = self
            .detectors
            .first()
            .map_or(0, DetectorSettings::image_size) as u64
            / 8;
        let needed = 4 * 360 * good * side * side;
        let fit = self.ctx.memory / needed.max(1);
        rayon::current_num_threads()
            .min(usize::try_from(fit).unwrap_or(usize::MAX))
            .max(1)
    }

    /// Fits every detector on the good images outside `fold`.
    fn fit(&self, fold: Option<usize>) -> Result<Vec<Box<dyn Maps>>> {
        let kept = |(i, item): &(usize, &Item)| {
            item.sample.label == Label::Good && Some(self.folds[*i]) != fold
        };
        let samples: Vec<Sample> = self
            .data
            .items
            .iter()
            .enumerate()
            .filter(kept)
            .map(|(_, i)| i.sample.clone())
            .collect();
        let split = TrainSplit::new(samples)?;
        let good = split.good(self.data.loader);
        let ctx = FitContext {
            memory: self.ctx.memory / self.parallel() as u64,
            ..self.ctx.clone()
        };
        let fit =
            |d: &DetectorSettings| d.fit(self.backbones, &good, self.seed.derive(d.kind()), &ctx);
        self.detectors.iter().map(fit).collect()
    }

    fn fold(&self, fold: usize) -> Result<Vec<(usize, Observed)>> {
        let detectors = self.fit(Some(fold))?;
        let own: Vec<usize> = (0..self.folds.len())
            .filter(|&i| self.folds[i] == fold)
            .collect();
        let task = self
            .ctx
            .progress
            .start(&format!("fold {}: maps", fold + 1), Some(own.len() as u64));
        let mut scratch = Scratch::default();
        let mut rows = Vec::with_capacity(own.len());
        for i in own {
            if self.ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            let id = &self.data.items[i].sample.id;
            let failed = |source| ProductError::Image {
                id: id.to_string(),
                source,
            };
            let image = self.data.loader.load(id).map_err(failed)?;
            let seen = self.observe(&image, &detectors, &mut scratch);
            rows.push((i, seen.map_err(|e| failed(e.into()))?));
            task.advance(1);
        }
        Ok(rows)
    }

    fn observe(
        &self,
        image: &Image,
        detectors: &[Box<dyn Maps>],
        scratch: &mut Scratch,
    ) -> Result<Observed> {
        let maps = maps(detectors, self.detectors, image)?;
        let gauged = self.gauge.gauge(image, &maps, scratch)?;
        let mean = |values: &[f32]| {
            values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
        };
        Ok(Observed {
            features: gauged.features,
            maxima: maps.iter().map(|m| m.max()).collect(),
            means: maps.iter().map(|m| mean(m.values()) as f32).collect(),
            parts: maps
                .iter()
                .map(|m| segment_maxima(m, &gauged.segments))
                .collect::<Result<_>>()?,
        })
    }
}

/// One map a detector. Always one image at a time, so that neighbours in a batch cannot change a
/// bit.
pub(crate) fn maps(
    detectors: &[Box<dyn Maps>],
    settings: &[DetectorSettings],
    image: &Image,
) -> Result<Vec<segad_core::AnomalyMap>> {
    let mut all = Vec::with_capacity(detectors.len());
    for (detector, settings) in detectors.iter().zip(settings) {
        let mut maps = detector
            .maps(std::slice::from_ref(image))
            .map_err(|e| settings.failed(e))?;
        all.push(maps.pop().ok_or_else(|| settings.failed("no map".into()))?);
    }
    Ok(all)
}
