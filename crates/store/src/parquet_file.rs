//! What all Parquet files of the store share: how they are written, opened, and how their failures
//! are told.

use crate::cell::SCHEMA;
use crate::error::{Damage, Result, StoreError};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, PageIndexPolicy};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{ChunkReader, Length};
use segad_files::{AtomicFile, FileError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const CONTENT: &str = "segad.content";
const VERSION: &str = "segad.schema";

/// The settings of every file: zstd 1, no statistics, nothing that depends on the build, and what
/// the file holds.
pub(crate) fn properties(
    path: &Path,
    content: &str,
    marks: &[(&str, usize)],
) -> Result<WriterPropertiesBuilder> {
    let level = ZstdLevel::try_new(1).map_err(|e| StoreError::invalid(path, e))?;
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let mut pairs = vec![
        pair(CONTENT, content.to_owned()),
        pair(VERSION, SCHEMA.to_string()),
    ];
    pairs.extend(
        marks
            .iter()
            .map(|(key, value)| pair(key, value.to_string())),
    );
    Ok(WriterProperties::builder()
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

/// A Parquet file open for reading. Reads name their offsets, so any number of threads may read at
/// once.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    pub(crate) path: PathBuf,
    file: At,
    meta: ArrowReaderMetadata,
    /// First row of each row group, and the number of rows.
    starts: Vec<usize>,
}

impl ParquetFile {
    /// Opens a file that holds `content`. A file without that mark (written by another program) is
    /// read by its columns.
    pub(crate) fn open(path: &Path, content: &str) -> Result<Self> {
        let (handle, size) = (
            Arc::new(segad_files::open(path)?),
            segad_files::size_and_time(path)?.0,
        );
        let file = At {
            file: handle,
            size,
            refusal: Refusal::default(),
        };
        check_ends(path, &file)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let meta = file.guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        let mut starts = vec![0];
        for group in meta.metadata().row_groups() {
            let rows =
                usize::try_from(group.num_rows()).map_err(|e| StoreError::content(path, e))?;
            starts.push(starts.last().copied().unwrap_or(0) + rows);
        }
        let opened = Self {
            path: path.to_owned(),
            file,
            meta,
            starts,
        };
        opened.check_marks(content)?;
        opened.check_places()?;
        Ok(opened)
    }

    fn check_marks(&self, content: &str) -> Result<()> {
        if let Some(version) = self.mark(VERSION) {
            let found = version
                .parse()
                .map_err(|e| StoreError::content(&self.path, e))?;
            if found > SCHEMA {
                return Err(StoreError::NewerSchema {
                    path: self.path.clone(),
                    found,
                    known: SCHEMA,
                });
            }
        }
        match self.mark(CONTENT) {
            Some(found) if found != content => Err(StoreError::invalid(
                &self.path,
                format!("holds {found}, expected {content}"),
            )),
            _ => Ok(()),
        }
    }

    /// Checks that every column chunk is within the file and every page within its chunk, in order: the
    /// library believes it.
    fn check_places(&self) -> Result<()> {
        let meta = self.meta.metadata();
        for (g, group) in meta.row_groups().iter().enumerate() {
            let index = meta.page_index_for_row_group(g);
            for (c, column) in group.columns().iter().enumerate() {
                let bad = || {
                    let name = column.column_path().string();
                    StoreError::content(
                        &self.path,
                        format!("row group {g}, column {name:?}: impossible place"),
                    )
                };
                let start = column
                    .dictionary_page_offset()
                    .unwrap_or(column.data_page_offset());
                let end = start
                    .checked_add(column.compressed_size())
                    .ok_or_else(bad)?;
                if start < 4 || end < start || end as u64 > self.file.size {
                    return Err(bad());
                }
                let mut after = (start, -1);
                for page in index
                    .page_locations(c)
                    .map(Vec::as_slice)
                    .unwrap_or_default()
                {
                    let page_end = page
                        .offset
                        .checked_add(i64::from(page.compressed_page_size));
                    let row = page.first_row_index;
                    let fits = page.offset >= after.0
                        && page_end.is_some_and(|e| e > page.offset && e <= end)
                        && row > after.1
                        && row < group.num_rows();
                    after = (page_end.filter(|_| fits).ok_or_else(bad)?, row);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn mark(&self, key: &str) -> Option<&str> {
        let marks = self.meta.metadata().file_metadata().key_value_metadata()?;
        marks.iter().find(|m| m.key == key)?.value.as_deref()
    }

    pub(crate) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The rows of each row group.
    pub(crate) fn groups(&self) -> Vec<Range<usize>> {
        self.starts.windows(2).map(|w| w[0]..w[1]).collect()
    }

    pub(crate) fn schema(&self) -> &Schema {
        self.meta.schema()
    }

    pub(crate) fn column(&self, name: &str) -> Result<usize> {
        self.schema().index_of(name).map_err(|_| {
            let found: Vec<&str> = self
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect();
            StoreError::invalid(
                &self.path,
                format!("has no column {name:?}; it has {}", found.join(", ")),
            )
        })
    }

    /// Some rows of some columns (by position), in the order of the columns given.
    pub(crate) fn read(&self, rows: Range<usize>, columns: &[usize]) -> Result<Vec<Vec<ArrayRef>>> {
        self.check_rows(&rows)?;
        let batches = self
            .file
            .guarded(&self.path, || self.batches(&rows, columns))?;
        let read: usize = batches
            .iter()
            .filter_map(|b| b.first())
            .map(|c| c.len())
            .sum();
        if read != rows.len() {
            let what = format!("{read} rows where {} were expected", rows.len());
            return Err(StoreError::content(&self.path, what));
        }
        Ok(batches)
    }

    fn check_rows(&self, rows: &Range<usize>) -> Result<()> {
        if rows.start <= rows.end && rows.end <= self.rows() {
            return Ok(());
        }
        let problem = format!(
            "rows {} to {} of {} rows",
            rows.start,
            rows.end,
            self.rows()
        );
        Err(StoreError::invalid(&self.path, problem))
    }

    fn batches(
        &self,
        rows: &Range<usize>,
        columns: &[usize],
    ) -> Result<Vec<Vec<ArrayRef>>, ParquetError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.starts.partition_point(|&s| s <= rows.start) - 1;
        let last = self.starts.partition_point(|&s| s < rows.end) - 1;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.clone(),
            self.meta.clone(),
        );
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let selection = RowSelection::from(vec![
            RowSelector::skip(rows.start - self.starts[first]),
            RowSelector::select(rows.len()),
        ]);
        let reader = builder
            .with_row_groups((first..=last).collect())
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(rows.len())
            .build()?;
        // The reader gives columns in the file's order.
        let mut order = columns.to_vec();
        order.sort_unstable();
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch?;
            let position = |c| order.binary_search(c).unwrap_or_default();
            batches.push(
                columns
                    .iter()
                    .map(|c| batch.column(position(c)).clone())
                    .collect(),
            );
        }
        Ok(batches)
    }

    /// A whole column as `kind`; only conversions that keep every value are made, and no value may
    /// be missing.
    pub(crate) fn whole(&self, name: &str, kind: &DataType) -> Result<ArrayRef> {
        let batches = self.read(0..self.rows(), &[self.column(name)?])?;
        let arrays: Vec<&dyn Array> = batches.iter().map(|b| b[0].as_ref()).collect();
        if arrays.is_empty() {
            return Ok(arrow::array::new_empty_array(kind));
        }
        let all =
            arrow::compute::concat(&arrays).map_err(|e| StoreError::content(&self.path, e))?;
        self.convert(name, &all, kind)
    }

    pub(crate) fn convert(
        &self,
        name: &str,
        array: &ArrayRef,
        kind: &DataType,
    ) -> Result<ArrayRef> {
        if array.null_count() > 0 {
            let row = (0..array.len()).find(|&i| array.is_null(i)).unwrap_or(0);
            return Err(StoreError::invalid(
                &self.path,
                format!("column {name:?} has no value in row {row}"),
            ));
        }
        if array.data_type() == kind {
            return Ok(array.clone());
        }
        let found = array.data_type();
        if !keeps_values(found, kind) {
            let problem = format!("column {name:?} holds {found}, expected {kind}");
            return Err(StoreError::invalid(&self.path, problem));
        }
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(array, kind, &options)
            .map_err(|e| StoreError::invalid(&self.path, format!("column {name:?}: {e}")))
    }

    pub(crate) fn strings(&self, name: &str) -> Result<StringArray> {
        Ok(self
            .whole(name, &DataType::Utf8)?
            .as_string::<i32>()
            .clone())
    }
}

/// Whether a cast either keeps each value or fails.
fn keeps_values(from: &DataType, to: &DataType) -> bool {
    use DataType::{Dictionary, LargeUtf8, Utf8, Utf8View};
    match (from, to) {
        (Dictionary(_, value), _) => value.as_ref() == to || keeps_values(value, to),
        (LargeUtf8 | Utf8View, Utf8) => true,
        _ => from.is_integer() && to.is_integer(),
    }
}

/// What the operating system refused, kept because the Parquet library turns most of it into text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<io::Error>>>);

impl Refusal {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                let copy = e
                    .raw_os_error()
                    .map_or_else(|| e.kind().into(), io::Error::from_raw_os_error);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            }
        })
    }

    /// The refusal, if there was one, else the other error.
    fn or(&self, path: &Path, other: StoreError) -> StoreError {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(cause) => FileError::new("read or write the file", path, cause).into(),
            None => other,
        }
    }
}

struct Recorded<W> {
    inner: W,
    refusal: Refusal,
}

impl<W: Write> Write for Recorded<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.refusal.note(self.inner.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.refusal.note(self.inner.flush())
    }
}

fn check_ends(path: &Path, file: &At) -> Result<()> {
    const MAGIC: &[u8; 4] = b"PAR1";
    const LEAST: u64 = 12; // two magics and the length of the footer
    if file.size < LEAST {
        return Err(StoreError::damaged(
            path,
            Damage::Size {
                expected: LEAST,
                actual: file.size,
            },
        ));
    }
    for offset in [0, file.size - 4] {
        let mut found = [0; 4];
        file.file
            .read_exact_at(&mut found, offset)
            .map_err(|e| FileError::new("read the file", path, e))?;
        if found != *MAGIC {
            return Err(StoreError::damaged(path, Damage::Magic("Parquet")));
        }
    }
    Ok(())
}

/// A file read at stated offsets. (`File`'s own `ChunkReader` shares one position between threads.)
#[derive(Clone, Debug)]
struct At {
    file: Arc<File>,
    size: u64,
    refusal: Refusal,
}

impl At {
    /// Runs a piece of the Parquet library. Damage that no digest revealed can make it panic; that
    /// is an error here.
    fn guarded<T>(&self, path: &Path, run: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(self.refusal.or(path, StoreError::content(path, e))),
            Err(_) => Err(StoreError::content(
                path,
                "the Parquet library cannot make sense of it",
            )),
        }
    }
}

struct AtReader {
    at: At,
    offset: u64,
}

impl Length for At {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for At {
    type T = io::BufReader<AtReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(AtReader {
            at: self.clone(),
            offset: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of {}",
                self.size
            )));
        }
        let mut buffer = vec![0; length];
        self.refusal
            .note(self.file.read_exact_at(&mut buffer, start))?;
        Ok(buffer.into())
    }
}

impl Read for AtReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self
            .at
            .refusal
            .note(self.at.file.read_at(buffer, self.offset))?;
        self.offset += n as u64;
        Ok(n)
    }
}
