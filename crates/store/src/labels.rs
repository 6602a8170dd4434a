use crate::error::{Result, StoreError};
use crate::maps::number;
use crate::parquet_file::ParquetFile;
use crate::parquet_writer::{ParquetWriter, properties};
use crate::rows::{HEIGHT, Ids, WIDTH, check_shape, size_of};
use arrow::array::{AsArray, BinaryArray, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use segad_core::{ImageId, LabelMap};
use std::path::Path;
use std::sync::Arc;

const CONTENT: &str = "label maps";
const GROUP_ROWS: usize = 200;

/// Writes label maps of one size as Parquet. The file appears at [`LabelMapsWriter::finish`].
///
/// Columns: `id`, `height`, `width`, `segments` (L), and `labels`, height × width bytes.
pub struct LabelMapsWriter {
    height: usize,
    width: usize,
    schema: Schema,
    ids: Ids,
    file: ParquetWriter,
}

impl LabelMapsWriter {
    /// Starts a file of label maps of the given size in pixels.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a size of zero or beyond the format, [`StoreError::File`].
    pub fn create(path: &Path, height: usize, width: usize) -> Result<Self> {
        // Before the file exists, so that a wrong size leaves nothing behind.
        check_shape(path, height, width)?;
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("height", DataType::UInt32, false),
            Field::new("width", DataType::UInt32, false),
            Field::new("segments", DataType::UInt8, false),
            Field::new("labels", DataType::Binary, false),
        ]);
        let settings = properties(path, CONTENT, &[(HEIGHT, height), (WIDTH, width)])?
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            // One page per map, so that a single map can be read.
            .set_data_page_size_limit(height * width)
            .set_write_batch_size(1)
            .build();
        let file = ParquetWriter::create(path, schema.clone(), settings)?;
        Ok(Self {
            height,
            width,
            schema,
            ids: Ids::new(path),
            file,
        })
    }

    /// Adds the label map of an image.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a map of another size or an id that was pushed before,
    /// [`StoreError::File`].
    pub fn push(&mut self, id: &ImageId, map: &LabelMap) -> Result<()> {
        self.ids
            .check_size(id, (map.height(), map.width()), (self.height, self.width))?;
        self.ids.add(id)?;
        self.file.write(
            vec![
                Arc::new(StringArray::from_iter_values([id.as_str()])),
                number(self.height),
                number(self.width),
                Arc::new(UInt8Array::from_value(map.segments(), 1)),
                Arc::new(BinaryArray::from_iter_values([map.labels()])),
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

/// Reads label maps. Any number of threads may share a reader.
#[derive(Debug)]
pub struct LabelMapsReader {
    file: ParquetFile,
    columns: [usize; 2],
    ids: Ids,
    height: usize,
    width: usize,
}

impl LabelMapsReader {
    /// Opens a file and reads everything but the maps.
    ///
    /// # Errors
    /// As [`MapsReader::open`](crate::MapsReader::open).
    pub fn open(path: &Path) -> Result<Self> {
        let file = ParquetFile::open(path, CONTENT)?;
        let ids = Ids::of(&file)?;
        let (height, width) = size_of(&file, &ids)?;
        let columns = [file.column("segments")?, file.column("labels")?];
        Ok(Self {
            file,
            columns,
            ids,
            height,
            width,
        })
    }

    /// The row of an image.
    pub fn find(&self, id: &ImageId) -> Option<usize> {
        self.ids.find(id)
    }

    /// The label map in a row.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a row beyond the end or labels beyond L,
    /// [`StoreError::Damaged`], [`StoreError::File`].
    pub fn get(&self, row: usize) -> Result<LabelMap> {
        let batches = self.file.read(row..row.saturating_add(1), &self.columns)?;
        let batch = batches
            .first()
            .ok_or_else(|| StoreError::content(&self.file.path, format!("row {row} is missing")))?;
        let segments = self.file.convert("segments", &batch[0], &DataType::UInt8)?;
        let labels = self.file.convert("labels", &batch[1], &DataType::Binary)?;
        let segments = segments.as_primitive::<UInt8Type>().value(0);
        let labels = labels.as_binary::<i32>().value(0).to_vec();
        LabelMap::new(self.height, self.width, labels, segments).map_err(|e| {
            let id = &self.ids.list()[row];
            StoreError::invalid(&self.file.path, format!("label map of image {id}: {e}"))
        })
    }
}
