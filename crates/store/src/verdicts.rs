use crate::error::Result;
use crate::parquet_writer::{properties, write_table};
use arrow::array::{ArrayRef, Float32Array, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use std::path::Path;
use std::sync::Arc;

const VERDICTS: &str = "verdicts";

/// The result of inspecting one image: a verdict or an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerdictRow {
    /// Which image.
    pub path: String,
    /// Raw score, larger is more anomalous.
    pub score: Option<f32>,
    /// `good` or `bad`.
    pub verdict: Option<String>,
    /// Calibrated probability of "bad".
    pub probability: Option<f64>,
    /// What drove the score, as JSON.
    pub reasons: String,
    /// Why there is no score.
    pub error: Option<String>,
    /// What went wrong beside the verdict.
    pub warnings: Option<String>,
}

/// Writes verdicts, columns as the fields of [`VerdictRow`]; what is absent is null.
///
/// # Errors
/// [`crate::StoreError::File`].
pub fn write_verdicts(path: &Path, rows: &[VerdictRow]) -> Result<()> {
    let schema = Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("score", DataType::Float32, true),
        Field::new("verdict", DataType::Utf8, true),
        Field::new("probability", DataType::Float64, true),
        Field::new("reasons", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, true),
        Field::new("warnings", DataType::Utf8, true),
    ]);
    // Absent values are null rather than a number that could be mistaken for one.
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|r| r.path.as_str()),
        )),
        Arc::new(rows.iter().map(|r| r.score).collect::<Float32Array>()),
        Arc::new(
            rows.iter()
                .map(|r| r.verdict.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(rows.iter().map(|r| r.probability).collect::<Float64Array>()),
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|r| r.reasons.as_str()),
        )),
        Arc::new(
            rows.iter()
                .map(|r| r.error.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(
            rows.iter()
                .map(|r| r.warnings.as_deref())
                .collect::<StringArray>(),
        ),
    ];
    write_table(
        path,
        schema,
        columns,
        properties(path, VERDICTS, &[])?.build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet_file::ParquetFile;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Float32Type;

    #[test]
    fn absent_values_are_null() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.parquet");
        let good = VerdictRow {
            path: "a.png".into(),
            score: Some(0.5),
            verdict: Some("good".into()),
            probability: Some(0.25),
            reasons: "[]".into(),
            error: None,
            warnings: None,
        };
        let bad = VerdictRow {
            path: "b.png".into(),
            error: Some("no picture".into()),
            ..Default::default()
        };
        write_verdicts(&path, &[good, bad]).unwrap();
        let file = ParquetFile::open(&path, VERDICTS).unwrap();
        assert_eq!(file.rows(), 2);
        let batches = file.read(0..2, &[file.column("score").unwrap()]).unwrap();
        let score = batches[0][0].as_primitive::<Float32Type>();
        assert!(score.value(0) == 0.5 && score.is_null(1));
    }
}
