use super::{Scan, listed_id};
use crate::{DatasetError, Entry, Part};
use segad_core::Label;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// The list's name where a folder is given.
pub(super) const NAME: &str = "images.csv";

/// A line of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Path relative to the list's folder.
    path: String,
    /// `good`, `bad`, `0` or `1`.
    label: String,
    /// Kind of defect; the label by default.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What must stay together in a split, e.g. a serial number.
    group: Option<String>,
    /// `train`, `test` or empty.
    split: Option<String>,
}

/// A comma-separated list with a header. Canonical order and order of taking are those of the list.
pub(super) fn scan(root: &Path, base: &Path) -> Result<Scan, DatasetError> {
    let path = if root.is_file() {
        root.to_owned()
    } else {
        base.join(NAME)
    };
    let text = segad_files::read_to_string(&path)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut scan = Scan::new();
    let mut seen = HashSet::new();
    let headers = reader
        .headers()
        .map_err(|e| row_error(&path, 1, e))?
        .clone();
    for wanted in ["path", "label"] {
        if !headers.iter().any(|h| h == wanted) {
            let reason = format!(
                "column {wanted} is missing; columns: path, label and optionally type, group, split"
            );
            return Err(row_error(&path, 1, reason));
        }
    }
    for (order, record) in reader.records().enumerate() {
        // The reader knows the line of a record that spans several.
        let record = record.map_err(|e| {
            let line = e.position().map_or(0, csv::Position::line);
            row_error(&path, line, e)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let row: Row = record
            .deserialize(Some(&headers))
            .map_err(|e| row_error(&path, line, e))?;
        let entry = entry(row, order).map_err(|reason| row_error(&path, line, reason))?;
        if !seen.insert(entry.id.clone()) {
            let reason = format!("{} is listed twice", entry.id);
            return Err(row_error(&path, line, reason));
        }
        if base.join(entry.id.as_str()).is_file() {
            scan.entries.push(entry);
        } else {
            scan.missing.push(entry.id);
        }
    }
    Ok(scan)
}

pub(super) fn row_error(path: &Path, line: u64, reason: impl ToString) -> DatasetError {
    DatasetError::Row {
        path: path.to_owned(),
        line,
        reason: reason.to_string(),
    }
}

fn entry(row: Row, order: usize) -> Result<Entry, String> {
    let id = listed_id(&row.path)?;
    let label: Label = row
        .label
        .parse()
        .map_err(|e: segad_core::CoreError| e.to_string())?;
    let part = match row.split.as_deref() {
        None | Some("") => Part::All,
        Some("train") => Part::Train,
        Some("test") => Part::Test,
        Some(other) => return Err(format!("split {other:?}: expected train, test or nothing")),
    };
    let kind = row.kind.filter(|kind| !kind.is_empty());
    let group = kind.unwrap_or_else(|| label.as_str().to_owned());
    Ok(Entry {
        id,
        label,
        group,
        part,
        order,
        unit: row.group.filter(|unit| !unit.is_empty()),
    })
}
