//! PNG, and label images in it.

use crate::decode::Limits;
use crate::raster::{Raster, Samples};
use crate::sniff::{self, Format};
use crate::{ImagingError, exif};
use png::{BitDepth, ColorType, Transformations};
use std::io::Cursor;

/// Grey of 1 to 16 bits, palette, RGB, each with or without alpha.
pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    let raw = read_png(bytes, limits, Transformations::EXPAND)?;
    let samples = if raw.depth == BitDepth::Sixteen {
        let pairs = raw.data.chunks_exact(2);
        Samples::Sixteen(pairs.map(|p| u16::from_be_bytes([p[0], p[1]])).collect())
    } else {
        Samples::Eight(raw.data)
    };
    let channels = raw.colour.samples();
    let mut raster = Raster::new("PNG", raw.height, raw.width, channels, samples);
    raster.orientation = raw.orientation;
    Ok(raster)
}

/// Labels as a file states them, not yet checked against a number of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLabels {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// One label per pixel, row-major.
    pub labels: Vec<u8>,
}

/// Decodes a label image: of an indexed PNG the index, of an 8-bit grey PNG the value. Fewer bits
/// of grey, which other programs scale up to 255, are refused.
///
/// # Errors
/// As `decode`, and [`ImagingError::NotLabels`] for colour, alpha or JPEG (which does not keep
/// values).
pub fn decode_labels(bytes: &[u8]) -> Result<RawLabels, ImagingError> {
    if sniff::format(bytes)? == Format::Jpeg {
        return Err(ImagingError::NotLabels(
            "a JPEG, which does not keep values,",
        ));
    }
    // Expanding would turn the indices of a palette into its colours.
    let raw = read_png(bytes, Limits::default(), Transformations::IDENTITY)?;
    let bits = raw.depth as u8;
    match (raw.colour, bits) {
        (_, 16) => {
            return Err(ImagingError::Depth {
                format: "PNG",
                bits: 16,
            });
        }
        (ColorType::Indexed, _) | (ColorType::Grayscale, 8) => {}
        (ColorType::Grayscale, _) => {
            return Err(ImagingError::Depth {
                format: "grey PNG",
                bits,
            });
        }
        (ColorType::GrayscaleAlpha | ColorType::Rgba, _) => {
            return Err(ImagingError::NotLabels("a PNG with an alpha channel"));
        }
        (ColorType::Rgb, _) => return Err(ImagingError::NotLabels("an RGB PNG")),
    }
    let mut labels = Vec::with_capacity(raw.height * raw.width);
    let per_byte = 8 / usize::from(bits);
    let mask = 0xff_u8 >> (8 - bits);
    for row in raw.data.chunks_exact(raw.line) {
        labels.extend((0..raw.width).map(|x| {
            // PNG packs the leftmost pixel into the highest bits.
            let shift = 8 - usize::from(bits) * (x % per_byte + 1);
            (row[x / per_byte] >> shift) & mask
        }));
    }
    Ok(RawLabels {
        height: raw.height,
        width: raw.width,
        labels,
    })
}

struct RawPng {
    height: usize,
    width: usize,
    colour: ColorType,
    depth: BitDepth,
    line: usize,
    data: Vec<u8>,
    orientation: u8,
}

fn read_png(
    bytes: &[u8],
    limits: Limits,
    transform: Transformations,
) -> Result<RawPng, ImagingError> {
    let header = sniff::png_header(bytes)?;
    limits.check(header.height, header.width)?;
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // The limit above bounds the picture; this one also bounds the ancillary chunks.
    let memory = usize::try_from(limits.pixels.saturating_mul(8).saturating_add(64 << 20))
        .unwrap_or(usize::MAX);
    decoder.set_limits(png::Limits { bytes: memory });
    decoder.set_transformations(transform);
    // Neither reaches the pixels, and a damaged one is no reason to refuse the image.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(png_error)?;
    if reader.info().animation_control.is_some() {
        return Err(ImagingError::Animated("PNG"));
    }
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| ImagingError::damaged("PNG", "its size overflows"))?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data).map_err(png_error)?;
    Ok(RawPng {
        height: info.height as usize,
        width: info.width as usize,
        colour: info.color_type,
        depth: info.bit_depth,
        line: info.line_size,
        data,
        orientation: header.exif.map_or(1, exif::orientation),
    })
}

fn png_error(error: png::DecodingError) -> ImagingError {
    match error {
        png::DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImagingError::truncated("PNG", "the picture is incomplete")
        }
        e => ImagingError::damaged("PNG", e.to_string()),
    }
}
