//! Lists of images: CSV, as people, spreadsheets and other programs write them.

mod text;

use super::Scan;
use crate::{DatasetError, Entry, Part};
use csv::StringRecord;
use segad_core::{ImageId, Label};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The list's name where a folder is given.
pub(super) const NAME: &str = "images.csv";

/// Columns that mean something; others are left alone. The last three are those of anomalib's
/// tables.
const COLUMNS: [&str; 8] = [
    "path",
    "label",
    "type",
    "group",
    "split",
    "image_path",
    "label_index",
    "mask_path",
];

/// A list in memory: its rows, and where the columns are that mean something.
struct List {
    path: PathBuf,
    columns: Columns,
    /// Line number and fields.
    rows: Vec<(u64, StringRecord)>,
}

/// Positions of columns.
struct Columns {
    path: usize,
    /// Good or bad, in words or as 0 and 1.
    label: usize,
    /// Kind of defect; the label by default.
    kind: Option<usize>,
    /// What must stay together in a split, e.g. a serial number.
    group: Option<usize>,
    /// `train`, `test`, `val` or empty.
    split: Option<usize>,
}

impl Columns {
    fn of(headers: &StringRecord) -> Result<Self, String> {
        let at = |name: &str| headers.iter().position(|header| header == name);
        for name in COLUMNS {
            if headers.iter().filter(|header| *header == name).count() > 1 {
                return Err(format!("column {name:?} appears twice"));
            }
        }
        if let Some(reason) = headers.iter().find_map(misspelt) {
            return Err(reason);
        }
        let absent = |name: &str| {
            format!(
                "column {name} is missing; columns: path, label and optionally type, group, split; \
                 or image_path, label_index and optionally label, split"
            )
        };
        // In anomalib's tables, `path` is the folder of the data set and `label` the kind of defect.
        let label = at("label_index");
        let kind = label.and_then(|_| at("label"));
        Ok(Self {
            path: at("image_path")
                .or(at("path"))
                .ok_or_else(|| absent("path"))?,
            label: label.or(at("label")).ok_or_else(|| absent("label"))?,
            kind: at("type").or(kind),
            group: at("group"),
            split: at("split"),
        })
    }
}

impl List {
    fn read(root: &Path) -> Result<Self, DatasetError> {
        let path = if root.is_dir() {
            root.join(NAME)
        } else {
            root.to_owned()
        };
        let fault = |line, reason: String| row_error(&path, line, reason);
        let text = text::decode(&segad_files::read(&path)?).map_err(|e| fault(1, e))?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(text::delimiter(&text, &COLUMNS))
            .from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|e| fault(1, e.to_string()))?;
        let columns = Columns::of(headers).map_err(|e| fault(1, e))?;
        let mut rows = Vec::new();
        for record in reader.records() {
            // The reader knows the line of a record that spans several.
            let record = record.map_err(|e| {
                let line = e.position().map_or(0, csv::Position::line);
                fault(line, e.to_string())
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, record));
        }
        Ok(Self {
            path,
            columns,
            rows,
        })
    }

    /// What a row says of the image with this id.
    fn entry(&self, row: &StringRecord, id: ImageId, order: usize) -> Result<Entry, String> {
        let field = |at: usize| row.get(at).unwrap_or_default();
        let optional = |at: Option<usize>| at.map(field).filter(|text| !text.is_empty());
        let label = label(field(self.columns.label))?;
        let kind = match optional(self.columns.kind) {
            // Words for good and bad are no kinds, and must not contradict the number.
            Some(kind) => match crate::words::label(kind) {
                Some(word) if word != label => {
                    return Err(format!("{kind:?} contradicts the label {label}"));
                }
                Some(_) => None,
                None => Some(kind),
            },
            None => None,
        };
        Ok(Entry {
            id,
            label,
            group: kind.unwrap_or(label.as_str()).to_owned(),
            part: part(optional(self.columns.split).unwrap_or_default())?,
            order,
            unit: optional(self.columns.group).map(str::to_owned),
        })
    }
}

/// The folder that ids are relative to: the list's, or the deepest one that also holds the images
/// that the list names by absolute paths.
pub(super) fn base(root: &Path) -> Result<PathBuf, DatasetError> {
    let list = List::read(root)?;
    let own = segad_files::parent(&list.path);
    let real = segad_files::real_path(own)?;
    let paths = list
        .rows
        .iter()
        .filter_map(|(_, row)| row.get(list.columns.path));
    let outside = paths
        .map(Path::new)
        .filter(|path| path.is_absolute() && !path.starts_with(&real) && !path.starts_with(own));
    let base = outside.fold(real.clone(), |base, path| common(&base, path));
    Ok(if base == real { own.to_owned() } else { base })
}

/// The deepest folder that holds both.
fn common(folder: &Path, path: &Path) -> PathBuf {
    let pairs = folder.components().zip(path.components());
    let shared = pairs.take_while(|(a, b)| a == b);
    shared.map(|(part, _)| part).collect()
}

/// A list with a header. Canonical order and order of taking are those of the list.
pub(super) fn scan(root: &Path, base: &Path) -> Result<Scan, DatasetError> {
    let list = List::read(root)?;
    let own = segad_files::parent(&list.path);
    let (real, real_base) = (segad_files::real_path(own)?, segad_files::real_path(base)?);
    let mut scan = Scan::new();
    let mut seen = HashSet::new();
    for (order, (line, row)) in list.rows.iter().enumerate() {
        let fault = |reason: String| row_error(&list.path, *line, reason);
        let text = row.get(list.columns.path).unwrap_or_default();
        let path = Path::new(text);
        let below = if path.is_absolute() {
            let below = path.strip_prefix(&real_base).or(path.strip_prefix(base));
            below.unwrap_or(path).to_owned()
        } else {
            // Empty, unless absolute paths lead elsewhere.
            let place = real.strip_prefix(&real_base).unwrap_or("".as_ref());
            place.join(path)
        };
        let below = below.to_str().unwrap_or(text);
        let id = super::listed_id(below).map_err(fault)?;
        let entry = list.entry(row, id, order).map_err(fault)?;
        if !seen.insert(entry.id.clone()) {
            return Err(fault(format!("{} is listed twice", entry.id)));
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

/// A column that is not known, but nearly: leaving it alone would lose what it says.
fn misspelt(column: &str) -> Option<String> {
    let near = COLUMNS.into_iter().find(|known| {
        *known != column && strsim::damerau_levenshtein(known, &column.to_lowercase()) <= 1
    })?;
    Some(format!(
        "column {column:?}: expected {near:?}, or another name for a column without meaning here"
    ))
}

fn label(text: &str) -> Result<Label, String> {
    match text {
        // As tables that once had a gap write whole numbers.
        "0" | "0.0" => Ok(Label::Good),
        "1" | "1.0" => Ok(Label::Bad),
        word => crate::words::label(word).ok_or_else(|| {
            format!(
                "label {word:?}: expected 0 or {}, or 1 or {}; kinds of defect have a column of \
                 their own, type",
                crate::words::GOOD.join(", "),
                crate::words::BAD.join(", ")
            )
        }),
    }
}

fn part(text: &str) -> Result<Part, String> {
    // As Python writes its enumeration.
    let word = text.to_lowercase();
    match word.strip_prefix("split.").unwrap_or(&word) {
        "" => Ok(Part::All),
        "train" => Ok(Part::Train),
        "test" | "val" => Ok(Part::Test),
        _ => Err(format!(
            "split {text:?}: expected train, test, val or nothing"
        )),
    }
}
