use super::{Scan, listed_id};
use crate::{DatasetError, Entry, Part};
use segad_core::Label;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// The list's name where a folder is given.
pub(super) const NAME: &str = "images.csv";

/// Columns that mean something; others are left alone.
const COLUMNS: [&str; 5] = ["path", "label", "type", "group", "split"];
/// Between fields: of tables in English, of those in languages with decimal commas, of spreadsheets.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A line of a list.
#[derive(Deserialize)]
struct Row {
    /// Path relative to the list's folder, or absolute and below it.
    path: String,
    /// `good`, `bad`, `0`, `1`, or what else people call the two.
    label: String,
    /// Kind of defect; the label by default.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What must stay together in a split, e.g. a serial number.
    group: Option<String>,
    /// `train`, `test` or empty.
    split: Option<String>,
}

/// A list with a header, separated by commas, semicolons or tabs, in UTF-8 or UTF-16. Canonical order and order of taking are those of the list.
pub(super) fn scan(root: &Path, base: &Path) -> Result<Scan, DatasetError> {
    let path = if root.is_file() {
        root.to_owned()
    } else {
        base.join(NAME)
    };
    let text = decode_text(&segad_files::read(&path)?).map_err(|e| row_error(&path, 1, e))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(delimiter(&text))
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
    if let Some(reason) = headers.iter().find_map(misspelt) {
        return Err(row_error(&path, 1, reason));
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
        let entry = entry(row, base, order).map_err(|reason| row_error(&path, line, reason))?;
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

/// UTF-8, or UTF-16 as spreadsheets write it, with its mark.
fn decode_text(bytes: &[u8]) -> Result<String, String> {
    let wide = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| match *pair {
            [a, b] => read([a, b]),
            // Half a unit: no valid one, so that decoding says so.
            _ => 0xd800,
        });
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|e| format!("not UTF-16, which its first bytes announce: {e}"))
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|e| format!("not UTF-8 ({e}); save the list as UTF-8 or UTF-16"))
}

/// The delimiter that gives the first line its columns.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let known = |delimiter: &u8| {
        let fields = header.split(char::from(*delimiter));
        let names = fields.map(|field| field.trim().trim_matches('"'));
        names.filter(|name| COLUMNS.contains(name)).count()
    };
    // Of equals, the last; so the comma goes last.
    let best = DELIMITERS.into_iter().rev().max_by_key(known);
    best.unwrap_or(b',')
}

/// A column that is not known, but nearly: leaving it alone would lose what it says.
fn misspelt(column: &str) -> Option<String> {
    let near = COLUMNS.into_iter().find(|known| {
        *known != column && strsim::damerau_levenshtein(known, &column.to_lowercase()) <= 1
    })?;
    Some(format!(
        "column {column:?}: expected {near:?}, or another name for a column without meaning here"
    ))
}

/// Good or bad, in the words of factories and of other programs.
fn label(text: &str) -> Result<Label, String> {
    match text.to_lowercase().as_str() {
        "good" | "ok" | "normal" | "0" => Ok(Label::Good),
        "bad" | "ng" | "nok" | "abnormal" | "anomalous" | "defective" | "1" => Ok(Label::Bad),
        _ => Err(format!(
            "label {text:?}: expected good, ok, normal or 0, or bad, ng, nok, abnormal, anomalous, \
             defective or 1"
        )),
    }
}

fn entry(row: Row, base: &Path, order: usize) -> Result<Entry, String> {
    let below = Path::new(&row.path).strip_prefix(base).ok();
    let id = listed_id(below.and_then(Path::to_str).unwrap_or(&row.path))?;
    let label = label(&row.label)?;
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
