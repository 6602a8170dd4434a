use segad_core::{CoreError, ImageId};
use thiserror::Error;

/// Parameters, names or maps that give no features.
#[derive(Debug, Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum FeatureError {
    /// A quantile level outside its range.
    #[error("features.quantile = {0}: expected a number from 0 to 1, e.g. 0.995")]
    Quantile(f64),
    /// Neither a statistic nor a global maximum was requested.
    #[error(
        "features.statistics = []: expected at least one of q, skewness, kurtosis, mean, max while features.global_max = false"
    )]
    NoFeature,
    /// A text that is not the name of a statistic.
    #[error("statistic {0:?}: expected one of q, skewness, kurtosis, mean, max")]
    Statistic(String),
    /// A text that is not the name of an arithmetic.
    #[error("numerics {0:?}: expected exact or fast")]
    Numerics(String),
    /// A list of names is empty.
    #[error("no {0}: features need at least one")]
    NoName(&'static str),
    /// A detector's or segment's name that cannot be part of a column name.
    #[error("{what} {name:?}: expected a name that is not empty and has no '/'")]
    Name {
        /// Detector or segment.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that occurs twice.
    #[error("{what} {name:?} is listed twice")]
    Twice {
        /// Detector or segment.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A column name that this crate did not make.
    #[error("column {0:?}: expected segment/detector/statistic, detector/max or classifier/score")]
    Column(String),
    /// The number of maps of an image differs from the number of detectors.
    #[error("{maps} anomaly maps for {detectors} detectors: expected one each")]
    Maps {
        /// Number of maps given.
        maps: usize,
        /// Number of detectors named.
        detectors: usize,
    },
    /// The label map has another number of segments than names.
    #[error("label map with {actual} segments: expected {expected}, one per name")]
    Segments {
        /// Segments of the label map.
        actual: usize,
        /// Segments named.
        expected: usize,
    },
    /// An anomaly map and the label map differ in size.
    #[error(
        "anomaly map of {detector} is {map_height}×{map_width}, the label map {label_height}×{label_width}: \
         expected both at the size of the network input"
    )]
    Size {
        /// Whose map.
        detector: String,
        /// Height of the anomaly map.
        map_height: usize,
        /// Width of the anomaly map.
        map_width: usize,
        /// Height of the label map.
        label_height: usize,
        /// Width of the label map.
        label_width: usize,
    },
    /// A label map with more pixels than can be indexed.
    #[error("label map of {height}×{width}: expected at most 2³² − 1 pixels")]
    TooLarge {
        /// Height.
        height: usize,
        /// Width.
        width: usize,
    },
    /// An image that has statistics of one detector has none of another.
    #[error(
        "no statistics of {detector}, although another detector has some; every detector needs a map of every image"
    )]
    NoMap {
        /// The detector without.
        detector: String,
    },
    /// Something is wrong with one image of a table.
    #[error("image {image}: {source}")]
    Image {
        /// Which image.
        image: ImageId,
        /// What is wrong.
        source: Box<FeatureError>,
    },
    /// The parts of a table do not fit together.
    #[error(transparent)]
    Core(#[from] CoreError),
}
