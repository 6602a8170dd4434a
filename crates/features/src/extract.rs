use crate::name::Measure;
use crate::{CheckedFeatureParams, FeatureError, FeatureName, Scratch, SegmentIndex, Statistics};
use rayon::prelude::*;
use segad_core::{AnomalyMap, FeatureTable, ImageId};
use std::collections::HashSet;

/// Turns the anomaly maps of an image into a row of features.
#[derive(Clone, Debug)]
pub struct FeatureExtractor {
    params: CheckedFeatureParams,
    detectors: Vec<String>,
    segments: usize,
    names: Vec<FeatureName>,
}

/// One image: one map per detector, in the order of the detectors, and its segments.
#[derive(Clone, Debug)]
pub struct ImageMaps<'a> {
    /// Which image.
    pub id: &'a ImageId,
    /// One map per detector, all of the size of the label map.
    pub maps: Vec<&'a AnomalyMap>,
    /// The segments; one index may serve all images.
    pub segments: &'a SegmentIndex,
}

impl FeatureExtractor {
    /// An extractor for these detectors and segments, in this order. Columns: for each segment, for
    /// each detector, its statistics; then, if requested, one global maximum per detector.
    ///
    /// # Errors
    /// [`FeatureError::NoName`], [`FeatureError::Name`] or [`FeatureError::Twice`].
    pub fn new(
        params: CheckedFeatureParams,
        detectors: &[String],
        segments: &[String],
    ) -> Result<Self, FeatureError> {
        check_names("detector", detectors)?;
        check_names("segment", segments)?;
        let mut names = Vec::new();
        for segment in segments {
            for detector in detectors {
                names.extend(params.statistics.iter().map(|&s| FeatureName::Segment {
                    segment: segment.clone(),
                    detector: detector.clone(),
                    measure: Measure::new(s, &params),
                }));
            }
        }
        if params.global_max {
            names.extend(detectors.iter().map(|d| FeatureName::GlobalMax {
                detector: d.clone(),
            }));
        }
        Ok(Self {
            params,
            detectors: detectors.to_vec(),
            segments: segments.len(),
            names,
        })
    }

    /// What each column holds.
    pub fn names(&self) -> &[FeatureName] {
        &self.names
    }

    /// The column names as text.
    pub fn columns(&self) -> Vec<String> {
        self.names.iter().map(FeatureName::to_string).collect()
    }

    /// The features of one image, as many as [`FeatureExtractor::names`]; computed in `f64`,
    /// rounded to `f32` at the end as XGBoost does. NaN is "missing".
    ///
    /// # Errors
    /// [`FeatureError::Maps`], [`FeatureError::Segments`] or [`FeatureError::Size`].
    pub fn row(
        &self,
        maps: &[&AnomalyMap],
        segments: &SegmentIndex,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>, FeatureError> {
        let mut row = vec![0.0; self.names.len()];
        self.fill(maps, segments, scratch, &mut row)?;
        Ok(row)
    }

    /// The features of many images, row after row, computed side by side in the rayon pool that the
    /// caller is in (`ThreadPool::install`); the result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`FeatureError::Image`] naming the first bad image in order.
    pub fn rows(&self, images: &[ImageMaps<'_>]) -> Result<Vec<f32>, FeatureError> {
        let mut values = vec![0.0; images.len() * self.names.len()];
        // Collected before the first error is looked for, so that it is the first in the order of
        // the images and not in that of the threads.
        let outcomes: Vec<Result<(), FeatureError>> = values
            .par_chunks_mut(self.names.len())
            .zip(images)
            .map_init(Scratch::default, |scratch, (row, image)| {
                self.fill(&image.maps, image.segments, scratch, row)
            })
            .collect();
        for (outcome, image) in outcomes.into_iter().zip(images) {
            outcome.map_err(|e| FeatureError::Image {
                image: image.id.clone(),
                source: Box::new(e),
            })?;
        }
        Ok(values)
    }

    fn fill(
        &self,
        maps: &[&AnomalyMap],
        segments: &SegmentIndex,
        scratch: &mut Scratch,
        row: &mut [f32],
    ) -> Result<(), FeatureError> {
        self.check(maps, segments)?;
        let wanted = &self.params.statistics;
        let level = self.params.quantile;
        let numerics = self.params.numerics;
        let mut cells = row.iter_mut();
        // Taken out, so that `scratch` can be lent to the statistics of these values.
        let mut values = std::mem::take(&mut scratch.values);
        if !wanted.is_empty() {
            for segment in 0..self.segments {
                let pixels = segments.pixels(segment);
                for map in maps {
                    values.clear();
                    values.extend(pixels.iter().map(|&i| map.values()[i as usize]));
                    let statistics = Statistics::of(&values, wanted, level, numerics, scratch);
                    for (cell, &s) in cells.by_ref().take(wanted.len()).zip(wanted) {
                        *cell = statistics.get(s) as f32;
                    }
                }
            }
        }
        scratch.values = values;
        if self.params.global_max {
            for (cell, map) in cells.zip(maps) {
                *cell = map.max();
            }
        }
        Ok(())
    }

    fn check(&self, maps: &[&AnomalyMap], segments: &SegmentIndex) -> Result<(), FeatureError> {
        if maps.len() != self.detectors.len() {
            return Err(FeatureError::Maps {
                maps: maps.len(),
                detectors: self.detectors.len(),
            });
        }
        if segments.segments() != self.segments {
            return Err(FeatureError::Segments {
                actual: segments.segments(),
                expected: self.segments,
            });
        }
        let label_size = (segments.height(), segments.width());
        match maps
            .iter()
            .zip(&self.detectors)
            .find(|(m, _)| (m.height(), m.width()) != label_size)
        {
            None => Ok(()),
            Some((map, detector)) => Err(FeatureError::Size {
                detector: detector.clone(),
                map_height: map.height(),
                map_width: map.width(),
                label_height: label_size.0,
                label_width: label_size.1,
            }),
        }
    }
}

fn check_names(what: &'static str, names: &[String]) -> Result<(), FeatureError> {
    if names.is_empty() {
        return Err(FeatureError::NoName(what));
    }
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || name.contains('/') {
            return Err(FeatureError::Name {
                what,
                name: name.clone(),
            });
        }
        if !seen.insert(name) {
            return Err(FeatureError::Twice {
                what,
                name: name.clone(),
            });
        }
    }
    Ok(())
}

/// Builds a table batch by batch, so that only one batch of maps is in memory.
#[derive(Clone, Debug)]
pub struct TableBuilder<'a> {
    extractor: &'a FeatureExtractor,
    ids: Vec<ImageId>,
    values: Vec<f32>,
}

impl<'a> TableBuilder<'a> {
    /// An empty table with the extractor's columns.
    pub fn new(extractor: &'a FeatureExtractor) -> Self {
        Self {
            extractor,
            ids: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds one row per image, in order, as [`FeatureExtractor::rows`].
    ///
    /// # Errors
    /// As [`FeatureExtractor::rows`]; the table is then as before.
    pub fn extend(&mut self, images: &[ImageMaps<'_>]) -> Result<(), FeatureError> {
        let rows = self.extractor.rows(images)?;
        self.values.extend_from_slice(&rows);
        self.ids.extend(images.iter().map(|i| i.id.clone()));
        Ok(())
    }

    /// The table.
    pub fn finish(self) -> FeatureTable {
        FeatureTable::new(self.extractor.columns(), self.ids, self.values)
            .expect("`extend` adds whole rows")
    }
}
