//! Label maps for statistics and pictures, wherever they come from.

use crate::workbench::Workbench;
use segad_core::{BoxError, ImageId, LabelMap, SegmentSource};
use segad_grid::{CellIndex, Plan};
use segad_segments::SMALL_SEGMENT;
use segad_store::LabelMapsReader;
use serde::{Deserialize, Serialize};
use toml::Value;

/// File of a cell that holds label maps: which segments there are.
pub(crate) const INDEX: &str = "segments.json";
/// File of a cell that holds label maps: the maps.
pub(crate) const MAPS: &str = "labels.parquet";

/// What [`INDEX`] says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Format of this file.
    pub schema: u32,
    /// Names of the segments in the order of their labels.
    pub names: Vec<String>,
    /// True if there is one map for all images.
    pub one: bool,
}

/// Label maps of a row's images at the size of its anomaly maps.
pub(crate) enum Labels {
    /// From a source.
    Source(segad_segments::AnySource),
    /// From a cell.
    Stored {
        index: Index,
        reader: LabelMapsReader,
        one: Option<LabelMap>,
        height: usize,
        width: usize,
    },
}

impl Labels {
    /// Those of a row: out of `cell`, where they are made in one, else from the source.
    pub(crate) fn open(
        bench: &Workbench,
        plan: &Plan,
        cell: Option<CellIndex>,
        spec: Option<&Value>,
        class: &str,
        (height, width): (usize, usize),
    ) -> Result<Self, BoxError> {
        let Some(id) = cell else {
            return Ok(Self::Source(
                bench.segment_source(spec, class, height, width)?,
            ));
        };
        let entry = bench.stored(&plan.cells[id.0])?;
        let index: Index = serde_json::from_slice(&entry.read(INDEX)?)?;
        let reader = LabelMapsReader::open(&entry.path(MAPS)?)?;
        let one = if index.one {
            Some(fitted(reader.get(0)?, height, width)?)
        } else {
            None
        };
        Ok(Self::Stored {
            index,
            reader,
            one,
            height,
            width,
        })
    }

    /// Names of the segments in the order of their labels.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Source(source) => source.names(),
            Self::Stored { index, .. } => &index.names,
        }
    }

    /// The one map of all images, where there is one.
    pub(crate) fn one(&self) -> Option<&LabelMap> {
        match self {
            Self::Source(source) => source.static_map(),
            Self::Stored { one, .. } => one.as_ref(),
        }
    }

    /// The map of an image.
    pub(crate) fn of(&self, bench: &Workbench, id: &ImageId) -> Result<LabelMap, BoxError> {
        match self {
            Self::Source(source) => bench.label_map(source, id),
            Self::Stored { one: Some(one), .. } => Ok(one.clone()),
            Self::Stored {
                reader,
                height,
                width,
                ..
            } => {
                let row = reader
                    .find(id)
                    .ok_or_else(|| format!("{id} has no label map"))?;
                fitted(reader.get(row)?, *height, *width)
            }
        }
    }
}

fn fitted(map: LabelMap, height: usize, width: usize) -> Result<LabelMap, BoxError> {
    // A cell keeps one size; detectors in the same row may have maps of another.
    if (map.height(), map.width()) == (height, width) {
        return Ok(map);
    }
    Ok(segad_imaging::resize_labels(&map, height, width)?)
}

/// Counts segments that are too small for statistics to mean much.
pub(crate) struct Small {
    names: Vec<String>,
    maps: usize,
    empty: Vec<usize>,
    small: Vec<usize>,
}

impl Small {
    pub(crate) fn new(names: &[String]) -> Self {
        let none = vec![0; names.len()];
        Self {
            names: names.to_vec(),
            maps: 0,
            empty: none.clone(),
            small: none,
        }
    }

    pub(crate) fn add(&mut self, areas: &[usize]) {
        self.maps += 1;
        for (i, &area) in areas.iter().enumerate().take(self.names.len()) {
            self.empty[i] += usize::from(area == 0);
            self.small[i] += usize::from((1..SMALL_SEGMENT).contains(&area));
        }
    }

    /// What was done about them, for the provenance.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let maps = match self.maps {
            1 => "the map".to_owned(),
            n => format!("of {n} maps"),
        };
        let many = |n: usize| {
            if self.maps == 1 {
                String::new()
            } else {
                format!("{n} ")
            }
        };
        for (i, name) in self.names.iter().enumerate() {
            if self.empty[i] > 0 {
                notes.push(format!(
                    "segment {name:?} is empty in {}{maps}: its statistics are 0 there",
                    many(self.empty[i])
                ));
            }
            if self.small[i] > 0 {
                notes.push(format!(
                    "segment {name:?} has fewer than {SMALL_SEGMENT} pixels in {}{maps}: its statistics are taken as they are; \
                     the quantile is about the maximum, skewness and kurtosis are noise",
                    many(self.small[i])
                ));
            }
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_empty_segments_are_told() {
        let names = ["board", "chip", "dot"].map(String::from);
        let mut one = Small::new(&names);
        one.add(&[900, 63, 0]);
        let notes = one.notes();
        assert!(
            notes[0].contains("\"chip\" has fewer than 64 pixels in the map"),
            "{notes:?}"
        );
        assert!(
            notes[1].contains("\"dot\" is empty in the map"),
            "{notes:?}"
        );
        let mut many = Small::new(&names);
        for areas in [[900, 64, 10], [900, 100, 70], [0, 100, 7]] {
            many.add(&areas);
        }
        let notes = many.notes();
        assert!(
            notes[0].contains("\"board\" is empty in 1 of 3 maps"),
            "{notes:?}"
        );
        assert!(
            notes[1].contains("\"dot\" has fewer than 64 pixels in 2 of 3 maps"),
            "{notes:?}"
        );
        assert_eq!(notes.len(), 2);
    }
}
