//! TIFF: grey and RGB of 8 or 16 bits, CMYK of 8, plain or compressed by PackBits, LZW, Deflate or
//! JPEG, in strips or tiles, BigTIFF too.

use crate::decode::Limits;
use crate::raster::{Raster, Samples};
use crate::reading::Warning;
use crate::{ImagingError, cmyk};
use std::io::{Cursor, ErrorKind};
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

/// Working memory beside the picture.
const WORKING: usize = 64 << 20;

pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(fault)?;
    let (width, height) = decoder.dimensions().map_err(fault)?;
    limits.check(u64::from(height), u64::from(width))?;
    let colours = decoder.colortype().map_err(fault)?;
    let channels = channels(colours)?;
    let (height, width) = (height as usize, width as usize);
    let size = height * width * usize::from(colours.num_samples());
    let mut own = tiff::decoder::Limits::default();
    own.decoding_buffer_size = size * 2;
    own.intermediate_buffer_size = size * 2 + WORKING;
    let mut decoder = decoder.with_limits(own);
    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut result).map_err(fault)?;
    let mut samples = match result {
        DecodingResult::U8(values) => Samples::Eight(values),
        DecodingResult::U16(values) => Samples::Sixteen(values),
        _ => return Err(unsupported("samples that are not unsigned integers")),
    };
    if layout.planes > 1 {
        samples = match samples {
            Samples::Eight(v) => Samples::Eight(interleave(&v, layout.planes)),
            Samples::Sixteen(v) => Samples::Sixteen(interleave(&v, layout.planes)),
        };
    }
    let mut warnings = Vec::new();
    if let (ColorType::CMYK(8), Samples::Eight(values)) = (colours, &samples) {
        samples = Samples::Eight(cmyk::to_rgb(values));
        warnings.push(Warning::Cmyk);
    }
    let found = match &samples {
        Samples::Eight(values) => values.len(),
        Samples::Sixteen(values) => values.len(),
    };
    if found != height * width * channels {
        return Err(ImagingError::damaged(
            "TIFF",
            "its size contradicts its layout",
        ));
    }
    let mut raster = Raster::new("TIFF", height, width, channels, samples);
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation);
    raster.orientation = orientation
        .map_err(fault)?
        .filter(|o| (1..=8).contains(o))
        .unwrap_or(1);
    if decoder.more_images() {
        warnings.push(Warning::Pages);
    }
    raster.warnings = warnings;
    Ok(raster)
}

/// Samples per pixel of the raster.
fn channels(colours: ColorType) -> Result<usize, ImagingError> {
    match colours {
        ColorType::Gray(8 | 16) => Ok(1),
        ColorType::Multiband {
            bit_depth: 8 | 16,
            num_samples: 2,
        } => Ok(2),
        ColorType::RGB(8 | 16) | ColorType::CMYK(8) => Ok(3),
        ColorType::RGBA(8 | 16) => Ok(4),
        ColorType::Gray(bits) | ColorType::RGB(bits) | ColorType::RGBA(bits) => {
            Err(ImagingError::Depth {
                format: "TIFF",
                bits,
            })
        }
        other => Err(unsupported(&format!("colours {other:?}"))),
    }
}

/// Samples that lie plane by plane, pixel by pixel.
fn interleave<T: Copy>(values: &[T], planes: usize) -> Vec<T> {
    let plane = values.len() / planes;
    let mut out = Vec::with_capacity(values.len());
    for i in 0..plane {
        out.extend((0..planes).map(|p| values[p * plane + i]));
    }
    out
}

fn unsupported(what: &str) -> ImagingError {
    ImagingError::Variant {
        format: "TIFF",
        what: what.to_owned(),
    }
}

fn fault(error: TiffError) -> ImagingError {
    match error {
        TiffError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            ImagingError::truncated("TIFF", "the picture is incomplete")
        }
        TiffError::UnsupportedError(e) => unsupported(&e.to_string()),
        e => ImagingError::damaged("TIFF", e.to_string()),
    }
}
