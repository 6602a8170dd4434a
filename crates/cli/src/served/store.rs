//! The experiments of a store: every evaluated row, with the labels and maps that its scores came
//! from.

mod rows;

use super::{Photos, coloured, outlined};
use segad_core::{BoxError, CellKind, Image, ImageId, Key, LabelMap, SegmentSource};
use segad_runner::record::Record;
use segad_segments::{AnySource, SegmentsSpec};
use segad_serve::{Gallery, ImageSet, LayerKind};
use segad_store::{MapsReader, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Level of all intervals.
const LEVEL: f64 = 0.95;
/// Maps that a colour scale is taken from.
const SCALED: usize = 200;

/// What a cell records about itself.
struct Known {
    kind: CellKind,
    record: Record,
}

/// Maps of one detector, fit and class.
struct Maps {
    detector: String,
    reader: MapsReader,
    low: f32,
    high: f32,
}

/// A row that was opened.
struct Opened {
    set: Arc<ImageSet>,
    maps: Vec<Arc<Maps>>,
    segments: Option<AnySource>,
}

/// All evaluated rows of a store.
pub(crate) struct Experiments {
    store: Store,
    cells: HashMap<Key, Known>,
    rows: Vec<(String, Key)>,
    photos: Option<Photos>,
    segments: Option<SegmentsSpec>,
    maps: Mutex<HashMap<Key, Arc<Maps>>>,
    opened: Mutex<HashMap<usize, Arc<Opened>>>,
}

impl Experiments {
    /// Reads the commit marks of a store. `only`: rows whose name contains one of these; all if
    /// there is none.
    ///
    /// # Errors
    /// If there is no evaluated row in it.
    pub(crate) fn open(
        store: Store,
        only: &[String],
        photos: Option<Photos>,
        segments: Option<SegmentsSpec>,
    ) -> Result<Self, BoxError> {
        let mut cells = HashMap::new();
        for listed in store.ls()? {
            // Damaged cells are reported where something needs them.
            let Ok(meta) = &listed.meta else { continue };
            let known = Known {
                kind: meta.kind,
                record: Record::of(meta),
            };
            cells.insert(listed.id.key, known);
        }
        let mut rows: Vec<(String, Key)> = (cells.iter())
            .filter(|(_, known)| known.kind == CellKind::Scores)
            .map(|(key, known)| (title(&known.record, key), *key))
            .filter(|(name, _)| only.is_empty() || only.iter().any(|o| name.contains(o.as_str())))
            .collect();
        rows.sort();
        if rows.is_empty() {
            let why = if only.is_empty() {
                "no evaluated row in it"
            } else {
                "no evaluated row selected"
            };
            return Err(format!(
                "{}: {why}; `segad store ls` lists its contents",
                store.root().display()
            )
            .into());
        }
        Ok(Self {
            store,
            cells,
            rows,
            photos,
            segments,
            maps: Mutex::default(),
            opened: Mutex::default(),
        })
    }

    /// The maps behind a cell, in the order of the columns.
    fn behind(&self, key: &Key, found: &mut Vec<Key>) {
        let Some(known) = self.cells.get(key) else {
            return;
        };
        match known.kind {
            CellKind::Maps if !found.contains(key) => found.push(*key),
            CellKind::Scores | CellKind::Forest | CellKind::Features => {
                known
                    .record
                    .inputs
                    .iter()
                    .for_each(|input| self.behind(input, found));
            }
            _ => {}
        }
    }

    fn maps(&self, key: &Key) -> Result<Arc<Maps>, BoxError> {
        if let Some(maps) = self
            .maps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
        {
            return Ok(maps.clone());
        }
        let detector = self
            .cells
            .get(key)
            .map_or_else(|| key.short(), |known| known.record.part().to_owned());
        let entry = self
            .store
            .entry(CellKind::Maps, key)?
            .ok_or_else(|| format!("maps of {detector}: no longer in the store"))?;
        let reader = MapsReader::open(&entry.path("maps.parquet")?)?;
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        // All maps would be hundreds of megabytes for two numbers.
        for record in reader.iter(50).take(SCALED) {
            let map = record?.map;
            low = map.values().iter().copied().fold(low, f32::min);
            high = high.max(map.max());
        }
        let maps = Arc::new(Maps {
            detector,
            reader,
            low,
            high,
        });
        self.maps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(*key, maps.clone());
        Ok(maps)
    }

    fn photo(&self, id: &str) -> Result<Image, BoxError> {
        self.photos
            .as_ref()
            .ok_or("photographs are not available; name their folder with --images")?
            .load(id)
    }

    fn label_map(&self, source: &AnySource, id: &str) -> Result<LabelMap, BoxError> {
        let image = if source.looks_at_pixels() {
            self.photo(id)?
        } else {
            // These segments are the same for every image, so that no photograph is needed.
            Image::from_grey(1, 1, &[0])?
        };
        Ok(source.label_map(&ImageId::new(id), &image)?)
    }
}

/// What a row is called; entries of older programs are called by their whole name.
fn title(record: &Record, key: &Key) -> String {
    match record.title() {
        title if title.is_empty() => key.short(),
        title => title,
    }
}

impl Gallery for Experiments {
    fn names(&self) -> Vec<String> {
        self.rows.iter().map(|(name, _)| name.clone()).collect()
    }

    fn set(&self, set: usize) -> Result<Arc<ImageSet>, BoxError> {
        Ok(self.opened(set)?.set.clone())
    }

    fn picture(&self, set: usize, item: usize, layer: usize) -> Result<Image, BoxError> {
        let Opened {
            set,
            maps,
            segments,
        } = &*self.opened(set)?;
        let id = &set.items[item].id;
        let source = || {
            segments
                .as_ref()
                .ok_or_else(|| BoxError::from("segments are not available"))
        };
        match set.layers[layer].kind {
            LayerKind::Photo => self.photo(id),
            LayerKind::Map => {
                let maps = &maps[layer - usize::from(self.photos.is_some())];
                let row = maps.reader.find(&ImageId::new(id.as_str()));
                let map = maps
                    .reader
                    .get(row.ok_or_else(|| format!("{id} has no map"))?)?
                    .map;
                Ok(segad_imaging::heatmap(&map, maps.low, maps.high)?)
            }
            LayerKind::Segments => coloured(&self.label_map(source()?, id)?),
            LayerKind::Outlines => outlined(&self.label_map(source()?, id)?),
        }
    }
}
