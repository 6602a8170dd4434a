use crate::data::Refused;
use segad_core::{BoxError, Label};
use segad_methods::{MethodError, frozen};
use thiserror::Error;

/// What keeps a product from being fitted or inspected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProductError {
    /// Some byte of a model file is not as it was written.
    #[error("model file: {0}; copy it again, or fit it again")]
    Damaged(String),
    /// A model file of a later version of this program.
    #[error(
        "model file: schema {found}, this program knows up to {supported}; use the program that made it"
    )]
    Newer {
        /// The file's schema.
        found: u32,
        /// The latest schema known here.
        supported: u32,
    },
    /// A setting outside its range.
    #[error("{name} = {value}: expected {expected}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// Not enough images of a label.
    #[error(
        "{found} {label} images; at least {needed} are needed, of at least {units} groups: {why}"
    )]
    TooFew {
        /// Which label.
        label: Label,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
        /// How many separate groups are needed.
        units: usize,
        /// What they are needed for.
        why: &'static str,
    },
    /// Images that cannot be told apart.
    #[error(
        "all {count} good images are the same, pixel for pixel; nothing can be learned from one image"
    )]
    Identical {
        /// How many.
        count: usize,
    },
    /// One picture under both labels.
    #[error(
        "{good} (good) and {bad} (bad) are the same picture, pixel for pixel; keep it under the label \
         that is right"
    )]
    Contradiction {
        /// The good one.
        good: String,
        /// The bad one.
        bad: String,
    },
    /// Files that cannot be used, among those that were given.
    #[error("{} of {seen} files cannot be used: {}", refused.len(), list(refused))]
    Refused {
        /// All files that were given.
        seen: usize,
        /// Those that cannot be used, by path.
        refused: Vec<Refused>,
    },
    /// An image that cannot be used.
    #[error("image {id}")]
    Image {
        /// Which.
        id: String,
        /// Why.
        source: BoxError,
    },
    /// The data cannot support the requested rate.
    #[error(
        "cannot guarantee at most {limit} {what}: with {groups} groups of {label} images, even without a single error, \
         the rate may be {bound:.4} at {level} confidence; {more} more {label} images of other pieces would suffice"
    )]
    Promise {
        /// Which rate.
        what: &'static str,
        /// The rate asked for.
        limit: f64,
        /// Whose images count.
        label: Label,
        /// How many groups hold such an image; single images are groups of their own.
        groups: u64,
        /// Upper bound of the rate without a single error.
        bound: f64,
        /// Confidence, 0 to 1.
        level: f64,
        /// How many more groups it takes at least.
        more: u64,
    },
    /// A detector's own.
    #[error("detector {name}")]
    Detector {
        /// Which.
        name: String,
        /// What it says.
        source: BoxError,
    },
    /// Weights that are not there or damaged.
    #[error("weights")]
    Weights(#[source] BoxError),
    /// Somebody asked to stop.
    #[error("stopped")]
    Cancelled,
    /// A network's.
    #[error(transparent)]
    Network(#[from] segad_nn::NnError),
    /// A segment source's.
    #[error(transparent)]
    Segments(#[from] segad_segments::SegmentsError),
    /// The statistics'.
    #[error(transparent)]
    Features(#[from] segad_features::FeatureError),
    /// The forest's.
    #[error(transparent)]
    Forest(#[from] segad_forest::ForestError),
    /// A classifier's.
    #[error(transparent)]
    Classifier(#[from] frozen::FrozenError),
    /// The methods' in general.
    #[error(transparent)]
    Method(MethodError),
    /// A part's on patch tokens, or the stack's.
    #[error(transparent)]
    Heads(#[from] segad_heads::HeadsError),
    /// A metric's.
    #[error(transparent)]
    Metric(#[from] segad_metrics::MetricError),
    /// A picture's.
    #[error(transparent)]
    Imaging(#[from] segad_imaging::ImagingError),
    /// The vocabulary's.
    #[error(transparent)]
    Core(#[from] segad_core::CoreError),
    /// A card that has no JSON form.
    #[error("model card: {0}")]
    Card(#[from] serde_json::Error),
    /// A worker ended early.
    #[error("a worker stopped without a result; this is a bug")]
    Worker,
}

/// How many of the files that cannot be used are listed.
const LISTED: usize = 10;

/// One on the same line, several on a line each.
fn list(refused: &[Refused]) -> String {
    if let [Refused { path, reason }] = refused {
        return format!("{path}: {reason}");
    }
    let mut text = String::new();
    for Refused { path, reason } in refused.iter().take(LISTED) {
        text.push_str(&format!("\n  {path}: {reason}"));
    }
    if refused.len() > LISTED {
        text.push_str(&format!("\n  … and {} more", refused.len() - LISTED));
    }
    text
}

impl From<MethodError> for ProductError {
    fn from(error: MethodError) -> Self {
        match error {
            MethodError::Kind { kind, known } => Self::Setting {
                name: "detector",
                value: kind,
                expected: format!("one of {known}"),
            },
            MethodError::Settings { kind, source } => Self::detector(kind, source),
            MethodError::Weights(source) => Self::Weights(source),
            MethodError::Segments(source) => Self::Segments(source),
            MethodError::Network(source) => Self::Network(source),
            error => Self::Method(error),
        }
    }
}

impl ProductError {
    pub(crate) fn detector(kind: &str, source: impl Into<BoxError>) -> Self {
        Self::Detector {
            name: kind.to_owned(),
            source: source.into(),
        }
    }
}

/// This crate's results.
pub type Result<T> = std::result::Result<T, ProductError>;
