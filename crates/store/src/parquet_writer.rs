//! How the store writes Parquet files.

use crate::cell::SCHEMA;
use crate::error::{Result, StoreError};
use crate::parquet_file::{CONTENT, VERSION};
use crate::positioned::{Recorded, Refusal};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use segad_files::AtomicFile;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings of every file: zstd 1, no statistics, nothing that depends on the build, and what
/// the file holds.
pub(crate) fn properties(
    path: &Path,
    content: &str,
    marks: &[(&str, usize)],
) -> Result<WriterPropertiesBuilder> {
    // Level 1, as writing must keep up with the networks.
    let level = ZstdLevel::try_new(1).map_err(|e| StoreError::invalid(path, e))?;
    let mut pairs = vec![
        KeyValue::new(CONTENT.to_owned(), content.to_owned()),
        KeyValue::new(VERSION.to_owned(), SCHEMA.to_string()),
    ];
    for (key, value) in marks {
        pairs.push(KeyValue::new((*key).to_owned(), value.to_string()));
    }
    Ok(WriterProperties::builder()
        // Not the library's name and version, which would change the bytes.
        .set_created_by("segad".to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None))
}

/// A Parquet file being written, batch by batch, put in place at the end.
pub(crate) struct ParquetWriter {
    path: PathBuf,
    writer: ArrowWriter<Recorded<AtomicFile>>,
    refusal: Refusal,
}

impl ParquetWriter {
    pub(crate) fn create(
        path: &Path,
        schema: Schema,
        properties: WriterProperties,
    ) -> Result<Self> {
        let refusal = Refusal::default();
        let file = Recorded {
            inner: AtomicFile::create(path)?,
            refusal: refusal.clone(),
        };
        let writer = ArrowWriter::try_new(file, Arc::new(schema), Some(properties))
            .map_err(|e| refusal.or(path, StoreError::invalid(path, e)))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            refusal,
        })
    }

    pub(crate) fn write(&mut self, columns: Vec<ArrayRef>, schema: &Schema) -> Result<()> {
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns)
            .map_err(|e| StoreError::invalid(&self.path, e))?;
        self.writer.write(&batch).map_err(|e| {
            self.refusal
                .or(&self.path, StoreError::invalid(&self.path, e))
        })
    }

    pub(crate) fn finish(self) -> Result<()> {
        let Self {
            path,
            writer,
            refusal,
        } = self;
        // Writes the footer, without which nothing can be read.
        let file = writer
            .into_inner()
            .map_err(|e| refusal.or(&path, StoreError::invalid(&path, e)))?;
        Ok(file.inner.commit()?)
    }
}

/// Writes a small table in one go.
pub(crate) fn write_table(
    path: &Path,
    schema: Schema,
    columns: Vec<ArrayRef>,
    properties: WriterProperties,
) -> Result<()> {
    let mut writer = ParquetWriter::create(path, schema.clone(), properties)?;
    writer.write(columns, &schema)?;
    writer.finish()
}
