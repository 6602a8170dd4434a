use segad_core::CoreError;
use segad_imaging::ImagingError;
use thiserror::Error;

/// Why there are no segments.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SegmentsError {
    /// A file of shapes is not TOML, or has an unknown key or a value of the wrong type.
    #[error("{file}: {message}")]
    Toml {
        /// The file.
        file: String,
        /// What the parser says, with the place.
        message: String,
    },
    /// A name that is not that of a shipped map.
    #[error(
        "segments = {name:?}: expected one of {known}, or a table such as {{ kind = \"static\", path = \"map.toml\" }}"
    )]
    UnknownName {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A setting outside its range.
    #[error("segments: {name} = {value}: expected {expected}")]
    Parameter {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// The list of segment names of a file is wrong.
    #[error("{file}: segments: {reason}")]
    Names {
        /// The file, or what lists the names.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A shape that cannot be painted.
    #[error("{file}: shape {number} ({kind}, segment {segment:?}): {reason}")]
    Shape {
        /// The file.
        file: String,
        /// Its place in the file, from 1.
        number: usize,
        /// Its kind.
        kind: &'static str,
        /// The segment it paints.
        segment: String,
        /// What is wrong.
        reason: String,
    },
    /// A segment without a pixel.
    #[error(
        "{file}: segment {segment:?} has no pixel at {height}×{width}: no shape paints it, or later shapes cover it; \
         reorder the shapes, or name it in allow_empty"
    )]
    EmptySegment {
        /// The file.
        file: String,
        /// The segment.
        segment: String,
        /// Height of the map.
        height: usize,
        /// Width of the map.
        width: usize,
    },
    /// No label file for an image.
    #[error("image {image}: no label map; expected {first} or {second}")]
    Missing {
        /// The image.
        image: String,
        /// The first candidate.
        first: String,
        /// The second candidate.
        second: String,
    },
    /// Two label files for one image.
    #[error("image {image}: both {first} and {second} exist; remove one")]
    Ambiguous {
        /// The image.
        image: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A label file whose content is not a label map of the declared segments.
    #[error("{file}: {reason}")]
    LabelFile {
        /// The file.
        file: String,
        /// What is wrong, where, and what was expected.
        reason: String,
    },
    /// Nothing stands out from the border's colour.
    #[error(
        "{}empty foreground: {fraction:.4} of the image is farther than {threshold:.1} from the border's \
         colour, but at least {least} is required; lower the threshold, or use whole",
        of_image(image)
    )]
    EmptyForeground {
        /// The image; empty where there is only one.
        image: String,
        /// Share of the image that was found.
        fraction: f64,
        /// Distance in Lab beyond which a pixel is foreground.
        threshold: f64,
        /// Share needed.
        least: f64,
    },
    /// The foreground does not look like the template's outline.
    #[error(
        "image {image}: the foreground's sides are {long:.0} and {short:.0} pixels (ratio {found:.2}), but the \
         template's ratio is {expected:.2}, beyond the tolerance of {tolerance}; check the foreground, or raise \
         aspect_tolerance"
    )]
    Pose {
        /// The image.
        image: String,
        /// Longer side of the smallest rectangle around the foreground.
        long: f64,
        /// Shorter side.
        short: f64,
        /// Their ratio.
        found: f64,
        /// The template's ratio.
        expected: f64,
        /// Relative difference allowed.
        tolerance: f64,
    },
    /// Too few good images to learn segments from.
    #[error("segments from {found} good images; at least {needed} are required")]
    TooFewGood {
        /// Images available.
        found: usize,
        /// Images required.
        needed: usize,
    },
    /// A number of features other than announced.
    #[error("segments: {actual} feature values; expected {expected}, for one of {images} images")]
    Channels {
        /// Values given.
        actual: usize,
        /// Values, or a divisor of their number.
        expected: usize,
        /// Images announced.
        images: usize,
    },
    /// Segments that need a network or good images before there is a map.
    #[error(
        "segments of kind {kind} are made within an experiment, from {from}; they cannot be opened separately"
    )]
    Beforehand {
        /// The kind.
        kind: &'static str,
        /// What they are made from.
        from: &'static str,
    },
    /// A file that cannot be read or decoded.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
    /// A value that violates the invariants of the core types.
    #[error(transparent)]
    Core(#[from] CoreError),
}

/// Fails unless `ok`, naming the setting and what it may be.
pub(crate) fn expect(
    ok: bool,
    name: &'static str,
    value: impl std::fmt::Display,
    expected: &'static str,
) -> Result<(), SegmentsError> {
    if ok {
        return Ok(());
    }
    Err(SegmentsError::Parameter {
        name,
        value: value.to_string(),
        expected,
    })
}

/// The beginning of a message about an image.
fn of_image(image: &str) -> String {
    match image {
        "" => String::new(),
        id => format!("image {id}: "),
    }
}
