use segad_core::ScoreRow;
use thiserror::Error;

/// What keeps scores from becoming a report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A score or failure names a row or class that the experiment does not have.
    #[error("{what} {name:?} is not in experiment {experiment:?}; it has {known}")]
    Unknown {
        /// `row` or `class`.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The experiment.
        experiment: String,
        /// The names that it has.
        known: String,
    },
    /// The experiment lists a name twice, or nothing at all, or a reserved name.
    #[error("experiment {experiment:?}: {problem}")]
    Experiment {
        /// The experiment.
        experiment: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// An image has two scores in one cell.
    #[error(
        "row {:?}, class {:?}, seed {}: image {} has two scores",
        .0.row, .0.class, .0.seed, .0.filepath
    )]
    Twice(Box<ScoreRow>),
    /// A score is NaN or infinite.
    #[error(
        "row {:?}, class {:?}, seed {}: image {} has score {}: expected a finite number",
        .0.row, .0.class, .0.seed, .0.filepath, .0.score
    )]
    NotFinite(Box<ScoreRow>),
    /// A query names a column that values do not have.
    #[error("{name:?}: expected one of {known}")]
    Column {
        /// The name.
        name: String,
        /// The columns.
        known: String,
    },
    /// A query asks for a row, class, … that no experiment has.
    #[error("{column} = {value}: expected one of {known}")]
    NoValue {
        /// The column.
        column: &'static str,
        /// The value that was asked for.
        value: String,
        /// The values that there are.
        known: String,
    },
    /// A plot was asked for where there is nothing to draw.
    #[error("{plot}: no {what} to draw")]
    Empty {
        /// The plot.
        plot: String,
        /// What is missing.
        what: &'static str,
    },
    /// A plot could not be drawn as a picture.
    #[error("picture of {plot}: {problem}")]
    Picture {
        /// Name of the plot.
        plot: String,
        /// What is wrong.
        problem: String,
    },
    /// The experiment names a table that the paper does not have.
    #[error("the paper has no table {0:?}; it has {1}")]
    NoTable(String, String),
    /// The compiled-in numbers of the paper do not parse.
    #[error("numbers of the paper: {0}")]
    Paper(String),
    /// A group-by or join over result tables failed.
    #[error("result table: {0}")]
    Frame(#[from] polars::error::PolarsError),
    /// A value could not be written as JSON.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// A row could not be written as CSV.
    #[error("csv: {0}")]
    Csv(String),
}
