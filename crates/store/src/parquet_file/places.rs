//! Whether a file's own account of itself can be true.

use super::ParquetFile;
use crate::error::{Result, StoreError};
use parquet::file::metadata::ColumnChunkMetaData;

impl ParquetFile {
    /// Checks that every column chunk lies within the file and every page within its chunk, in
    /// order: the library trusts these numbers, and would read or allocate whatever they say.
    pub(super) fn check_places(&self) -> Result<()> {
        let meta = self.meta.metadata();
        for (g, group) in meta.row_groups().iter().enumerate() {
            let index = meta.page_index_for_row_group(g);
            for (c, column) in group.columns().iter().enumerate() {
                let pages = index.page_locations(c).map(Vec::as_slice);
                let pages = pages.unwrap_or_default().iter().map(|page| {
                    let size = i64::from(page.compressed_page_size);
                    (page.offset, size, page.first_row_index)
                });
                if !self.is_chunk_possible(column, group.num_rows(), pages) {
                    let name = column.column_path().string();
                    return Err(StoreError::content(
                        &self.path,
                        format!("row group {g}, column {name:?}: impossible place"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// `pages`: offset, size and first row of each.
    fn is_chunk_possible(
        &self,
        column: &ColumnChunkMetaData,
        rows: i64,
        pages: impl Iterator<Item = (i64, i64, i64)>,
    ) -> bool {
        let start = column
            .dictionary_page_offset()
            .unwrap_or(column.data_page_offset());
        let Some(end) = start.checked_add(column.compressed_size()) else {
            return false;
        };
        // The first four bytes of the file are its magic.
        if start < 4 || end < start || end as u64 > self.file.size {
            return false;
        }
        let mut after = start;
        let mut row_before = -1;
        for (offset, size, first_row) in pages {
            let fits = offset >= after
                && size > 0
                && offset.checked_add(size).is_some_and(|e| e <= end)
                && (row_before + 1..rows).contains(&first_row);
            if !fits {
                return false;
            }
            after = offset + size;
            row_before = first_row;
        }
        true
    }
}
