use crate::ImagingError;
use crate::formats::{bmp, jpeg, png, pnm, tiff, webp};
use crate::raster::Raster;
use crate::reading::{Reading, read_within};
use crate::sniff::{self, Format};
use segad_core::Image;
use std::io::Read;
use std::path::Path;

/// The largest file that is read as an image: 256 MiB, so that several at once still fit the
/// memory.
pub const LARGEST_FILE: u64 = 256 << 20;

/// Bytes that show which format a file is of.
const HEAD: u64 = 4096;

/// How large an image may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Height × width at most. Checked in the header, before anything of that size is allocated.
    pub pixels: u64,
}

impl Default for Limits {
    /// 100 million pixels: 300 MB of RGB.
    fn default() -> Self {
        Self {
            pixels: 100_000_000,
        }
    }
}

impl Limits {
    pub(crate) fn check(self, height: u64, width: u64) -> Result<(), ImagingError> {
        match height.checked_mul(width) {
            Some(n) if n <= self.pixels => Ok(()),
            _ => Err(ImagingError::TooLarge {
                height,
                width,
                limit: self.pixels,
            }),
        }
    }
}

/// [`read`](crate::read) with the default [`Reading`], for callers that cannot pass on a warning:
/// what would be worth one is an error.
///
/// # Errors
/// As [`read`](crate::read), and [`ImagingError::Inexact`].
pub fn decode(bytes: &[u8]) -> Result<Image, ImagingError> {
    decode_with(bytes, Limits::default())
}

/// [`decode`] with another limit.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(bytes: &[u8], limits: Limits) -> Result<Image, ImagingError> {
    exact(bytes, &Reading::default(), limits)
}

fn exact(bytes: &[u8], reading: &Reading, limits: Limits) -> Result<Image, ImagingError> {
    let decoded = read_within(bytes, reading, limits)?;
    match decoded.warnings.first() {
        Some(&warning) => Err(ImagingError::Inexact(warning)),
        None => Ok(decoded.image),
    }
}

/// Samples as the file states them.
pub(crate) fn raster(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    match sniff::format(bytes)? {
        Format::Png => png::decode(bytes, limits),
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Bmp => bmp::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
        Format::WebP => webp::decode(bytes, limits),
        Format::Pnm => pnm::decode(bytes, limits),
    }
}

/// Reads and decodes a file as [`decode`].
///
/// # Errors
/// As [`decode`] and [`read_image`], naming the file.
pub fn open(path: &Path) -> Result<Image, ImagingError> {
    decode(&read_image(path)?).map_err(|e| e.at(path))
}

/// The bytes of an image file. Files of another format are not read beyond their first bytes, and
/// neither pipes nor devices at all, so that no file can hold up the caller or fill the memory.
///
/// # Errors
/// [`ImagingError::Read`], [`ImagingError::TooManyBytes`] or what [`decode`] says of the first
/// bytes, naming the file.
pub fn read_image(path: &Path) -> Result<Vec<u8>, ImagingError> {
    read_bounded(path).map_err(|e| e.at(path))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ImagingError> {
    let (file, size) = segad_files::open_regular(path).map_err(|e| ImagingError::Read(e.source))?;
    let mut bytes = Vec::new();
    let read = |most: u64, bytes: &mut Vec<u8>| {
        let taken = (&file).take(most).read_to_end(bytes);
        taken.map_err(ImagingError::Read)
    };
    read(HEAD, &mut bytes)?;
    sniff::format(&bytes)?;
    if size > LARGEST_FILE {
        return Err(ImagingError::TooManyBytes(size));
    }
    bytes.reserve_exact((size as usize).saturating_sub(bytes.len()));
    // One byte more than allowed, in case the file grows meanwhile.
    read(LARGEST_FILE + 1 - bytes.len() as u64, &mut bytes)?;
    match bytes.len() as u64 {
        read if read > LARGEST_FILE => Err(ImagingError::TooManyBytes(read)),
        _ => Ok(bytes),
    }
}

/// [`open`] without turning the image: experiments read images as the authors' code does
/// ([`Reading::AS_STORED`]).
///
/// # Errors
/// As [`open`].
pub fn open_as_stored(path: &Path) -> Result<Image, ImagingError> {
    let image = exact(&read_image(path)?, &Reading::AS_STORED, Limits::default());
    image.map_err(|e| e.at(path))
}

/// Reads a whole file of any kind and size.
///
/// # Errors
/// [`ImagingError::Read`] naming the file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ImagingError> {
    segad_files::read(path).map_err(|e| ImagingError::Read(e.source).at(path))
}
