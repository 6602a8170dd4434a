use crate::error::{Result, StoreError};
use crate::parquet_file::{ParquetFile, ParquetWriter, properties};
use crate::rows::{HEIGHT, Ids, WIDTH, check_shape, size_of};
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, StringArray, UInt8Array,
    UInt32Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Schema, UInt8Type};
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;
use segad_core::{AnomalyMap, ImageId, Label};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const CONTENT: &str = "anomaly maps";
/// Maps of one row group: what a streaming writer or reader holds. Fewer for maps so large that
/// they would exceed [`GROUP_BYTES`].
const GROUP_ROWS: usize = 50;
const GROUP_BYTES: usize = 64 << 20;

/// One image's row in a file of anomaly maps.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRecord {
    /// Which image.
    pub id: ImageId,
    /// Good or bad.
    pub label: Label,
    /// A finer group, e.g. `bad_unseen`.
    pub group: String,
    /// Where the data set puts it, e.g. `train` or `test`.
    pub split: String,
    /// The map: `f32`, height × width, raw.
    pub map: AnomalyMap,
}

/// A row without its map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Which image.
    pub id: ImageId,
    /// Good or bad.
    pub label: Label,
    /// A finer group.
    pub group: String,
    /// Where the data set puts it.
    pub split: String,
}

/// Writes anomaly maps of one size as Parquet, holding one row group at a time. The file appears at
/// [`MapsWriter::finish`]; dropped before, nothing does. The same records give the same bytes.
///
/// Columns: `id`, `label` (0 good, 1 bad), `group`, `split`, `height`, `width`, and `map`, a list
/// of height × width 32-bit floats, byte-stream-split and zstd-compressed.
pub struct MapsWriter {
    height: usize,
    width: usize,
    item: FieldRef,
    schema: Schema,
    ids: Ids,
    file: ParquetWriter,
}

impl MapsWriter {
    /// Starts a file of maps of the given size in pixels.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a size of zero or beyond the format, [`StoreError::File`].
    pub fn create(path: &Path, height: usize, width: usize) -> Result<Self> {
        let pixels = check_shape(path, height, width)?;
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("label", DataType::UInt8, false),
            Field::new("group", DataType::Utf8, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("height", DataType::UInt32, false),
            Field::new("width", DataType::UInt32, false),
            Field::new("map", DataType::FixedSizeList(item.clone(), pixels), false),
        ]);
        let pixels = height * width;
        let settings = properties(path, CONTENT, &[(HEIGHT, height), (WIDTH, width)])?
            .set_max_row_group_row_count(Some((GROUP_BYTES / (4 * pixels)).clamp(1, GROUP_ROWS)))
            // One page per map, so that a single map can be read.
            .set_data_page_size_limit(pixels * 4)
            .set_write_batch_size(pixels)
            // The path has three parts; a path written as one string with dots matches nothing.
            .set_column_encoding(
                ColumnPath::new(vec!["map".into(), "list".into(), "item".into()]),
                Encoding::BYTE_STREAM_SPLIT,
            )
            .build();
        let file = ParquetWriter::create(path, schema.clone(), settings)?;
        Ok(Self {
            height,
            width,
            item,
            schema,
            ids: Ids::new(path),
            file,
        })
    }

    /// Adds a map.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a map of another size or an id that was pushed before,
    /// [`StoreError::File`].
    pub fn push(&mut self, record: &MapRecord) -> Result<()> {
        let MapRecord {
            id,
            label,
            group,
            split,
            map,
        } = record;
        self.ids
            .check_size(id, (map.height(), map.width()), (self.height, self.width))?;
        self.ids.add(id)?;
        let text = |s: &str| Arc::new(StringArray::from_iter_values([s])) as ArrayRef;
        let number = |n: usize| Arc::new(UInt32Array::from_value(n as u32, 1)) as ArrayRef;
        let values = Arc::new(Float32Array::from_iter_values(map.values().iter().copied()));
        let pixels = map.values().len() as i32; // `check_shape` saw to it that it fits
        let maps = FixedSizeListArray::try_new(self.item.clone(), pixels, values, None)
            .map_err(|e| StoreError::invalid(self.ids.path(), e))?;
        self.file.write(
            vec![
                text(id.as_str()),
                Arc::new(UInt8Array::from_value(label.as_u8(), 1)),
                text(group),
                text(split),
                number(self.height),
                number(self.width),
                Arc::new(maps),
            ],
            &self.schema,
        )
    }

    /// Number of maps so far.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True before the first map.
    pub fn is_empty(&self) -> bool {
        self.ids.len() == 0
    }

    /// Flushes the file and puts it in place.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

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
        let (groups, splits) = (file.strings("group")?, file.strings("split")?);
        let mut infos = Vec::with_capacity(ids.len());
        for (i, id) in ids.list().iter().enumerate() {
            let label = label_of(path, id, labels.as_primitive::<UInt8Type>().value(i))?;
            let (group, split) = (groups.value(i).to_owned(), splits.value(i).to_owned());
            infos.push(MapInfo {
                id: id.clone(),
                label,
                group,
                split,
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

    /// The ranges of rows that are stored together; reading along them is fastest, for example one
    /// thread a range.
    pub fn groups(&self) -> Vec<Range<usize>> {
        self.file.groups()
    }

    /// One row.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a missing row, [`StoreError::Damaged`],
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
        let invalid = |problem: String| {
            StoreError::invalid(&self.file.path, format!("map of image {id}: {problem}"))
        };
        let values = match column.data_type() {
            _ if column.is_null(row) => return Err(invalid("is missing".to_owned())),
            DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
            DataType::List(_) => column.as_list::<i32>().value(row),
            DataType::LargeList(_) => column.as_list::<i64>().value(row),
            other => {
                return Err(invalid(format!(
                    "column holds {other}, expected lists of 32-bit floats"
                )));
            }
        };
        let Some(floats) = values.as_primitive_opt::<Float32Type>() else {
            return Err(invalid(format!(
                "holds {}, expected 32-bit floats",
                values.data_type()
            )));
        };
        if floats.null_count() > 0 {
            return Err(invalid("has pixels without a value".to_owned()));
        }
        AnomalyMap::new(self.height, self.width, floats.values().to_vec())
            .map_err(|e| invalid(e.to_string()))
    }
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
