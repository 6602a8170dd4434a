//! Checks of a file's own structure, made before anything is allocated.

use crate::ImagingError;
use std::ffi::OsStr;
use std::path::Path;

/// Formats that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Bmp,
    Tiff,
    WebP,
    Pnm,
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

impl Format {
    /// What people call it.
    fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
            Self::Pnm => "PNM",
        }
    }

    /// By the first bytes.
    fn of(head: &[u8]) -> Option<Self> {
        let four: &[u8; 4] = head.first_chunk()?;
        match four {
            _ if head.starts_with(PNG) => Some(Self::Png),
            _ if head.starts_with(JPEG) => Some(Self::Jpeg),
            b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+" => Some(Self::Tiff),
            b"RIFF" if head.get(8..12) == Some(b"WEBP") => Some(Self::WebP),
            // Two letters are a weak signature, so a whole header is required as well.
            [b'B', b'M', ..] if head.len() > 26 => Some(Self::Bmp),
            [b'P', b'2' | b'3' | b'5' | b'6', space, _] if space.is_ascii_whitespace() => {
                Some(Self::Pnm)
            }
            _ => None,
        }
    }
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// An image in a format that [`decode`](crate::decode) reads, by name.
    Readable(&'static str),
    /// An image in another format, by name.
    Unsupported(&'static str),
    /// Nothing that looks like an image.
    Unknown,
}

impl Recognised {
    /// How many bytes from the start of a file are needed to tell.
    pub const HEAD: usize = 32;
}

/// What a file is, by its first [`Recognised::HEAD`] bytes (all, if it has fewer), whatever its
/// name says. Only [`decode`](crate::decode) finds out whether the rest fits.
pub fn recognise(head: &[u8]) -> Recognised {
    match (Format::of(head), other_format(head)) {
        (Some(format), _) => Recognised::Readable(format.name()),
        (None, Some(name)) => Recognised::Unsupported(name),
        (None, None) => Recognised::Unknown,
    }
}

/// How names of files in the formats that are decoded end, and their types in the headers of a
/// request.
const TYPES: [(&str, &str); 9] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("webp", "image/webp"),
    ("pgm", "image/x-portable-graymap"),
    ("ppm", "image/x-portable-pixmap"),
];

/// Media types of the formats that are decoded.
pub fn media_types() -> Vec<&'static str> {
    let mut types: Vec<&str> = TYPES.map(|(_, media)| media).to_vec();
    types.dedup();
    types
}

/// The media type of files whose names end in `extension`, in any spelling (VisA has `.JPG`).
pub fn media_type_of(extension: &OsStr) -> Option<&'static str> {
    let mut types = TYPES.into_iter();
    let own = types.find(|(known, _)| extension.eq_ignore_ascii_case(known));
    own.map(|(_, media)| media)
}

/// True if the name is that of an image in a format that is decoded. What the file contains,
/// [`recognise`] tells.
pub fn is_image_name(path: &Path) -> bool {
    path.extension().and_then(media_type_of).is_some()
}

/// The format, or why it is not supported.
pub(crate) fn format(bytes: &[u8]) -> Result<Format, ImagingError> {
    if bytes.is_empty() {
        return Err(ImagingError::ZeroBytes);
    }
    if let Some(format) = Format::of(bytes) {
        return Ok(format);
    }
    for (format, signature) in [("PNG", PNG), ("JPEG", JPEG)] {
        if signature.starts_with(bytes) {
            let detail = format!("{} bytes in all", bytes.len());
            return Err(ImagingError::truncated(format, detail));
        }
    }
    if let Some(name) = other_format(bytes) {
        return Err(ImagingError::OtherFormat(name));
    }
    let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Err(ImagingError::NotAnImage(start.join(" ")))
}

/// The name of a format that is known but not supported.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let four: &[u8; 4] = bytes.first_chunk()?;
    // The formats of the MPEG-4 family start with the length of a box, then its type.
    let box_type = bytes.get(4..).unwrap_or_default();
    match four {
        b"GIF8" => Some("GIF"),
        [b'P', b'1' | b'4', space, _] if space.is_ascii_whitespace() => Some("PBM"),
        [0xff, 0x0a, ..] => Some("JPEG XL"),
        _ if box_type.starts_with(b"ftypavi") => Some("AVIF"),
        _ if box_type.starts_with(b"ftyphei") || box_type.starts_with(b"ftypmif1") => Some("HEIF"),
        _ if box_type.starts_with(b"jP  \r\n\x87\n") => Some("JPEG 2000"),
        _ if bytes.starts_with(b"\0\0\0\x0cJXL ") => Some("JPEG XL"),
        _ => None,
    }
}

/// What is known of a PNG before it is decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PngHeader<'a> {
    pub(crate) height: u64,
    pub(crate) width: u64,
    pub(crate) exif: Option<&'a [u8]>,
}

/// Walks the chunks. A file without the last one is truncated.
pub(crate) fn png_header(bytes: &[u8]) -> Result<PngHeader<'_>, ImagingError> {
    if bytes.len() < 33 {
        return Err(ImagingError::truncated("PNG", "the header is incomplete"));
    }
    if bytes.get(12..16) != Some(b"IHDR") {
        return Err(ImagingError::damaged("PNG", "the first chunk is not IHDR"));
    }
    let no_end = || ImagingError::truncated("PNG", "the end chunk is missing");
    let width = big_endian(bytes, 16).ok_or_else(no_end)?;
    let height = big_endian(bytes, 20).ok_or_else(no_end)?;
    let mut exif = None;
    let mut at = 8;
    while bytes.get(at + 4..at + 8) != Some(b"IEND") {
        let length = big_endian(bytes, at).ok_or_else(no_end)? as usize;
        if bytes.get(at + 4..at + 8) == Some(b"eXIf") {
            // It may also follow the picture, where the decoder does not look.
            exif = exif.or(bytes.get(at + 8..(at + 8).saturating_add(length)));
        }
        // A chunk is its length, type, content and checksum. The length may be any number, so the
        // sum must not overflow.
        at = at.saturating_add(length).saturating_add(12);
        if at.saturating_add(8) > bytes.len() {
            return Err(no_end());
        }
    }
    Ok(PngHeader {
        height: u64::from(height),
        width: u64::from(width),
        exif,
    })
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

/// The frame header of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JpegFrame {
    pub(crate) bits: u8,
    pub(crate) height: u16,
    pub(crate) width: u16,
    pub(crate) components: u8,
    /// Adobe's marker is there: four components are inverted inks.
    pub(crate) adobe: bool,
}

/// Walks the segments to the frame header and on to the end marker. Decoders fill the rest of a
/// truncated file with grey instead of failing.
pub(crate) fn jpeg_frame(bytes: &[u8]) -> Result<JpegFrame, ImagingError> {
    let no_end = || ImagingError::truncated("JPEG", "the end marker is missing");
    let incomplete = || ImagingError::truncated("JPEG", "a segment is incomplete");
    let mut frames = Vec::new();
    let mut scans = 0;
    let mut adobe = false;
    let mut at = 2;
    loop {
        // To the next marker, over the coded picture after a scan header, and over fill bytes.
        at += bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0xff))
            .ok_or_else(no_end)?;
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let marker = *bytes.get(at).ok_or_else(no_end)?;
        at += 1;
        match marker {
            // A stuffed zero, TEM, restart markers, a second start: nothing follows them.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => break,
            _ => {}
        }
        let length = bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .ok_or_else(incomplete)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            let detail = format!("segment {marker:02x} of length {length}");
            return Err(ImagingError::damaged("JPEG", detail));
        }
        let body = bytes.get(at + 2..at + length).ok_or_else(incomplete)?;
        match marker {
            // All of them but DHT, JPG and DAC are frame headers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                frames.push(JpegFrame::read(body)?)
            }
            0xda => scans += 1,
            0xee => adobe |= body.starts_with(b"Adobe"),
            _ => {}
        }
        at += length;
    }
    match frames[..] {
        [frame] if scans > 0 => Ok(JpegFrame { adobe, ..frame }),
        [] | [_] => {
            let detail = "no picture before the end marker";
            Err(ImagingError::damaged("JPEG", detail))
        }
        _ => Err(ImagingError::damaged("JPEG", "several frame headers")),
    }
}

impl JpegFrame {
    fn read(body: &[u8]) -> Result<Self, ImagingError> {
        let &[bits, h1, h0, w1, w0, components, ..] = body else {
            return Err(ImagingError::damaged("JPEG", "frame header too short"));
        };
        Ok(Self {
            bits,
            height: u16::from_be_bytes([h1, h0]),
            width: u16::from_be_bytes([w1, w0]),
            components,
            adobe: false,
        })
    }
}
