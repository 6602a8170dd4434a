//! The CSV files, written by the `csv` crate with `\n` line ends.

use crate::round::{CSV, EXACT, fixed};
use crate::{ReportError, Results, ScoreTable};

/// Writes records as CSV text.
pub(crate) fn csv_text<R: AsRef<[String]>>(
    header: &[&str],
    records: impl IntoIterator<Item = R>,
) -> Result<String, ReportError> {
    let fault = |e: &dyn std::fmt::Display| ReportError::Csv(e.to_string());
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    writer.write_record(header).map_err(|e| fault(&e))?;
    for record in records {
        writer
            .write_record(record.as_ref())
            .map_err(|e| fault(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| fault(&e))?;
    String::from_utf8(bytes).map_err(|e| fault(&e))
}

/// A number in the decimals of `table.csv`, or nothing.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map(|v| fixed(v, CSV)).unwrap_or_default()
}

/// `scores.csv`: `row, class, seed, filepath, label, group, score`; each score in the fewest digits
/// that read back to the same f32.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn scores_csv(scores: &ScoreTable) -> Result<String, ReportError> {
    let records = scores.rows().iter().map(|s| {
        [
            s.row.clone(),
            s.class.clone(),
            s.seed.to_string(),
            s.filepath.to_string(),
            s.label.to_string(),
            s.group.clone(),
            s.score.to_string(),
        ]
    });
    csv_text(
        &[
            "row", "class", "seed", "filepath", "label", "group", "score",
        ],
        records,
    )
}

/// First line of `metrics.csv`.
pub(crate) const METRICS_COLUMNS: [&str; 5] = ["row", "class", "seed", "metric", "value"];

/// `metrics.csv`: `row, class, seed, metric, value`, in percent. Where a cell failed, the
/// experiment's metrics stand with an empty value.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn metrics_csv(results: &Results) -> Result<String, ReportError> {
    let e = &results.experiment;
    let place = |row: &str, class: &str| {
        (
            e.rows.iter().position(|r| r.name == row),
            e.classes.iter().position(|c| c == class),
        )
    };
    // Failures go between the values, where a reader of the file looks for them.
    let mut records: Vec<_> = results
        .values
        .iter()
        .map(|v| {
            (
                place(&v.row, &v.class),
                v.seed,
                [
                    v.row.clone(),
                    v.class.clone(),
                    v.seed.to_string(),
                    v.metric.clone(),
                    fixed(v.value, EXACT),
                ],
            )
        })
        .collect();
    for f in &results.failures {
        records.extend(e.metrics.iter().map(|m| {
            let record = [
                f.row.clone(),
                f.class.clone(),
                f.seed.to_string(),
                m.to_string(),
                String::new(),
            ];
            (place(&f.row, &f.class), f.seed, record)
        }));
    }
    records.sort_by_key(|r| (r.0, r.1)); // stable: metrics keep their order
    csv_text(&METRICS_COLUMNS, records.into_iter().map(|r| r.2))
}

/// `table.csv`: `row, class, metric, mean, std, n, paper, delta, verdict`; std over n. A cell
/// without a number has empty fields, n = 0 and the verdict `failed`.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn table_csv(results: &Results) -> Result<String, ReportError> {
    let records = results.cells.iter().map(|c| {
        let verdict = match (c.verdict, c.mean) {
            (Some(verdict), _) => verdict.as_str(),
            (None, None) => crate::Verdict::Failed.as_str(),
            (None, Some(_)) => "",
        };
        [
            c.row.clone(),
            c.class.clone(),
            c.metric.clone(),
            optional(c.mean),
            optional(c.std),
            c.n.to_string(),
            optional(c.paper),
            optional(c.delta),
            verdict.to_owned(),
        ]
    });
    csv_text(
        &[
            "row", "class", "metric", "mean", "std", "n", "paper", "delta", "verdict",
        ],
        records,
    )
}
