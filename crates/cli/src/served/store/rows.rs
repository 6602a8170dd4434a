//! Rows that were opened.

use super::{Experiments, LEVEL, Maps, Opened, title};
use segad_core::{BoxError, CellKind, ImageId, Key};
use segad_segments::SegmentsSpec;
use segad_serve::{ImageSet, Item, Layer, LayerKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

impl Experiments {
    pub(super) fn opened(&self, row: usize) -> Result<Arc<Opened>, BoxError> {
        if let Some(opened) = self
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&row)
        {
            return Ok(opened.clone());
        }
        let opened = Arc::new(self.read(row)?);
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(row, opened.clone());
        Ok(opened)
    }

    fn read(&self, row: usize) -> Result<Opened, BoxError> {
        let (name, key) = &self.rows[row];
        let entry = self
            .store
            .entry(CellKind::Scores, key)?
            .ok_or_else(|| format!("{name}: no longer in the store"))?;
        let table = segad_store::read_features(&entry.path("scores.parquet")?)?;
        let mut keys = Vec::new();
        self.behind(key, &mut keys);
        let maps = keys
            .iter()
            .map(|k| self.maps(k))
            .collect::<Result<Vec<_>, _>>()?;
        let labels = match maps.first() {
            Some(maps) => maps.clone(),
            None => self.labels(key, table.ids())?,
        };
        let mut items = Vec::with_capacity(table.rows());
        for (id, &score) in table.ids().iter().zip(table.values()) {
            let at = labels
                .reader
                .find(id)
                .ok_or_else(|| format!("{id} is scored but has no map"))?;
            let info = &labels.reader.infos()[at];
            items.push(Item {
                id: id.to_string(),
                label: info.label,
                group: info.group.clone(),
                score,
            });
        }
        let layer = |name: &str, kind| Layer {
            name: name.to_owned(),
            kind,
        };
        let mut layers: Vec<Layer> = maps
            .iter()
            .map(|m| layer(&m.detector, LayerKind::Map))
            .collect();
        if self.photos.is_some() {
            layers.insert(0, layer("image", LayerKind::Photo));
        }
        let open = |spec: &SegmentsSpec| {
            let (height, width) = maps
                .first()
                .map_or((256, 256), |m| (m.reader.height(), m.reader.width()));
            segad_segments::open(
                spec,
                &crate::shipped::find(Path::new("datasets/segments")),
                height,
                width,
            )
        };
        let segments = self.segments.as_ref().map(open).transpose()?;
        if segments.is_some() {
            layers.push(layer("segments", LayerKind::Segments));
            layers.push(layer("outlines", LayerKind::Outlines));
        }
        let mut notes = Vec::new();
        if self.photos.is_none() {
            notes.push("Start with --images DIR to see the photographs.".to_owned());
        }
        let record = self.cells.get(key).map(|known| &known.record);
        let set_aside = record.and_then(|record| record.set_aside.clone());
        if set_aside.is_none() {
            notes.push(
                "An older version stored this row without the groups that its protocol sets aside, \
                 so all groups count here."
                    .to_owned(),
            );
        }
        Ok(Opened {
            set: Arc::new(ImageSet {
                notes,
                set_aside: set_aside.unwrap_or_default(),
                level: LEVEL,
                auroc: None,
                threshold: None,
                layers,
                items,
            }),
            maps,
            segments,
        })
    }

    /// Maps that know the labels of a row that has none of its own, as that of a classifier alone.
    fn labels(&self, row: &Key, ids: &[ImageId]) -> Result<Arc<Maps>, BoxError> {
        let class = self
            .cells
            .get(row)
            .map(|k| k.record.class.as_str())
            .unwrap_or_default();
        let of_class: BTreeMap<(String, &Key), &Key> = (self.cells.iter())
            .filter(|(_, k)| k.kind == CellKind::Maps && k.record.class == class)
            .map(|(key, known)| ((title(&known.record, key), key), key))
            .collect();
        for key in of_class.into_values() {
            let maps = self.maps(key)?;
            if ids.iter().all(|id| maps.reader.find(id).is_some()) {
                return Ok(maps);
            }
        }
        Err("no maps in this store hold the labels of these images".into())
    }
}
