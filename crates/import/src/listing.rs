use crate::Fault;
use segad_datasets::Entry;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The place of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MapSource {
    /// A `.npy` or `.npz` file, relative to the folder.
    File(String),
    /// The row of this image in a Parquet file, relative to the folder.
    Parquet(String),
}

impl MapSource {
    pub(crate) fn file(&self) -> &str {
        match self {
            Self::File(name) | Self::Parquet(name) => name,
        }
    }
}

/// One line of a list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub entry: Entry,
    pub map: MapSource,
    /// The detector's own score, where the list has it.
    pub prediction: Option<f64>,
    /// Which list, and which line of it.
    pub csv: PathBuf,
    pub line: u64,
}

/// All images of one model and class, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub rows: Vec<Listed>,
}

/// Gathers lines and what is wrong with them.
pub(crate) struct Gather<'a> {
    model: &'a str,
    class: &'a str,
    rows: Vec<Listed>,
    faults: Vec<Fault>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(model: &'a str, class: &'a str) -> Self {
        Self {
            model,
            class,
            rows: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn fault(&mut self, file: &Path, row: Option<u64>, problem: String) {
        self.faults.push(Fault {
            model: Some(self.model.to_owned()),
            class: self.class.to_owned(),
            file: file.to_owned(),
            row,
            problem,
        });
    }

    /// Adds a line whose map exists.
    pub(crate) fn add(&mut self, base: &Path, row: Listed) {
        if base.join(row.map.file()).is_file() {
            self.rows.push(row);
        } else {
            let problem = format!("{} does not exist", row.map.file());
            self.fault(&row.csv, Some(row.line), problem);
        }
    }

    /// The list if every line is in order, each image and each file once.
    pub(crate) fn finish(mut self, empty: &Path) -> Result<Listing, Vec<Fault>> {
        let mut ids: HashMap<String, usize> = HashMap::new();
        let mut files: HashMap<String, usize> = HashMap::new();
        let rows = std::mem::take(&mut self.rows);
        for (i, row) in rows.iter().enumerate() {
            // An image listed twice would count twice in every metric; two images of one map are
            // most likely a mistake of the script that wrote the list.
            let id = row.entry.id.to_string();
            let before = ids
                .insert(id.clone(), i)
                .map(|b| (b, format!("{id} is listed twice")));
            let before = before.or_else(|| match &row.map {
                MapSource::File(name) => files
                    .insert(name.clone(), i)
                    .map(|b| (b, format!("{name} is the map of two images"))),
                // One file holds many maps; rows are told apart by the image.
                MapSource::Parquet(_) => None,
            });
            if let Some((before, problem)) = before {
                let Listed { csv, line, .. } = &rows[before];
                let name = csv.file_name().unwrap_or_default().to_string_lossy();
                self.fault(
                    &row.csv,
                    Some(row.line),
                    format!("{problem}, first in {name}, row {line}"),
                );
            }
        }
        // Only where nothing else explains why there are no rows.
        if rows.is_empty() && self.faults.is_empty() {
            self.fault(empty, None, "lists no image of this class".to_owned());
        }
        if self.faults.is_empty() {
            Ok(Listing { rows })
        } else {
            Err(self.faults)
        }
    }
}

impl Listing {
    /// The first row where another model lists another image, label or place than this one.
    pub(crate) fn first_difference<'a>(
        &self,
        other: &'a Self,
    ) -> Option<(Option<&'a Listed>, String)> {
        let longest = self.rows.len().max(other.rows.len());
        for i in 0..longest {
            let seen = describe(other.rows.get(i));
            let expected = describe(self.rows.get(i));
            if seen != expected {
                let problem = format!("lists {seen} where the other model lists {expected}");
                return Some((other.rows.get(i), problem));
            }
        }
        None
    }
}

fn describe(row: Option<&Listed>) -> String {
    row.map_or("nothing".to_owned(), |row| {
        let Entry {
            id, label, part, ..
        } = &row.entry;
        format!("{id} ({label}, {})", part.as_str())
    })
}
