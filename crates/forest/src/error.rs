use segad_core::ImageId;
use thiserror::Error;

/// Why a forest could not be fitted, applied or read.
#[derive(Debug, Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum ForestError {
    /// A setting is out of its range.
    #[error("forest.{name} = {value}: expected {expected}")]
    Parameter {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The seed does not fit XGBoost's signed 64 bits.
    #[error("forest: seed = {0}: expected at most {max}", max = i64::MAX)]
    Seed(u64),
    /// The table has no rows or no columns.
    #[error("forest: {rows} training rows × {columns} columns; at least one of each is needed")]
    Empty {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// Not one label per row.
    #[error("forest: {labels} labels for {rows} training rows")]
    Labels {
        /// Number of rows.
        rows: usize,
        /// Number of labels.
        labels: usize,
    },
    /// Only one class in the training rows.
    #[error("forest: {good} good and {bad} bad training rows; at least one of each is needed")]
    OneClass {
        /// Rows labelled good.
        good: usize,
        /// Rows labelled bad.
        bad: usize,
    },
    /// A feature is infinite (NaN is allowed and means "missing").
    #[error(
        "forest: {column:?} of {id} (row {row}) is {value}: expected a finite value, or NaN for missing"
    )]
    Infinite {
        /// Row, from 0.
        row: usize,
        /// The row's image.
        id: ImageId,
        /// Name of the column.
        column: String,
        /// The value.
        value: f32,
    },
    /// The list of monotone constraints does not fit.
    #[error(
        "forest: monotone constraints {what}; expected none, or one of -1, 0, 1 for each of {columns} columns"
    )]
    Monotone {
        /// What is wrong.
        what: String,
        /// Number of columns.
        columns: usize,
    },
    /// A table or row to be scored has other columns than the forest was fitted on.
    #[error("forest: column {position} is {actual}, but the forest was fitted on {expected}")]
    Columns {
        /// The first position where they differ, from 0.
        position: usize,
        /// The column fitted on, quoted, or "no such column".
        expected: String,
        /// The column given, quoted, or "no such column".
        actual: String,
    },
    /// The bytes are not a saved forest.
    #[error("saved forest: {0}; fit the forest again")]
    Damaged(&'static str),
    /// The bytes are a saved forest of another version.
    #[error(
        "saved forest: schema version {found}, this program reads {supported}; fit the forest again"
    )]
    Schema {
        /// Version found.
        found: u32,
        /// Version that this crate reads.
        supported: u32,
    },
    /// XGBoost's JSON does not say what this crate expects.
    #[error("XGBoost model: {0}")]
    Model(String),
    /// XGBoost refused a call.
    #[error("XGBoost {version}: {call}: {message}")]
    Library {
        /// What was asked.
        call: &'static str,
        /// Version of the library.
        version: crate::Version,
        /// The library's own message.
        message: String,
    },
}
