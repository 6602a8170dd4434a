use segad_core::CoreError;
use segad_imaging::ImagingError;
use segad_metrics::MetricError;
use thiserror::Error;

/// Why no defect could be generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DefectsError {
    /// A setting outside its range.
    #[error("defects.{name} = {value}: expected {expected}")]
    Parameter {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A segment that is to be left out but does not exist.
    #[error("defects.exclude = {name:?}: expected some of the segments {known:?}")]
    UnknownSegment {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Segments and image do not fit.
    #[error(
        "image {image}: the segments are {actual}, the image is {expected}; resize the segments to the image"
    )]
    Size {
        /// Which image.
        image: String,
        /// Height × width of the segments.
        actual: String,
        /// Height × width of the image.
        expected: String,
    },
    /// No segment is large enough.
    #[error(
        "image {image}: no segment of at least {least} pixels is left to damage; lower least_segment, or exclude fewer"
    )]
    NoSegment {
        /// Which image.
        image: String,
        /// Pixels needed.
        least: usize,
    },
    /// Every defect that was tried changed next to nothing.
    #[error(
        "image {image}: {tries} defects in a row changed fewer than {least:.0} pixels; the settings are too weak for it, e.g. \
         nothing but blur on an image of one colour"
    )]
    Unchanged {
        /// Which image.
        image: String,
        /// Defects that were tried.
        tries: usize,
        /// Pixels that must change.
        least: f64,
    },
    /// Tables of features that cannot be compared.
    #[error("generated and real features: {0}")]
    Compare(String),
    /// A value that breaks the promises of the core types.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An image that cannot be resized.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
    /// Samples that cannot be compared.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A record without a JSON form.
    #[error("record of a defect: {0}")]
    Json(#[from] serde_json::Error),
}
