//! The orientation that a camera states: the tag `Orientation` (0x0112) of EXIF 2.32, 4.6.4, which
//! JPEG holds in APP1, PNG in `eXIf`, WebP in `EXIF` and TIFF in its first directory.

use crate::ImagingError;
use segad_core::Image;

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation in an EXIF block, 1 to 8. A block that cannot be read states none, as in other
/// programs: it is no reason to refuse the image.
pub(crate) fn orientation(exif: &[u8]) -> u8 {
    stated(exif).unwrap_or(1)
}

fn stated(exif: &[u8]) -> Option<u8> {
    // Some writers keep the prefix that JPEG needs.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match exif.first_chunk()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let long = |at: usize| -> Option<usize> {
        let bytes = *exif.get(at..)?.first_chunk()?;
        let value = if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        };
        usize::try_from(value).ok()
    };
    let directory = long(4)?;
    let entries = usize::from(short(directory)?);
    for entry in 0..entries {
        // Tag, type, number of values, value: 12 bytes.
        let at = directory.checked_add(2 + 12 * entry)?;
        if short(at)? == ORIENTATION && short(at + 2)? == SHORT {
            return u8::try_from(short(at + 8)?)
                .ok()
                .filter(|o| (1..=8).contains(o));
        }
    }
    None
}

/// Turns and mirrors an image so that its first row is its upper edge and its first column its left
/// one.
pub(crate) fn upright(image: Image, orientation: u8) -> Result<Image, ImagingError> {
    let height = image.height();
    let width = image.width();
    // Where the pixel at (row y, column x) of the result is stored.
    let place: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |y, x, _, w| (y, w - 1 - x),
        3 => |y, x, h, w| (h - 1 - y, w - 1 - x),
        4 => |y, x, h, _| (h - 1 - y, x),
        5 => |y, x, _, _| (x, y),
        6 => |y, x, h, _| (h - 1 - x, y),
        7 => |y, x, h, w| (h - 1 - x, w - 1 - y),
        8 => |y, x, _, w| (x, w - 1 - y),
        _ => return Ok(image),
    };
    let (rows, columns) = if orientation >= 5 {
        (width, height)
    } else {
        (height, width)
    };
    let stored = image.rgb();
    let mut rgb = Vec::with_capacity(stored.len());
    for y in 0..rows {
        for x in 0..columns {
            let (row, column) = place(y, x, height, width);
            let at = 3 * (row * width + column);
            rgb.extend_from_slice(&stored[at..at + 3]);
        }
    }
    Ok(Image::from_rgb(rows, columns, rgb)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one entry.
    fn block(big: bool, tag: u16, kind: u16, value: u16) -> Vec<u8> {
        let short = |v: u16| {
            if big {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let mut out = if big {
            b"MM\0*\0\0\0\x08"
        } else {
            b"II*\0\x08\0\0\0"
        }
        .to_vec();
        for v in [1, tag, kind] {
            out.extend(short(v));
        }
        out.extend(if big { [0, 0, 0, 1] } else { [1, 0, 0, 0] });
        out.extend(short(value));
        out.extend([0; 6]);
        out
    }

    #[test]
    fn the_tag_is_found_in_both_byte_orders_or_nothing_is_stated() {
        for big in [false, true] {
            for value in 1..=8 {
                let block = block(big, ORIENTATION, SHORT, value);
                assert_eq!(orientation(&block), value as u8);
                assert_eq!(
                    orientation(&[b"Exif\0\0", &block[..]].concat()),
                    value as u8
                );
            }
            for (tag, kind, value) in [
                (0x0113, SHORT, 6),
                (ORIENTATION, 4, 6),
                (ORIENTATION, SHORT, 9),
            ] {
                assert_eq!(orientation(&block(big, tag, kind, value)), 1);
            }
        }
        let whole = block(false, ORIENTATION, SHORT, 6);
        for cut in 0..18 {
            assert_eq!(orientation(&whole[..cut]), 1, "{cut}");
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), 1);
    }
}
