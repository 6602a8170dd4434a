//! WebP, lossy and lossless.

use crate::decode::Limits;
use crate::raster::{Raster, Samples};
use crate::{ImagingError, exif};
use image_webp::{DecodingError, WebPDecoder};
use std::io::{Cursor, ErrorKind};

pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    limits.check(u64::from(height), u64::from(width))?;
    if decoder.is_animated() {
        return Err(ImagingError::Animated("WebP"));
    }
    // Metadata is bounded by the file, what is decoded by the size checked above.
    decoder.set_memory_limit(bytes.len());
    let size = decoder
        .output_buffer_size()
        .ok_or_else(|| ImagingError::damaged("WebP", "its size overflows"))?;
    let mut samples = vec![0; size];
    decoder.read_image(&mut samples).map_err(fault)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let samples = Samples::Eight(samples);
    let mut raster = Raster::new("WebP", height as usize, width as usize, channels, samples);
    // As for JPEG and PNG, damaged metadata is no reason to refuse the image.
    let block = decoder.exif_metadata().unwrap_or_default();
    raster.orientation = block.map_or(1, |block| exif::orientation(&block));
    Ok(raster)
}

fn fault(error: DecodingError) -> ImagingError {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            ImagingError::truncated("WebP", "the picture is incomplete")
        }
        e => ImagingError::damaged("WebP", e.to_string()),
    }
}
