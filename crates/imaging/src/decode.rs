use crate::ImagingError;
use crate::sniff::{self, Format};
use png::{BitDepth, ColorType, Transformations};
use segad_core::Image;
use std::io::Cursor;
use std::path::Path;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

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
    fn check(self, height: u64, width: u64) -> Result<(), ImagingError> {
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

/// Decodes a PNG or JPEG of at most 100 million pixels. Grey (1 to 8 bits) and palette images
/// become RGB; an alpha channel is dropped where every pixel is opaque and is an error elsewhere.
///
/// # Errors
/// Says what the bytes are and what to do: empty, truncated, damaged, another format, 16 bits,
/// CMYK, animated, not opaque, too large.
pub fn decode(bytes: &[u8]) -> Result<Image, ImagingError> {
    decode_with(bytes, Limits::default())
}

/// [`decode`] with another limit.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(bytes: &[u8], limits: Limits) -> Result<Image, ImagingError> {
    match sniff::format(bytes)? {
        Format::Png => decode_png(bytes, limits),
        Format::Jpeg => decode_jpeg(bytes, limits),
    }
}

/// Reads and decodes a file as [`decode`].
///
/// # Errors
/// As [`decode`], naming the file.
pub fn open(path: &Path) -> Result<Image, ImagingError> {
    decode(&read_file(path)?).map_err(|e| e.at(path))
}

/// Reads a whole file.
///
/// # Errors
/// [`ImagingError::Read`] naming the file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, ImagingError> {
    segad_files::read(path).map_err(|e| ImagingError::Read(e.source).at(path))
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
/// As [`decode`], and [`ImagingError::NotLabels`] for colour, alpha or JPEG (which does not keep
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
}

fn read_png(
    bytes: &[u8],
    limits: Limits,
    transform: Transformations,
) -> Result<RawPng, ImagingError> {
    let (height, width) = sniff::png_size(bytes)?;
    limits.check(height, width)?;
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
    if reader.info().bit_depth == BitDepth::Sixteen {
        return Err(ImagingError::Depth {
            format: "PNG",
            bits: 16,
        });
    }
    if reader.info().animation_control.is_some() {
        return Err(ImagingError::Animated);
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

fn decode_png(bytes: &[u8], limits: Limits) -> Result<Image, ImagingError> {
    let RawPng {
        height,
        width,
        colour,
        mut data,
        ..
    } = read_png(bytes, limits, Transformations::EXPAND)?;
    let alpha = match colour {
        ColorType::GrayscaleAlpha => Some(2),
        ColorType::Rgba => Some(4),
        _ => None,
    };
    if let Some(samples) = alpha {
        // Dropping an alpha that matters would show colours that no viewer shows.
        if let Some(i) = data
            .chunks_exact(samples)
            .position(|p| p[samples - 1] != 255)
        {
            let alpha = data[i * samples + samples - 1];
            return Err(ImagingError::Transparent {
                row: i / width,
                column: i % width,
                alpha,
            });
        }
        data = data
            .chunks_exact(samples)
            .flat_map(|p| p[..samples - 1].iter().copied())
            .collect();
    }
    Ok(match colour {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => Image::from_grey(height, width, &data)?,
        _ => Image::from_rgb(height, width, data)?,
    })
}

fn decode_jpeg(bytes: &[u8], limits: Limits) -> Result<Image, ImagingError> {
    let frame = sniff::jpeg_frame(bytes)?;
    if frame.bits != 8 {
        return Err(ImagingError::Depth {
            format: "JPEG",
            bits: frame.bits,
        });
    }
    let space = match frame.components {
        1 => ColorSpace::Luma,
        3 => ColorSpace::RGB,
        4 => return Err(ImagingError::Cmyk),
        n => return Err(ImagingError::Components(n)),
    };
    limits.check(u64::from(frame.height), u64::from(frame.width))?;
    // The decoder's own limits are below those of the format; ours has been checked.
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(space);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder
        .decode()
        .map_err(|e| ImagingError::damaged("JPEG", e.to_string().trim()))?;
    let height = usize::from(frame.height);
    let width = usize::from(frame.width);
    Ok(if frame.components == 1 {
        Image::from_grey(height, width, &pixels)?
    } else {
        Image::from_rgb(height, width, pixels)?
    })
}
