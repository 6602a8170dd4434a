use crate::reading::{Warning, Window};
use std::path::Path;
use thiserror::Error;

/// Why an image, a label image or an array could not be read, resized or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImagingError {
    /// Any other error, in this file.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: Box<ImagingError>,
    },
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// No bytes at all.
    #[error("the file is empty (0 bytes); fetch or copy it again")]
    ZeroBytes,
    /// A file that is larger than any image may be.
    #[error("a file of {0} bytes; expected at most {limit}", limit = crate::LARGEST_FILE)]
    TooManyBytes(u64),
    /// The file ends too early.
    #[error("truncated {format} ({detail}); fetch or copy it again")]
    Truncated {
        /// An image format or `npy`.
        format: &'static str,
        /// What is missing.
        detail: String,
    },
    /// The bytes contradict the format.
    #[error("damaged {format}: {detail}; fetch it again or save it anew")]
    Damaged {
        /// An image format or `npy`.
        format: &'static str,
        /// What contradicts.
        detail: String,
    },
    /// No image format known by name.
    #[error("not an image (starts with {0}); expected PNG, JPEG, BMP, TIFF, WebP, PGM or PPM")]
    NotAnImage(String),
    /// An image in an unsupported format.
    #[error(
        "a {0} image; expected PNG, JPEG, BMP, TIFF, WebP, PGM or PPM: convert it to 8-bit PNG"
    )]
    OtherFormat(&'static str),
    /// More or fewer than 8 bits per channel.
    #[error(
        "{format} with {bits} bits per channel; expected 8: convert it with one scaling for all images, or, for 16 \
         bits, let `fit --depth` choose it"
    )]
    Depth {
        /// The format.
        format: &'static str,
        /// Bits found.
        bits: u8,
    },
    /// 8 bits per channel where a model scales 16.
    #[error("{format} with 8 bits per channel; expected 16, which the model scales by {window}")]
    Shallow {
        /// The format.
        format: &'static str,
        /// The model's scaling.
        window: Window,
    },
    /// A variant of a format that is not read.
    #[error("{format} with {what}; expected grey or RGB of 8 or 16 bits: convert it to PNG")]
    Variant {
        /// The format.
        format: &'static str,
        /// What is not read.
        what: String,
    },
    /// Readable, but only in a way that deserves a warning, which the caller cannot pass on.
    #[error("{0}; expected grey or RGB in one page: convert it to 8-bit PNG")]
    Inexact(Warning),
    /// A number of components that no colour space of photographs has.
    #[error("JPEG with {0} components; expected 1 (grey) or 3 (colour)")]
    Components(u8),
    /// More than one picture in the file.
    #[error("animated {0}; expected one picture: save the frame you need as a separate file")]
    Animated(&'static str),
    /// Pixels that are not opaque.
    #[error(
        "pixel at row {row}, column {column} is not opaque (alpha {alpha} of {opaque}), and the background is unknown: flatten the \
         image onto its background and save it without alpha"
    )]
    Transparent {
        /// Row of the first such pixel.
        row: usize,
        /// Column of the first such pixel.
        column: usize,
        /// Its alpha.
        alpha: u32,
        /// The alpha of an opaque pixel: 255 or 65535.
        opaque: u32,
    },
    /// More pixels than the limit.
    #[error(
        "{height}×{width} pixels, over the limit of {limit} pixels; check the file, or scale it down"
    )]
    TooLarge {
        /// Stated height.
        height: u64,
        /// Stated width.
        width: u64,
        /// The limit.
        limit: u64,
    },
    /// A colour image where labels were expected.
    #[error(
        "{0} where a label image was expected; save the labels as indexed or 8-bit grey PNG, or as .npy"
    )]
    NotLabels(&'static str),
    /// A height or width of zero was requested.
    #[error("requested size is {height}×{width} pixels; both must be at least 1")]
    ZeroSize {
        /// Height asked for.
        height: usize,
        /// Width asked for.
        width: usize,
    },
    /// Two pictures that must have the same size do not.
    #[error(
        "sizes differ: {left_height}×{left_width} and {right_height}×{right_width}; resize one of them"
    )]
    SizesDiffer {
        /// Height of the first.
        left_height: usize,
        /// Width of the first.
        left_width: usize,
        /// Height of the second.
        right_height: usize,
        /// Width of the second.
        right_width: usize,
    },
    /// A contact sheet of nothing, or without columns.
    #[error("contact sheet of {images} images in {columns} columns; both must be at least 1")]
    EmptySheet {
        /// Number of images.
        images: usize,
        /// Number of columns.
        columns: usize,
    },
    /// An array of an unsupported type.
    #[error("npy array of type {descr}; expected booleans, integers or floats: {advice}")]
    NpyType {
        /// The type as the file states it.
        descr: String,
        /// What to do.
        advice: &'static str,
    },
    /// The encoder failed.
    #[error("cannot encode PNG: {0}")]
    Encode(String),
    /// A value that violates the invariants of the core types.
    #[error(transparent)]
    Core(#[from] segad_core::CoreError),
}

impl ImagingError {
    pub(crate) fn truncated(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Truncated {
            format,
            detail: detail.into(),
        }
    }

    pub(crate) fn damaged(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Damaged {
            format,
            detail: detail.into(),
        }
    }

    /// The same error without the file's name, for where the name is said already.
    #[must_use]
    pub fn bare(self) -> Self {
        match self {
            Self::File { problem, .. } => problem.bare(),
            error => error,
        }
    }

    /// The same error, naming the file it is about.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        Self::File {
            path: path.display().to_string(),
            problem: Box::new(self),
        }
    }
}
