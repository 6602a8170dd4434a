//! The layout of tables, apart from any format.

mod latex;
mod layout;
mod legend;
mod markdown;

pub use latex::table_tex;
pub use layout::layout;
pub use markdown::{table_md, unescape};

pub(crate) use markdown::markdown_table;

use crate::{Rank, Verdict};

/// A table ready to be written: all text is plain and unescaped.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Groups of columns above the headings, as (text, number of columns); empty for none.
    pub groups: Vec<(String, usize)>,
    /// Column headings.
    pub heads: Vec<String>,
    /// Rows, in order.
    pub rows: Vec<Line>,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A heading across all columns.
    Section(String),
    /// One entry per column.
    Row(Vec<Entry>),
}

/// One entry of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A name.
    Name(String),
    /// A tick or its absence.
    Tick(bool),
    /// A measured number.
    Value {
        /// Mean, rounded.
        mean: String,
        /// Standard deviation, rounded; `None` where it is not shown.
        std: Option<String>,
        /// `Some((n, planned))` where seeds are missing.
        partial: Option<(usize, usize)>,
        /// Best or second best.
        rank: Rank,
    },
    /// Planned, but without a number.
    Failed,
    /// A number of the paper, or a difference from it, with what it means.
    Paper {
        /// The text.
        text: String,
        /// What it means.
        verdict: Option<Verdict>,
        /// Number of the footnote that explains it.
        note: Option<usize>,
    },
    /// Nothing to show.
    Empty,
}

impl Verdict {
    /// One character for tables: `✓`, `✗`, `≈`, `–`.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Reproduced => "✓",
            Self::Differs => "✗",
            Self::KnownInconsistent => "≈",
            Self::Failed => "–",
        }
    }
}

/// All tables of an experiment and what is said below them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The tables: results first, then differences from the paper where they have their own.
    pub tables: Vec<Table>,
    /// Numbered footnotes on odd numbers of the paper; the first is 1.
    pub notes: Vec<String>,
    /// How to read the tables, in sentences.
    pub legend: Vec<String>,
    /// Cells without a result, one line each.
    pub failures: Vec<String>,
}
