//! What a file says about itself before anything is allocated.

use crate::ImagingError;

/// Formats told apart by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
}

pub(crate) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Tells the format, or why it is none that is read here.
pub(crate) fn format(bytes: &[u8]) -> Result<Format, ImagingError> {
    if bytes.is_empty() {
        return Err(ImagingError::ZeroBytes);
    }
    if bytes.starts_with(PNG_SIGNATURE) {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(Format::Jpeg);
    }
    for (format, signature) in [("PNG", PNG_SIGNATURE), ("JPEG", b"\xff\xd8\xff".as_slice())] {
        if signature.starts_with(bytes) {
            return Err(ImagingError::Truncated {
                format,
                detail: format!("{} bytes in all", bytes.len()),
            });
        }
    }
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..offset + magic.len()) == Some(magic);
    let named = [
        (at(0, b"GIF8"), "GIF"),
        (at(0, b"BM") && bytes.len() > 26, "BMP"),
        (
            at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+"),
            "TIFF",
        ),
        (at(0, b"RIFF") && at(8, b"WEBP"), "WebP"),
        (at(4, b"ftypavif") || at(4, b"ftypavis"), "AVIF"),
        (at(4, b"ftyphei") || at(4, b"ftypmif1"), "HEIF"),
        (at(4, b"jP  \r\n\x87\n"), "JPEG 2000"),
        (at(0, b"\0\0\0\x0cJXL ") || at(0, b"\xff\x0a"), "JPEG XL"),
    ];
    if let Some((_, name)) = named.into_iter().find(|(hit, _)| *hit) {
        return Err(ImagingError::OtherFormat(name));
    }
    let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Err(ImagingError::NotAnImage(start.join(" ")))
}

/// Height and width from the first chunk, and that the last chunk is there: without it the file was
/// cut.
pub(crate) fn png_size(bytes: &[u8]) -> Result<(u64, u64), ImagingError> {
    let cut = |detail: &str| ImagingError::Truncated {
        format: "PNG",
        detail: detail.to_owned(),
    };
    let word = |at: usize| -> Option<u32> {
        bytes
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)
    };
    if bytes.len() < 33 {
        return Err(cut("the header is incomplete"));
    }
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err(ImagingError::Damaged {
            format: "PNG",
            detail: "the first chunk is not IHDR".to_owned(),
        });
    }
    let width = word(16).ok_or_else(|| cut("no width"))?;
    let height = word(20).ok_or_else(|| cut("no height"))?;
    let mut at = 8;
    while bytes.get(at + 4..at + 8) != Some(b"IEND") {
        let length = word(at).ok_or_else(|| cut("the end chunk is missing"))? as usize;
        at = at.saturating_add(length).saturating_add(12);
        if at.saturating_add(8) > bytes.len() {
            return Err(cut("the end chunk is missing"));
        }
    }
    Ok((u64::from(height), u64::from(width)))
}

/// The frame header of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JpegFrame {
    pub(crate) bits: u8,
    pub(crate) height: u16,
    pub(crate) width: u16,
    pub(crate) components: u8,
}

/// Walks the segments to the frame header and on to the end marker: decoders paint a cut file grey
/// instead of failing.
pub(crate) fn jpeg_frame(bytes: &[u8]) -> Result<JpegFrame, ImagingError> {
    let cut = |what: &str| ImagingError::Truncated {
        format: "JPEG",
        detail: what.to_owned(),
    };
    let damaged = |detail: String| ImagingError::Damaged {
        format: "JPEG",
        detail,
    };
    let byte = |at: usize| bytes.get(at).copied();
    let mut frame = None;
    let mut scans = 0;
    let mut at = 2;
    loop {
        // To the next marker. Before the first scan only fill bytes may stand here; after it, the
        // coded picture.
        while byte(at).ok_or_else(|| cut("the end marker is missing"))? != 0xff {
            at += 1;
        }
        while byte(at) == Some(0xff) {
            at += 1;
        }
        let marker = byte(at).ok_or_else(|| cut("the end marker is missing"))?;
        at += 1;
        match marker {
            // A stuffed zero, TEM, restart markers, a second start: nothing follows them.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => break,
            _ => {}
        }
        let (Some(high), Some(low)) = (byte(at), byte(at + 1)) else {
            return Err(cut("a segment is incomplete"));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            return Err(damaged(format!("segment {marker:02x} of length {length}")));
        }
        let Some(body) = bytes.get(at + 2..at + length) else {
            return Err(cut("a segment is incomplete"));
        };
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let &[bits, h1, h0, w1, w0, components, ..] = body else {
                    return Err(damaged("frame header too short".to_owned()));
                };
                let found = JpegFrame {
                    bits,
                    height: u16::from_be_bytes([h1, h0]),
                    width: u16::from_be_bytes([w1, w0]),
                    components,
                };
                if frame.replace(found).is_some() {
                    return Err(damaged("two frame headers".to_owned()));
                }
            }
            0xda => scans += 1,
            _ => {}
        }
        at += length;
    }
    match frame {
        Some(frame) if scans > 0 => Ok(frame),
        _ => Err(damaged("no picture before the end marker".to_owned())),
    }
}
