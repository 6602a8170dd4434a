//! The header of a `.npy` file: a magic, a version, a length, and a Python dictionary in text.

use super::damaged;
use crate::ImagingError;

const MAGIC: &[u8] = b"\x93NUMPY";

#[derive(Debug)]
pub(super) struct Header {
    /// `b`, `i`, `u` or `f`.
    pub(super) kind: char,
    /// Bytes per element: 1, 2, 4 or 8.
    pub(super) size: usize,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// The header and the bytes after it.
pub(super) fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), ImagingError> {
    if bytes.is_empty() {
        return Err(ImagingError::ZeroBytes);
    }
    let cut = || ImagingError::truncated("npy", "the header is incomplete");
    if !bytes.starts_with(MAGIC) {
        let same = bytes.iter().zip(MAGIC).take_while(|(a, b)| a == b).count();
        return Err(if same == bytes.len() {
            cut()
        } else {
            damaged("it does not start with the magic of npy".into())
        });
    }
    let (length, start): (usize, usize) = match (bytes.get(6), bytes.get(8..12)) {
        (Some(1), Some(&[a, b, ..])) => (usize::from(u16::from_le_bytes([a, b])), 10),
        // Versions 2 and 3 have four bytes of length.
        (Some(2 | 3), Some(&[a, b, c, d])) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        (Some(v), Some(_)) => return Err(damaged(format!("format version {v}; expected 1 to 3"))),
        _ => return Err(cut()),
    };
    let text = bytes
        .get(start..start.saturating_add(length))
        .ok_or_else(cut)?;
    let text =
        std::str::from_utf8(text).map_err(|_| damaged("the header is not text".to_owned()))?;
    Ok((dictionary(text)?, &bytes[start + length..]))
}

/// Parses the dictionary by hand, since it may name only these three keys and a general parser of
/// Python literals would be larger than the format.
fn dictionary(text: &str) -> Result<Header, ImagingError> {
    let wrong = || {
        damaged(format!(
            "header {:?} is not of the form numpy writes",
            text.trim()
        ))
    };
    let mut descr = None;
    let mut fortran = None;
    let mut shape = None;
    let mut rest = text
        .trim()
        .strip_prefix('{')
        .ok_or_else(wrong)?
        .trim_start();
    while !rest.starts_with('}') {
        let (key, after) = quoted(rest).ok_or_else(wrong)?;
        let value = after
            .trim_start()
            .strip_prefix(':')
            .ok_or_else(wrong)?
            .trim_start();
        let after = match key {
            "descr" => {
                let (text, after) = quoted(value).ok_or(ImagingError::NpyType {
                    descr: "structure".to_owned(),
                    advice: "save each field as an array of its own",
                })?;
                descr = Some(text);
                after
            }
            "fortran_order" => {
                let (flag, after) = boolean(value).ok_or_else(wrong)?;
                fortran = Some(flag);
                after
            }
            "shape" => {
                let (sizes, after) = tuple(value).ok_or_else(wrong)?;
                shape = Some(sizes);
                after
            }
            _ => return Err(wrong()),
        };
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(wrong()),
        }
    }
    let (kind, size, big_endian) = element(descr.ok_or_else(wrong)?)?;
    Ok(Header {
        kind,
        size,
        big_endian,
        fortran: fortran.ok_or_else(wrong)?,
        shape: shape.ok_or_else(wrong)?,
    })
}

fn boolean(text: &str) -> Option<(bool, &str)> {
    match text.strip_prefix("True") {
        Some(after) => Some((true, after)),
        None => Some((false, text.strip_prefix("False")?)),
    }
}

/// A tuple of sizes at the start, and what follows it.
fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inner, after) = text.strip_prefix('(')?.split_once(')')?;
    let axes = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
    // Python 2 wrote long integers with an L.
    let sizes = axes
        .map(|s| s.trim_end_matches('L').parse().ok())
        .collect::<Option<_>>()?;
    Some((sizes, after))
}

/// A quoted text at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Kind, bytes and byte order of a type such as `<f4`.
fn element(descr: &str) -> Result<(char, usize, bool), ImagingError> {
    let mut chars = descr.chars();
    let order = chars.next().unwrap_or(' ');
    let kind = chars.next().unwrap_or(' ');
    let size = chars.as_str();
    let sizes: &[&str] = match kind {
        'b' => &["1"],
        'i' | 'u' => &["1", "2", "4", "8"],
        'f' => &["2", "4", "8"],
        _ => &[],
    };
    if "<>|=".contains(order) && sizes.contains(&size) {
        let size = size.parse().expect("one of the digits above");
        return Ok((kind, size, order == '>'));
    }
    Err(ImagingError::NpyType {
        descr: format!("{descr:?}"),
        advice: if kind == 'O' {
            "it holds Python objects, which are never executed; save plain numbers"
        } else {
            "convert it with astype and save it again"
        },
    })
}

/// What `numpy.save` writes before the values: version 1.0, padded so that the values start at a
/// multiple of 64 bytes.
pub(super) fn format(shape: &[usize], descr: &str) -> Vec<u8> {
    let axes = match shape {
        [one] => format!("({one},)"),
        _ => format!(
            "({})",
            shape
                .iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {axes}, }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(
        ' ',
        unpadded.next_multiple_of(64) - unpadded,
    ));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // Only a shape of thousands of axes would exceed 16 bits; numpy allows 64 at most.
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}
