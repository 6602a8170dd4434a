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
    // The decoder makes up what is missing.
    let needed = stated_size(bytes).max(pixels_end(bytes, height, width).unwrap_or(0));
    if bytes.len() < needed {
        let detail = format!("{} of {needed} bytes", bytes.len());
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

/// Where the last pixel ends, unless pixels are compressed.
fn pixels_end(bytes: &[u8], height: usize, width: usize) -> Option<usize> {
    let is_oldest = long(bytes, HEADER_SIZE)? == 12;
    let (bits, compression) = if is_oldest {
        (long(bytes, 24)? & 0xffff, 0)
    } else {
        (long(bytes, 28)? & 0xffff, long(bytes, 30)?)
    };
    // RLE of 8 and of 4 bits, and whole files of other formats.
    if [1, 2, 4, 5].contains(&compression) {
        return None;
    }
    let line = width.checked_mul(bits as usize)?;
    // Lines are padded to four bytes; of the last one, some writers leave that out.
    let above = (line.div_ceil(32) * 4).checked_mul(height.checked_sub(1)?)?;
    (long(bytes, 10)? as usize)
        .checked_add(above)?
        .checked_add(line.div_ceil(8))
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
