//! The cells of a row's statistics, and of the segments that they are taken in.

use super::place::{Place, Wanted};
use super::{CellIndex, Task};
use crate::{Checked, Fault, Row, SegmentCells};
use segad_core::{CellKind, KeyHasher};
use toml::Value;

impl Place<'_, '_> {
    /// Statistics of each detector are a cell of their own, so that rows with other sets of
    /// detectors share them.
    pub(super) fn features(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let mut maps = Vec::with_capacity(row.detectors.len());
        for detector in &row.detectors {
            maps.push(self.maps(detector)?);
        }
        let catalogue = self.builder.catalogue;
        let cells = catalogue
            .segment_cells(row.segments.as_ref(), &self.label.class)
            .map_err(|fault| fault.at("segments"))?;
        let labels = cells.map(|cells| self.labels(cells, &maps, row));
        let mut parts = Vec::with_capacity(maps.len());
        for (detector, maps) in row.detectors.iter().zip(maps) {
            parts.push(self.features_of(row, detector, maps, labels)?);
        }
        // The statistics of one detector need no join; the row shares that cell with others.
        if let [only] = parts[..] {
            return Ok(only);
        }
        let mut hasher = KeyHasher::new("joined-features", 1);
        hasher.field("parts", &self.keys(&parts));
        let detectors = row.detectors.join("+");
        Ok(self.add(Wanted {
            what: format!("{detectors} · {}", plain(row.segments.as_ref())),
            kind: CellKind::Features,
            key: hasher.finish(),
            needs: parts.clone(),
            task: Task::JoinFeatures { parts },
            missing: None,
        }))
    }

    /// The statistics of one detector.
    fn features_of(
        &mut self,
        row: &Row,
        detector: &str,
        maps: CellIndex,
        labels: Option<CellIndex>,
    ) -> Result<CellIndex, Fault> {
        let segments = match labels {
            Some(id) => Checked {
                key: self.key(id),
                missing: None,
            },
            None => self
                .builder
                .segments(row.segments.as_ref(), &self.label.class)?,
        };
        let features = self.builder.statistics(&row.features)?;
        let mut hasher = KeyHasher::new("features", 1);
        hasher
            .field("maps", &[self.key(maps)][..])
            // A list of one: keys date from when one cell held all detectors.
            .field("detectors", &vec![detector.to_owned()])
            .field("segments", &segments.key)
            .field("features", &features.key);
        Ok(self.add(Wanted {
            what: format!("{detector} · {}", plain(row.segments.as_ref())),
            kind: CellKind::Features,
            key: hasher.finish(),
            task: Task::Features {
                maps,
                detector: detector.to_owned(),
                segments: row.segments.clone(),
                labels,
                features: row.features.clone(),
            },
            needs: [maps].into_iter().chain(labels).collect(),
            missing: segments.missing.or(features.missing),
        }))
    }

    /// The cell that holds the label maps of a row whose segments are made in cells.
    fn labels(&mut self, cells: SegmentCells, maps: &[CellIndex], row: &Row) -> CellIndex {
        // Segments made in cells are never the data set's own, so the row names them.
        let segments = row
            .segments
            .clone()
            .unwrap_or_else(|| Value::String(String::new()));
        let what = format!("segments {}", plain(row.segments.as_ref()));
        let read = if cells.maps { maps } else { &[] };
        let fit = cells.fitted.then(|| {
            let mut hasher = KeyHasher::new("fit-segments", 1);
            hasher
                .field("segments", &cells.checked.key)
                .field("maps", &self.keys(read))
                .field("images", &self.split.digests.forest_good)
                .field("seed", &self.split.detector_seed);
            self.add(Wanted {
                what: what.clone(),
                kind: CellKind::Fit,
                key: hasher.finish(),
                task: Task::FitSegments {
                    maps: read.to_vec(),
                    segments: segments.clone(),
                },
                needs: read.to_vec(),
                missing: cells.checked.missing.clone(),
            })
        });
        // One map for all images is the fit itself.
        if let (Some(fit), false) = (fit, cells.per_image) {
            return fit;
        }
        let mut hasher = KeyHasher::new("label-maps", 1);
        hasher
            .field("segments", &cells.checked.key)
            .field("fit", &fit.map(|id| self.key(id)))
            .field("images", &self.split.digests.mapped);
        self.add(Wanted {
            what,
            kind: CellKind::Maps,
            key: hasher.finish(),
            task: Task::LabelMaps { fit, segments },
            needs: fit.into_iter().collect(),
            missing: cells.checked.missing,
        })
    }
}

fn plain(segments: Option<&Value>) -> String {
    match segments {
        None => "default segments".to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
    }
}
