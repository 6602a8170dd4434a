//! What files with one row per image share: unique ids, and one size for all maps.

use crate::error::{Result, StoreError};
use crate::parquet_file::ParquetFile;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, UInt32Type};
use segad_core::ImageId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(crate) const HEIGHT: &str = "segad.height";
pub(crate) const WIDTH: &str = "segad.width";

/// The ids of a file, in order, each once.
#[derive(Debug)]
pub(crate) struct Ids {
    path: PathBuf,
    list: Vec<ImageId>,
    places: HashMap<ImageId, usize>,
}

impl Ids {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            list: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// The ids of an existing file.
    pub(crate) fn of(file: &ParquetFile) -> Result<Self> {
        let mut ids = Self::new(&file.path);
        for id in file.strings("id")?.iter().flatten() {
            ids.add(&ImageId::new(id))?;
        }
        Ok(ids)
    }

    pub(crate) fn add(&mut self, id: &ImageId) -> Result<()> {
        // Readers look images up by id.
        if let Some(before) = self.places.insert(id.clone(), self.list.len()) {
            let problem = format!("image {id} is in rows {before} and {}", self.list.len());
            return Err(StoreError::invalid(&self.path, problem));
        }
        self.list.push(id.clone());
        Ok(())
    }

    pub(crate) fn check_size(
        &self,
        id: &ImageId,
        found: (usize, usize),
        expected: (usize, usize),
    ) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let problem = format!(
            "map of image {id} is {}×{}, the maps of this file are {}×{}",
            found.0, found.1, expected.0, expected.1
        );
        Err(StoreError::invalid(&self.path, problem))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn list(&self) -> &[ImageId] {
        &self.list
    }

    pub(crate) fn find(&self, id: &ImageId) -> Option<usize> {
        self.places.get(id).copied()
    }
}

/// Number of pixels, where the format can hold that many.
pub(crate) fn check_shape(path: &Path, height: usize, width: usize) -> Result<i32> {
    // 4 bytes per pixel in one page, whose size is a 32-bit number.
    const MOST: usize = (i32::MAX / 4) as usize;
    match height.checked_mul(width) {
        Some(pixels) if (1..=MOST).contains(&pixels) => Ok(pixels as i32),
        _ => Err(StoreError::invalid(
            path,
            format!("maps of {height}×{width}: expected 1 to {MOST} pixels"),
        )),
    }
}

/// Height and width of the maps of a file, checked to agree in all rows. The mark in the metadata
/// serves files without rows.
pub(crate) fn size_of(file: &ParquetFile, ids: &Ids) -> Result<(usize, usize)> {
    let heights = file.whole("height", &DataType::UInt32)?;
    let widths = file.whole("width", &DataType::UInt32)?;
    let heights = heights.as_primitive::<UInt32Type>().values().iter();
    let widths = widths.as_primitive::<UInt32Type>().values().iter();
    let sizes: Vec<(usize, usize)> = heights
        .zip(widths)
        .map(|(&h, &w)| (h as usize, w as usize))
        .collect();
    let [height, width] = [HEIGHT, WIDTH].map(|key| file.mark(key).and_then(|n| n.parse().ok()));
    let stated = height.zip(width);
    let expected = stated.or(sizes.first().copied()).ok_or_else(|| {
        StoreError::invalid(&file.path, "has neither rows nor a stated height and width")
    })?;
    for (id, &found) in ids.list().iter().zip(&sizes) {
        ids.check_size(id, found, expected)?;
    }
    check_shape(&file.path, expected.0, expected.1)?;
    Ok(expected)
}
