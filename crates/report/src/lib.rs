//! From scores per image to tables, plots and a one-file HTML report, as in the SegAD paper's Tables 2–6, 8, 9 and Fig. 6.
mod error;
mod frames;
mod input;
mod json;
mod measure;
mod paper;
mod provenance;
mod results;
mod round;
mod scores;
mod table;
mod text;
mod verdict;

pub use error::ReportError;
pub use input::{Experiment, Failure, GroupKind, GroupSpec, MEAN, RowSpec, ScoreRow, Shape, Tolerance};
pub use json::{TABLE_SCHEMA, table_json};
pub use measure::Measure;
pub use paper::{Claim, Known, Paper, PaperRow, PaperTable, Printed};
pub use provenance::{CellSource, Host, Provenance, Stage};
pub use results::{Cell, MetricValue, Results};
pub use round::{fixed, rounded, short, signed, significant};
pub use scores::{ScoreTable, ScoredCell};
pub use segad_metrics::Metric;
pub use table::{Entry, Line, Table, Tables, layout, table_md, table_tex};
pub use text::{metrics_csv, scores_csv, table_csv};
pub use verdict::{Comparison, Drift, Rank, Verdict, compare, drift};
