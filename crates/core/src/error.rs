use thiserror::Error;

/// A value that breaks the promises of this crate's types.
#[derive(Debug, Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum CoreError {
    /// The number of elements does not fit the stated height and width.
    #[error("{what}: {height}×{width} needs {expected} values, got {actual}")]
    Size {
        /// What was being built.
        what: &'static str,
        /// Stated height in pixels.
        height: usize,
        /// Stated width in pixels.
        width: usize,
        /// Number of values that fit.
        expected: usize,
        /// Number of values given.
        actual: usize,
    },
    /// Height or width is zero.
    #[error("{what}: height and width must be at least 1, got {height}×{width}")]
    Empty {
        /// What was being built.
        what: &'static str,
        /// Stated height in pixels.
        height: usize,
        /// Stated width in pixels.
        width: usize,
    },
    /// An anomaly map holds NaN or an infinity.
    #[error("anomaly map: value {value} at row {row}, column {column}: expected a finite value")]
    NotFinite {
        /// The value.
        value: f32,
        /// Row of the first such value.
        row: usize,
        /// Column of the first such value.
        column: usize,
    },
    /// A label map holds a label without a segment.
    #[error("label map: label {label} at row {row}, column {column}: expected 0 to {max}")]
    Label {
        /// The label.
        label: u8,
        /// Row of the first such label.
        row: usize,
        /// Column of the first such label.
        column: usize,
        /// The largest label allowed.
        max: u8,
    },
    /// A feature table's rows, columns and values do not fit together.
    #[error("feature table: {rows} rows × {columns} columns need {expected} values, got {actual}")]
    Table {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Number of values that fit.
        expected: usize,
        /// Number of values given.
        actual: usize,
    },
    /// A text that is not a key.
    #[error("key {0:?}: expected 64 lower-case hexadecimal digits")]
    Key(String),
    /// A text that names no devices, or names them twice or mixed.
    #[error(
        "device = {0:?}: expected auto, cpu, cuda, or different cuda:N with commas between them"
    )]
    Devices(String),
    /// A text that is not a device.
    #[error("device = {0:?}: expected cpu, cuda or cuda:N")]
    Device(String),
    /// A text that is not a precision.
    #[error("precision = {0:?}: expected f32 or bf16")]
    Precision(String),
    /// A text that is not a label.
    #[error("label = {0:?}: expected good or bad")]
    LabelName(String),
    /// Something needs more memory than [`FitContext::memory`](crate::FitContext::memory) allows.
    #[error("{needed} bytes are needed, the memory budget is {budget}")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// An image occurs twice where each may occur once.
    #[error("image {0} is listed twice")]
    DuplicateImage(String),
}
