//! PGM and PPM of netpbm, plain (P2, P3) or binary (P5, P6), of 8 or 16 bits.

use crate::ImagingError;
use crate::decode::Limits;
use crate::raster::{Raster, Samples};

pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<Raster, ImagingError> {
    let is_plain = matches!(bytes.get(1), Some(b'2' | b'3'));
    let channels = if matches!(bytes.get(1), Some(b'2' | b'5')) {
        1
    } else {
        3
    };
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut header = [0; 3];
    for (name, value) in ["width", "height", "maximum"].into_iter().zip(&mut header) {
        *value = number(&mut rest)
            .ok_or_else(|| ImagingError::damaged("PNM", format!("no {name} in the header")))?;
    }
    let [width, height, maximum] = header;
    limits.check(u64::from(height), u64::from(width))?;
    if height == 0 || width == 0 {
        let detail = format!("{height}×{width} pixels");
        return Err(ImagingError::damaged("PNM", detail));
    }
    if !(1..=65535).contains(&maximum) {
        let detail = format!("largest value {maximum}");
        return Err(ImagingError::damaged("PNM", detail));
    }
    let count = height as usize * width as usize * channels;
    let values = if is_plain {
        plain(rest, count)
    } else {
        // One white space ends the header; what follows the picture is another picture or a comment.
        binary(rest.get(1..).unwrap_or_default(), count, maximum > 255)
    };
    let values =
        values.ok_or_else(|| ImagingError::truncated("PNM", "the picture is incomplete"))?;
    if let Some(value) = values.iter().find(|&&v| u32::from(v) > maximum) {
        let detail = format!("value {value} above the largest, {maximum}");
        return Err(ImagingError::damaged("PNM", detail));
    }
    let samples = if maximum > 255 {
        Samples::Sixteen(values)
    } else {
        let spread = |v: u16| ((u32::from(v) * 510 + maximum) / (2 * maximum)) as u8;
        Samples::Eight(values.into_iter().map(spread).collect())
    };
    Ok(Raster::new(
        "PNM",
        height as usize,
        width as usize,
        channels,
        samples,
    ))
}

/// The next decimal number, after white space and comments.
fn number(rest: &mut &[u8]) -> Option<u32> {
    loop {
        *rest = rest.trim_ascii_start();
        if !rest.starts_with(b"#") {
            break;
        }
        let end = rest.iter().position(|&b| b == b'\n')?;
        *rest = &rest[end..];
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (text, tail) = rest.split_at(digits);
    *rest = tail;
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn plain(mut rest: &[u8], count: usize) -> Option<Vec<u16>> {
    // At least a digit and a space each, so that a header alone cannot make this large.
    if rest.len() < 2 * count - 1 {
        return None;
    }
    (0..count)
        .map(|_| number(&mut rest).map(|v| v.min(u32::from(u16::MAX)) as u16))
        .collect()
}

fn binary(rest: &[u8], count: usize, wide: bool) -> Option<Vec<u16>> {
    if !wide {
        return Some(rest.get(..count)?.iter().copied().map(u16::from).collect());
    }
    let pairs = rest.get(..2 * count)?.chunks_exact(2);
    Some(pairs.map(|p| u16::from_be_bytes([p[0], p[1]])).collect())
}
