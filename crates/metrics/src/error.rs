use thiserror::Error;

/// Scores or parameters on which a metric has no value.
#[derive(Debug, Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum MetricError {
    /// Two columns that belong together differ in length.
    #[error("{scores} scores but {other} {what}: each score needs one")]
    Length {
        /// Number of scores.
        scores: usize,
        /// What the other column holds.
        what: &'static str,
        /// Its length.
        other: usize,
    },
    /// There is nothing to measure.
    #[error("{what}: empty, needs at least one value")]
    Empty {
        /// What was given.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error(
        "{what}: value {value} at position {index} (counted from 0); every value must be finite"
    )]
    NotFinite {
        /// What was given.
        what: &'static str,
        /// Position of the first such value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// There are no good images, or no bad ones, so there is nothing to separate.
    #[error("no {missing} image among {count} scores; good and bad are both needed")]
    OneClass {
        /// The label that is absent.
        missing: segad_core::Label,
        /// Number of scores.
        count: usize,
    },
    /// A parameter outside its range.
    #[error("{name} = {value}: expected {expected}")]
    Parameter {
        /// Which parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A text that names no metric.
    #[error("metric = {name:?}: expected one of {known}")]
    Unknown {
        /// The text.
        name: String,
        /// All names, joined by commas.
        known: String,
    },
}

pub(crate) fn check(
    name: &'static str,
    value: f64,
    expected: &'static str,
    holds: bool,
) -> Result<(), MetricError> {
    if holds {
        Ok(())
    } else {
        Err(MetricError::Parameter {
            name,
            value,
            expected,
        })
    }
}

pub(crate) fn finite<S: Copy + Into<f64>>(
    what: &'static str,
    values: &[S],
) -> Result<(), MetricError> {
    match values
        .iter()
        .map(|&v| v.into())
        .enumerate()
        .find(|(_, v): &(usize, f64)| !v.is_finite())
    {
        Some((index, value)) => Err(MetricError::NotFinite { what, index, value }),
        None => Ok(()),
    }
}
