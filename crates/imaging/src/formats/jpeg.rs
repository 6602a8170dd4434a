//! JPEG: grey, YCbCr, RGB, CMYK and YCCK of 8 bits, baseline or progressive.

use crate::decode::Limits;
use crate::raster::{Raster, Samples};
use crate::reading::Warning;
use crate::{ImagingError, cmyk, exif, sniff};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    let frame = sniff::jpeg_frame(bytes)?;
    if frame.bits != 8 {
        return Err(ImagingError::Depth {
            format: "JPEG",
            bits: frame.bits,
        });
    }
    let (space, channels) = match (frame.components, frame.adobe) {
        (1, _) => (ColorSpace::Luma, 1),
        (3, _) => (ColorSpace::RGB, 3),
        // Adobe's inks are inverted, which is what the decoder expects.
        (4, true) => (ColorSpace::RGB, 3),
        (4, false) => (ColorSpace::CMYK, 3),
        (n, _) => return Err(ImagingError::Components(n)),
    };
    limits.check(u64::from(frame.height), u64::from(frame.width))?;
    // The decoder's own limits are below those of the format; ours has been checked.
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(space);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let mut pixels = decoder
        .decode()
        .map_err(|e| ImagingError::damaged("JPEG", e.to_string().trim()))?;
    if space == ColorSpace::CMYK {
        pixels = cmyk::to_rgb(&pixels);
    }
    let height = usize::from(frame.height);
    let width = usize::from(frame.width);
    let mut raster = Raster::new("JPEG", height, width, channels, Samples::Eight(pixels));
    if frame.components == 4 {
        raster.warnings.push(Warning::Cmyk);
    }
    raster.orientation = decoder.exif().map_or(1, |exif| exif::orientation(exif));
    Ok(raster)
}
