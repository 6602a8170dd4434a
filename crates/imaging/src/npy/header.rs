//! The header of a `.npy` file: a magic, a version, a length, and a Python dictionary in text.

use super::damaged;
use crate::ImagingError;

const MAGIC: &[u8] = b"\x93NUMPY";

#[derive(Debug)]
pub(super) struct Header {
    /// `b`, `i`, `u` or `f`.
    pub(super) kind: char,
    /// Bytes an element: 1, 2, 4 or 8.
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
    let cut = || ImagingError::Truncated {
        format: "npy",
        detail: "the header is incomplete".to_owned(),
    };
    if !bytes.starts_with(MAGIC) {
        let same = bytes.iter().zip(MAGIC).take_while(|(a, b)| a == b).count();
        return Err(if same == bytes.len() {
            cut()
        } else {
            damaged("it does not start as npy does".into())
        });
    }
    let (length, start): (usize, usize) = match (bytes.get(6), bytes.get(8..12)) {
        (Some(1), Some(&[a, b, ..])) => (usize::from(u16::from_le_bytes([a, b])), 10),
        (Some(2 | 3), Some(&[a, b, c, d])) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        (Some(v), Some(_)) => return Err(damaged(format!("format version {v}; expected 1 to 3"))),
        _ => return Err(cut()),
    };
    let text = bytes
        .get(start..start.saturating_add(length))
        .ok_or_else(cut)?;
    let text =
        std::str::from_utf8(text).map_err(|_| damaged("the header is no text".to_owned()))?;
    Ok((dictionary(text)?, &bytes[start + length..]))
}

fn dictionary(text: &str) -> Result<Header, ImagingError> {
    let wrong = || {
        damaged(format!(
            "header {:?} is not of the form numpy writes",
            text.trim()
        ))
    };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
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
        rest = match key {
            "descr" => {
                let Some((d, after)) = quoted(value) else {
                    let advice = "save one field as an array of its own";
                    return Err(ImagingError::NpyType {
                        descr: "structure".to_owned(),
                        advice,
                    });
                };
                descr = Some(d);
                after
            }
            "fortran_order" => {
                let (flag, after) = if let Some(after) = value.strip_prefix("True") {
                    (true, after)
                } else {
                    (false, value.strip_prefix("False").ok_or_else(wrong)?)
                };
                fortran = Some(flag);
                after
            }
            "shape" => {
                let (inner, after) = value
                    .strip_prefix('(')
                    .and_then(|v| v.split_once(')'))
                    .ok_or_else(wrong)?;
                let axes = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
                // Python 2 wrote long integers with an L.
                let sizes = axes.map(|s| {
                    s.trim_end_matches('L')
                        .parse::<usize>()
                        .map_err(|_| wrong())
                });
                shape = Some(sizes.collect::<Result<Vec<_>, _>>()?);
                after
            }
            _ => return Err(wrong()),
        }
        .trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(wrong()),
        }
    }
    let (descr, fortran, shape) = (
        descr.ok_or_else(wrong)?,
        fortran.ok_or_else(wrong)?,
        shape.ok_or_else(wrong)?,
    );
    let (kind, size, big_endian) = element(descr)?;
    Ok(Header {
        kind,
        size,
        big_endian,
        fortran,
        shape,
    })
}

/// A quoted text at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn element(descr: &str) -> Result<(char, usize, bool), ImagingError> {
    let refuse = |advice| {
        Err(ImagingError::NpyType {
            descr: format!("{descr:?}"),
            advice,
        })
    };
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    match kind {
        "b1" | "u1" | "i1" | "u2" | "i2" | "u4" | "i4" | "u8" | "i8" | "f2" | "f4" | "f8"
            if matches!(order, "<" | ">" | "|" | "=") =>
        {
            let mut chars = kind.chars();
            let (kind, size) = (
                chars.next().unwrap_or_default(),
                chars.as_str().parse().unwrap_or_default(),
            );
            Ok((kind, size, order == ">"))
        }
        k if k.starts_with('O') => {
            refuse("it holds Python objects, which are never executed; save plain numbers")
        }
        _ => refuse("convert it with astype and save it again"),
    }
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
    // A shape of thousands of axes, the only way past 16 bits, cannot be had in numpy (at most 32).
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}
