//! BMP: palettes, RLE, 16 to 32 bits per pixel.

use crate::ImagingError;
use crate::decode::Limits;
use crate::raster::{Raster, Samples};
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;

/// Place of the size of the second header, from which on a file may have an alpha mask.
const HEADER_SIZE: usize = 14;
const ALPHA_MASK: usize = 66;

pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    // The decoder's own limit is below ours, which is checked as soon as the header is known.
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = zune_bmp::BmpDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |e: zune_bmp::BmpDecoderErrors| ImagingError::damaged("BMP", format!("{e:?}"));
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| ImagingError::damaged("BMP", "no size"))?;
    limits.check(height as u64, width as u64)?;
    let stated = stated_size(bytes);
    if bytes.len() < stated {
        let detail = format!("{} of {stated} bytes", bytes.len());
        return Err(ImagingError::truncated("BMP", detail));
    }
    let channels = decoder.colorspace().map_or(0, |c| c.num_components());
    let mut samples = decoder.decode().map_err(damaged)?;
    if channels == 4 && !has_alpha(bytes) {
        // Without a mask, the fourth byte is padding of any value.
        samples.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    }
    Ok(Raster::new(
        "BMP",
        height,
        width,
        channels,
        Samples::Eight(samples),
    ))
}

/// The size of the file as its header states it; 0, of no meaning, from some old writers.
fn stated_size(bytes: &[u8]) -> usize {
    long(bytes, 2).unwrap_or(0) as usize
}

fn has_alpha(bytes: &[u8]) -> bool {
    let header = long(bytes, HEADER_SIZE).unwrap_or(0);
    header >= 56 && long(bytes, ALPHA_MASK).is_some_and(|mask| mask != 0)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_le_bytes)
}
