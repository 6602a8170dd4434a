//! The general layout.

use crate::listing::{Gather, Listed, Listing, MapSource};
use crate::{Fault, ImportError};
use segad_core::{ImageId, Label};
use segad_datasets::{Entry, Part};
use segad_files::{Result, is_hidden};
use segad_segments::SegmentsSpec;
use segad_store::MapsReader;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The class of images without one.
const ALL: &str = "all";
const COLUMNS: [&str; 6] = ["path", "label", "type", "group", "split", "class"];

/// What `images.csv` says of one image.
pub(crate) struct Line {
    class: String,
    entry: Entry,
    line: u64,
}

/// The list, and what is wrong with it: `(row, class if known, problem)`.
pub(crate) struct Images {
    pub path: PathBuf,
    pub lines: Vec<Line>,
    pub faults: Vec<(u64, String, String)>,
}

impl Images {
    /// Reads the list.
    pub(crate) fn read(base: &Path) -> std::result::Result<Self, ImportError> {
        let path = base.join("images.csv");
        let text = segad_files::read_to_string(&path)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader
            .headers()
            .map_err(|e| wrong_list(&path, e.to_string()))?
            .clone();
        if let Some(unknown) = headers.iter().find(|h| !COLUMNS.contains(h)) {
            return Err(wrong_list(
                &path,
                format!("row 1: unknown column {unknown:?}"),
            ));
        }
        // Columns may come in any order.
        let places = COLUMNS.map(|name| headers.iter().position(|h| h == name));
        if let Some(missing) = (0..2).find(|&i| places[i].is_none()) {
            return Err(wrong_list(
                &path,
                format!("row 1: column {} is missing", COLUMNS[missing]),
            ));
        }
        let mut images = Self {
            path: path.clone(),
            lines: Vec::new(),
            faults: Vec::new(),
        };
        // A faulty row is kept for later: all faults are told at once, not one a run.
        for (order, record) in reader.records().enumerate() {
            let record = record.map_err(|e| wrong_list(&path, e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let [path, label, kind, group, split, class] =
                places.map(|p| p.and_then(|p| record.get(p)).unwrap_or_default());
            let class = if class.is_empty() { ALL } else { class };
            match entry(path, label, kind, group, split, order) {
                Ok(entry) => images.lines.push(Line {
                    class: class.to_owned(),
                    entry,
                    line,
                }),
                Err(problem) => images.faults.push((line, class.to_owned(), problem)),
            }
        }
        Ok(images)
    }

    /// Classes in order of first mention.
    pub(crate) fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = Vec::new();
        let named = self
            .lines
            .iter()
            .map(|l| &l.class)
            .chain(self.faults.iter().map(|f| &f.1));
        for class in named {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        classes
    }
}

fn wrong_list(path: &Path, reason: String) -> ImportError {
    ImportError::Layout {
        path: path.to_owned(),
        reason,
        expected: "columns path, label and maybe type, group, split, class",
    }
}

fn entry(
    path: &str,
    label: &str,
    kind: &str,
    group: &str,
    split: &str,
    order: usize,
) -> std::result::Result<Entry, String> {
    let id = ImageId::new(path);
    // Lists come from anyone; a path must not reach files beside the folder.
    let outside = id
        .as_str()
        .split('/')
        .any(|p| p.is_empty() || p == ".." || p == ".");
    if outside {
        return Err(format!(
            "path {path:?}: expected a path below the folder, e.g. bad/003.png"
        ));
    }
    let label: Label = label
        .parse()
        .map_err(|e: segad_core::CoreError| e.to_string())?;
    let part = match split {
        "" => Part::All,
        "train" => Part::Train,
        "test" => Part::Test,
        other => return Err(format!("split {other:?}: expected train, test or nothing")),
    };
    let unit = (!group.is_empty()).then(|| group.to_owned());
    let kind = if kind.is_empty() {
        label.as_str()
    } else {
        kind
    };
    Ok(Entry {
        order,
        unit,
        ..Entry::new(id, label, part).with_group(kind)
    })
}

/// The Parquet files of a model: which file has the map of which image.
fn parquet(base: &Path, model: &str) -> std::result::Result<HashMap<ImageId, String>, String> {
    let mut rows = HashMap::new();
    for path in segad_files::list_dir(&base.join("maps").join(model)).map_err(|e| e.to_string())? {
        let name = path.file_name().unwrap_or_default();
        if is_hidden(name) || path.extension().is_none_or(|e| e != "parquet") {
            continue;
        }
        let name = format!(
            "maps/{model}/{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        for id in MapsReader::open(&path).map_err(|e| e.to_string())?.ids() {
            if let Some(other) = rows.insert(id.clone(), name.clone()) {
                return Err(format!("{id} has a map in {other} and in {name}"));
            }
        }
    }
    Ok(rows)
}

/// Lists of one model, by class.
pub(crate) fn lists(
    base: &Path,
    images: &Images,
    model: &str,
) -> Vec<(String, std::result::Result<Listing, Vec<Fault>>)> {
    let rows = parquet(base, model);
    let list = |class: String| {
        let mut gather = Gather::new(model, &class);
        match &rows {
            Err(problem) => gather.fault(&base.join("maps").join(model), None, problem.clone()),
            Ok(rows) => {
                for (row, _, problem) in images.faults.iter().filter(|f| f.1 == class) {
                    gather.fault(&images.path, Some(*row), problem.clone());
                }
                // In the order of the images, since all models must list the same.
                for line in images.lines.iter().filter(|l| l.class == class) {
                    match source(base, model, &line.entry.id, rows) {
                        Ok(map) => gather.add(base, listed(line, map, &images.path)),
                        Err(problem) => gather.fault(&images.path, Some(line.line), problem),
                    }
                }
            }
        }
        let listing = gather.finish(&images.path);
        (class, listing)
    };
    images.classes().into_iter().map(list).collect()
}

fn listed(line: &Line, map: MapSource, csv: &Path) -> Listed {
    Listed {
        entry: line.entry.clone(),
        map,
        prediction: None,
        csv: csv.to_owned(),
        line: line.line,
    }
}

fn source(
    base: &Path,
    model: &str,
    id: &ImageId,
    rows: &HashMap<ImageId, String>,
) -> std::result::Result<MapSource, String> {
    let path = id.as_str();
    let folder = path
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    // The image's own extension says nothing about the map's.
    let stem = format!("maps/{model}/{folder}{}", id.stem());
    let files = [format!("{stem}.npy"), format!("{stem}.npz")]
        .map(|f| base.join(&f).is_file().then_some(f));
    let found: Vec<MapSource> = files
        .into_iter()
        .flatten()
        .map(MapSource::File)
        .chain(rows.get(id).cloned().map(MapSource::Parquet))
        .collect();
    match <[MapSource; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(format!(
            "neither {stem}.npy nor .npz nor a Parquet row of {id} exists"
        )),
        Err(several) => Err(format!(
            "{id} has several maps: {} and {}",
            several[0].file(),
            several[1].file()
        )),
    }
}

/// Reads `segments.toml`: a segment source a class, `default` for the others.
pub(crate) fn segments(
    base: &Path,
) -> std::result::Result<BTreeMap<String, SegmentsSpec>, ImportError> {
    let path = base.join("segments.toml");
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = segad_files::read_to_string(&path)?;
    toml::from_str(&text).map_err(|e| ImportError::Segments {
        path,
        reason: e.to_string(),
    })
}

/// The source of a class.
pub(crate) fn segments_of(specs: &BTreeMap<String, SegmentsSpec>, class: &str) -> SegmentsSpec {
    specs
        .get(class)
        .or_else(|| specs.get("default"))
        .cloned()
        .unwrap_or_default()
}

/// Models in order.
pub(crate) fn models(base: &Path) -> Result<Vec<String>> {
    crate::segad::folders(&base.join("maps"))
}
