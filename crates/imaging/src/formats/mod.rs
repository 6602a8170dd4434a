//! One file per format: from bytes to a [`Raster`](crate::raster::Raster).

pub(crate) mod bmp;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod pnm;
pub(crate) mod tiff;
pub(crate) mod webp;
