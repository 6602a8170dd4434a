use crate::error::{Result, StoreError};
use crate::maps::{CONTENT, MapInfo, MapRecord};
use crate::parquet_file::ParquetFile;
use crate::rows::{Ids, size_of};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, UInt8Type};
use segad_core::{AnomalyMap, ImageId, Label};
use std::ops::Range;
use std::path::Path;

/// Reads anomaly maps: one by one, in ranges, or in order. Any number of threads may share a
/// reader.
///
/// Also reads files of other programs that have the same columns; `map` may then be any list of
/// 32-bit floats.
#[derive(Debug)]
pub struct MapsReader {
    file: ParquetFile,
    map_column: usize,
    ids: Ids,
    infos: Vec<MapInfo>,
    height: usize,
    width: usize,
}

impl MapsReader {
    /// Opens a file and reads everything but the maps. Digests are not checked here: take the path
    /// from [`Entry::path`](crate::Entry::path).
    ///
    /// # Errors
    /// [`StoreError::File`], [`StoreError::Damaged`], [`StoreError::NewerSchema`],
    /// [`StoreError::Invalid`] for missing columns, unknown labels, two rows of one image, or maps
    /// of different sizes.
    pub fn open(path: &Path) -> Result<Self> {
        let file = ParquetFile::open(path, CONTENT)?;
        let ids = Ids::of(&file)?;
        let (height, width) = size_of(&file, &ids)?;
        let labels = file.whole("label", &DataType::UInt8)?;
        let groups = file.strings("group")?;
        let splits = file.strings("split")?;
        let mut infos = Vec::with_capacity(ids.len());
        for (i, id) in ids.list().iter().enumerate() {
            infos.push(MapInfo {
                id: id.clone(),
                label: label_of(path, id, labels.as_primitive::<UInt8Type>().value(i))?,
                group: groups.value(i).to_owned(),
                split: splits.value(i).to_owned(),
            });
        }
        let map_column = file.column("map")?;
        Ok(Self {
            file,
            map_column,
            ids,
            infos,
            height,
            width,
        })
    }

    /// The ids in order.
    pub fn ids(&self) -> &[ImageId] {
        self.ids.list()
    }

    /// The rows without their maps, in order.
    pub fn infos(&self) -> &[MapInfo] {
        &self.infos
    }

    /// Number of maps.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// True for a file without maps.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// Height of every map in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of every map in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The row of an image.
    pub fn find(&self, id: &ImageId) -> Option<usize> {
        self.ids.find(id)
    }

    /// One row.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a row beyond the end, [`StoreError::Damaged`],
    /// [`StoreError::File`].
    pub fn get(&self, row: usize) -> Result<MapRecord> {
        let mut records = self.range(row..row.saturating_add(1))?;
        records
            .pop()
            .ok_or_else(|| StoreError::content(&self.file.path, format!("row {row} is missing")))
    }

    /// Consecutive rows.
    ///
    /// # Errors
    /// As [`MapsReader::get`].
    pub fn range(&self, rows: Range<usize>) -> Result<Vec<MapRecord>> {
        let mut records = Vec::with_capacity(rows.len());
        // An impossible range is refused by `read` below.
        let infos = self.infos.get(rows.clone()).unwrap_or_default();
        for batch in self.file.read(rows, &[self.map_column])? {
            for i in 0..batch[0].len() {
                let MapInfo {
                    id,
                    label,
                    group,
                    split,
                } = infos[records.len()].clone();
                let map = self.map(&id, &batch[0], i)?;
                records.push(MapRecord {
                    id,
                    label,
                    group,
                    split,
                    map,
                });
            }
        }
        Ok(records)
    }

    /// All rows in order, read `batch` at a time (at least one).
    pub fn iter(&self, batch: usize) -> impl Iterator<Item = Result<MapRecord>> + '_ {
        let batch = batch.max(1);
        (0..self.len()).step_by(batch).flat_map(move |start| {
            match self.range(start..self.len().min(start + batch)) {
                Ok(records) => records.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(e)],
            }
        })
    }

    fn map(&self, id: &ImageId, column: &ArrayRef, row: usize) -> Result<AnomalyMap> {
        let floats = floats_of(column, row);
        let map = floats.and_then(|floats| {
            AnomalyMap::new(self.height, self.width, floats).map_err(|e| e.to_string())
        });
        map.map_err(|problem| {
            StoreError::invalid(&self.file.path, format!("map of image {id}: {problem}"))
        })
    }
}

fn floats_of(column: &ArrayRef, row: usize) -> Result<Vec<f32>, String> {
    let values = match column.data_type() {
        // Other programs may write a list without values.
        _ if column.is_null(row) => return Err("is missing".to_owned()),
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        other => {
            return Err(format!(
                "column holds {other}, expected lists of 32-bit floats"
            ));
        }
    };
    let Some(floats) = values.as_primitive_opt::<Float32Type>() else {
        let found = values.data_type();
        return Err(format!("holds {found}, expected 32-bit floats"));
    };
    if floats.null_count() > 0 {
        return Err("has pixels without a value".to_owned());
    }
    Ok(floats.values().to_vec())
}

pub(crate) fn label_of(path: &Path, id: &ImageId, number: u8) -> Result<Label> {
    match number {
        0 => Ok(Label::Good),
        1 => Ok(Label::Bad),
        other => {
            let problem = format!("label {other} of image {id}: expected 0 (good) or 1 (bad)");
            Err(StoreError::invalid(path, problem))
        }
    }
}
