//! From scores per image to tables, plots and a single-file HTML report, in the layouts of the
//! SegAD paper's Tables 2–6, 8, 9 and Fig. 6, and the comparison with every number that the paper
//! prints.
//!
//! In: an [`Experiment`] (rows, classes, metrics, layout) and one [`ScoreRow`] per row, class, seed
//! and image; higher scores are more anomalous. Cells without a result are passed as [`Failure`]s
//! and appear as such in every output. Out: text; the caller writes the files. Metrics are in
//! percent throughout.
//!
//! | file | function |
//! |---|---|
//! | `scores.csv`, `metrics.csv` | [`scores_csv`], [`metrics_csv`] |
//! | `table.csv`, `.md`, `.tex`, `.json` | [`table_csv`], [`table_md`], [`table_tex`], [`table_json`] |
//! | plots, each with its numbers | [`Plot::svg`], [`Plot::png`], [`Plot::csv`] |
//! | `report.html` | [`report_html`] |
//! | `provenance.json` | [`Provenance::to_json`] |
//!
//! [`read_table`] gives the results back from `table.json` and `metrics.csv`.
//!
//! The same input gives the same bytes, whatever its order. Means over seeds, standard deviations
//! and means over classes are polars group-bys; decimals are made in one place ([`rounded`]),
//! halves away from zero.
//!
//! ```
//! use segad_core::ImageId;
//! use segad_core::Label::{Bad, Good};
//! use segad_report::{Experiment, Metric, Results, ScoreRow, ScoreTable, compare, table_md};
//!
//! let mut experiment = Experiment::new("table3", "VAD, high-shot", &[Metric::ClAuroc], &["WRN", "DRA"], &["vad"]);
//! experiment.paper = Some("3".to_owned());
//! let score = |row: &str, filepath: &str, label, score| ScoreRow {
//!     row: row.to_owned(),
//!     class: "vad".to_owned(),
//!     seed: 1,
//!     filepath: ImageId::new(filepath),
//!     label,
//!     group: format!("{label}"),
//!     score,
//! };
//! let scores = vec![
//!     score("WRN", "good/1.png", Good, 0.1),
//!     score("WRN", "good/2.png", Good, 0.7),
//!     score("WRN", "bad/1.png", Bad, 0.6),
//!     score("WRN", "bad/2.png", Bad, 0.9),
//! ];
//! let scores = ScoreTable::new(&experiment, scores, vec![])?;
//! let results = Results::from_scores(&experiment, &scores)?;
//! assert_eq!(results.cell("WRN", "vad", "cl_auroc").and_then(|c| c.mean), Some(75.0));
//! assert!(table_md(&results)?.contains("| WRN | 75.0 | 95.0 ± 0.6 | −20.0 ✗ |"));
//! assert!(!compare(&results).passes()); // WRN differs, DRA is missing
//! # Ok::<(), segad_report::ReportError>(())
//! ```
//!
//! Choices of this crate: a number is judged by the paper's standard deviation where it prints one,
//! otherwise by ours; a printed mean over classes is compared only if the experiment has those
//! classes; group AUROCs (`cl_auroc[GROUP]`) are good images against one group of bad ones, given
//! where a cell has more than one such group.

mod answer;
mod difference;
mod error;
mod frames;
mod html;
mod input;
mod json;
mod measure;
mod paper;
mod plot;
mod provenance;
mod query;
mod results;
mod round;
mod scores;
mod table;
mod text;
mod verdict;

pub use answer::Answer;
pub use difference::{Difference, differences, differences_csv};
pub use error::ReportError;
pub use html::{
    Explanation, FeatureDrift, Figure, Importance, Note, Report, SimilarPatch, WrongImage,
    WrongKind, explanation_html, report_html, standard_figures,
};
pub use input::{Experiment, Failure, GroupKind, GroupSpec, MEAN, RowSpec, TableShape, Tolerance};
pub use json::{TABLE_SCHEMA, read_table, table_json};
pub use measure::Measure;
pub use paper::{Claim, Known, Paper, PaperRow, PaperTable, Printed};
pub use plot::{
    HISTOGRAM_BINS, Histogram, LossCurve, Plot, ROC_STEPS, RocCurve, class_bars, loss_plot,
    plot_css, roc_curves, roc_plot, slug,
};
pub use provenance::{CellSource, Host, Provenance, Stage};
pub use query::{Column, Filter, Observation, Query, read_metrics};
pub use results::{Cell, MetricValue, Results};
pub use scores::{ScoreTable, ScoredCell};
pub use segad_core::{Reason, ScoreRow};
pub use segad_metrics::{Metric, fixed, rounded, short, signed, significant};
pub use table::{Entry, Line, Table, Tables, layout, table_md, table_tex, unescape};
pub use text::{metrics_csv, scores_csv, table_csv};
pub use verdict::{Comparison, Drift, Rank, Verdict, compare, drift};
