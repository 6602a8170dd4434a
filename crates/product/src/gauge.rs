//! From an image and its maps to what heads and reasons are made of. Fit and inspection share it.

use crate::error::{ProductError, Result};
use segad_core::{AnomalyMap, Image, ImageId, LabelMap, SegmentSource};
use segad_features::{FeatureExtractor, FeatureParams, Scratch, SegmentIndex};
use segad_segments::{AnySource, PortableSegments};

pub(crate) struct Gauge {
    source: AnySource,
    /// None without a detector's map to take statistics of.
    pub extractor: Option<FeatureExtractor>,
    /// The one label map of all images, where there is one.
    shared: Option<(LabelMap, SegmentIndex)>,
}

/// What is known of one image before its score.
pub(crate) struct Gauged {
    pub segments: LabelMap,
    /// One value a column.
    pub features: Vec<f32>,
}

impl Gauge {
    pub(crate) fn new(
        segments: &PortableSegments,
        size: usize,
        features: &FeatureParams,
        detectors: &[String],
    ) -> Result<Self> {
        let source = segments.open(size, size)?;
        let extractor = if detectors.is_empty() {
            None
        } else {
            let features = features.clone().check()?;
            Some(FeatureExtractor::new(features, detectors, source.names())?)
        };
        let shared = match source.static_map() {
            Some(map) => Some((map.clone(), SegmentIndex::new(map)?)),
            None => None,
        };
        Ok(Self {
            source,
            extractor,
            shared,
        })
    }

    pub(crate) fn names(&self) -> &[String] {
        self.source.names()
    }

    /// Names of the columns of statistics.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.extractor
            .as_ref()
            .map_or_else(Vec::new, FeatureExtractor::columns)
    }

    /// The one label map of all images, where there is one.
    pub(crate) fn shared_map(&self) -> Option<&LabelMap> {
        self.shared.as_ref().map(|(map, _)| map)
    }

    /// The label map of an image alone.
    pub(crate) fn label_map(&self, image: &Image) -> Result<LabelMap> {
        match &self.shared {
            Some((map, _)) => Ok(map.clone()),
            None => Ok(self.source.label_map(&ImageId::new(""), image)?),
        }
    }

    /// Label map and statistics; `maps` holds one a detector.
    pub(crate) fn gauge(
        &self,
        image: &Image,
        maps: &[AnomalyMap],
        scratch: &mut Scratch,
    ) -> Result<Gauged> {
        let maps: Vec<&AnomalyMap> = maps.iter().collect();
        let segments = self.label_map(image)?;
        let features = match (&self.extractor, &self.shared) {
            (None, _) => Vec::new(),
            (Some(extractor), Some((_, index))) => extractor.row(&maps, index, scratch)?,
            (Some(extractor), None) => {
                extractor.row(&maps, &SegmentIndex::new(&segments)?, scratch)?
            }
        };
        Ok(Gauged { segments, features })
    }
}

/// The largest value within each segment; −∞ for a segment without a pixel.
pub(crate) fn segment_maxima(map: &AnomalyMap, segments: &LabelMap) -> Result<Vec<f32>> {
    if (map.height(), map.width()) != (segments.height(), segments.width()) {
        return Err(ProductError::Setting {
            name: "size of the label map",
            value: format!("{}×{}", segments.height(), segments.width()),
            expected: format!("{}×{}, the map's", map.height(), map.width()),
        });
    }
    // Stays so for a segment without pixels, which then is never the reason.
    let mut maxima = vec![f32::NEG_INFINITY; usize::from(segments.segments())];
    for (&value, &label) in map.values().iter().zip(segments.labels()) {
        let most = &mut maxima[usize::from(label)];
        *most = most.max(value);
    }
    Ok(maxima)
}

/// A quantile of values of which some may be missing (NaN or infinite); `None` if more than half
/// are.
pub(crate) fn usual_range(values: impl Iterator<Item = f32>) -> Option<[f32; 2]> {
    let (mut total, mut known) = (0, Vec::new());
    for v in values {
        total += 1;
        if v.is_finite() {
            known.push(f64::from(v));
        }
    }
    // A range of the few images that have the segment would not be the usual one.
    if known.is_empty() || 2 * known.len() < total {
        return None;
    }
    let at = |q| segad_metrics::quantile(&known, q).map(|v| v as f32);
    Some([at(0.05).ok()?, at(0.95).ok()?])
}
