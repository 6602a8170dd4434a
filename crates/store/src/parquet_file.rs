//! How the store reads Parquet files.

mod places;

use crate::cell::SCHEMA;
use crate::error::{Result, StoreError};
use crate::positioned::At;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub(crate) const CONTENT: &str = "segad.content";
pub(crate) const VERSION: &str = "segad.schema";

/// A Parquet file open for reading. Reads name their offsets, so any number of threads may read at
/// once.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    pub(crate) path: PathBuf,
    file: At,
    meta: ArrowReaderMetadata,
    /// First row of each row group, then the number of rows.
    starts: Vec<usize>,
}

impl ParquetFile {
    /// Opens a file that holds `content`. A file without that mark (written by another program) is
    /// read by its columns.
    pub(crate) fn open(path: &Path, content: &str) -> Result<Self> {
        let file = At::open(path)?;
        file.check_ends(path)?;
        // With the index of pages a single map can be read; other programs' files may lack it.
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
        // Before anything else is trusted: a newer file may mean something else by the same
        // columns.
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

    pub(crate) fn mark(&self, key: &str) -> Option<&str> {
        let marks = self.meta.metadata().file_metadata().key_value_metadata()?;
        marks.iter().find(|m| m.key == key)?.value.as_deref()
    }

    pub(crate) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
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
        // The row groups of the first and last row; `starts` begins with 0.
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
        // `binary_search` needs them sorted.
        let mut order = columns.to_vec();
        order.sort_unstable();
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch?;
            let columns = columns.iter().map(|c| {
                let position = order
                    .binary_search(c)
                    .expect("every column is in the order");
                batch.column(position).clone()
            });
            batches.push(columns.collect());
        }
        Ok(batches)
    }

    /// A whole column as `kind`. Only conversions that keep every value are made, and no value may
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
        // Not `safe`, which would turn what does not fit into null.
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
