use crate::error::{Result, StoreError};
use crate::parquet_writer::{ParquetWriter, properties};
use crate::rows::{HEIGHT, Ids, WIDTH, check_shape};
use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, StringArray, UInt8Array, UInt32Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;
use segad_core::{AnomalyMap, ImageId, Label};
use std::path::Path;
use std::sync::Arc;

pub(crate) const CONTENT: &str = "anomaly maps";
/// Maps per row group, which is what a streaming writer or reader holds in memory. Fewer for maps
/// so large that they would exceed [`GROUP_BYTES`].
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
/// [`MapsWriter::finish`]; dropped before that, the writer leaves nothing behind. The same records
/// give the same bytes.
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
        // After the size, so that a refused map can be pushed again.
        self.ids.add(id)?;
        let values = Arc::new(Float32Array::from_iter_values(map.values().iter().copied()));
        let pixels = map.values().len() as i32; // fits, as `check_shape` made sure
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

    /// Flushes the file and puts it in place.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values([value]))
}

/// A height or width as a column of one row.
pub(crate) fn number(value: usize) -> ArrayRef {
    Arc::new(UInt32Array::from_value(value as u32, 1))
}
