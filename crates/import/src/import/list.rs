//! One list: the maps of one model and class.

use super::Report;
use crate::listing::{Listed, Listing};
use crate::{Fault, ImportError, MapsFolder, read};
use rayon::prelude::*;
use segad_core::{AnomalyMap, Cancel, CellKind, Key, Progress};
use segad_store::{MapRecord, MapsReader, MapsWriter, Store};
use std::path::Path;

/// Maps in memory at a time.
const BATCH: usize = 64;
/// The file of a cell of maps.
const MAPS: &str = "maps.parquet";

/// The list being imported, and what it takes.
pub(super) struct At<'a> {
    pub(super) folder: &'a MapsFolder,
    pub(super) store: &'a Store,
    pub(super) cancel: &'a Cancel,
    pub(super) progress: &'a dyn Progress,
    pub(super) model: &'a str,
    pub(super) class: &'a str,
    pub(super) list: &'a Listing,
}

impl At<'_> {
    fn fault(&self, row: &Listed, problem: String) -> Fault {
        Fault {
            model: Some(self.model.to_owned()),
            class: self.class.to_owned(),
            file: row.csv.clone(),
            row: Some(row.line),
            problem,
        }
    }

    /// Imports the list unless it is stored; returns height and width of its maps, or `None` if it
    /// has faults.
    pub(super) fn import(
        &self,
        provenance: &serde_json::Value,
        report: &mut Report,
    ) -> Result<Option<(usize, usize)>, ImportError> {
        let (key, digests) = self.folder.keys(self.list)?;
        if let Some(entry) = self.store.entry(CellKind::Maps, &key)? {
            report.present += 1;
            // The cell's digests were checked when it was made and are checked when it is used.
            let reader = MapsReader::open(&entry.unverified_path(MAPS)?)?;
            return Ok(Some((reader.height(), reader.width())));
        }
        let draft = self.store.draft(CellKind::Maps, &key)?;
        let Some(size) = self.write_maps(&draft.path(MAPS)?, &digests, report)? else {
            return Ok(None);
        };
        let mut recorded = provenance.clone();
        if let Some(recorded) = recorded.as_object_mut() {
            let name = format!("imported maps {} · {}", self.model, self.class);
            recorded.insert("name".to_owned(), name.into());
            recorded.insert("what".to_owned(), self.model.into());
            recorded.insert("model".to_owned(), self.model.into());
            recorded.insert("class".to_owned(), self.class.into());
            recorded.insert("layout".to_owned(), self.folder.layout().as_str().into());
        }
        // Only whole lists: half of one would look like a finished detector.
        draft.commit(recorded)?;
        report.stored += 1;
        report.maps += self.list.rows.len();
        Ok(Some(size))
    }

    /// Writes the maps to one file and returns their size, or `None` if any has a fault.
    fn write_maps(
        &self,
        file: &Path,
        digests: &[Key],
        report: &mut Report,
    ) -> Result<Option<(usize, usize)>, ImportError> {
        let mut writer: Option<MapsWriter> = None;
        let mut size = None;
        let mut faults = Vec::new();
        let mut odd = Odd::default();
        let rows: Vec<(&Listed, &Key)> = self.list.rows.iter().zip(digests).collect();
        let name = format!("import {} {}", self.model, self.class);
        let task = self.progress.start(&name, Some(rows.len() as u64));
        let base = self.folder.base();
        let readers = read::readers(base, self.list)?;
        // Batches bound the memory; within one, files are decoded in parallel.
        for batch in rows.chunks(BATCH) {
            // Between batches, so that Ctrl-C waits for a few files at the most.
            if self.cancel.is_cancelled() {
                return Err(ImportError::Interrupted);
            }
            let maps: Vec<Result<AnomalyMap, String>> = batch
                .par_iter()
                .map(|(row, digest)| read::map(base, &readers, &row.map, &row.entry.id, digest))
                .collect();
            for (map, (row, _)) in maps.into_iter().zip(batch) {
                let checked = map.and_then(|map| check_size(row, map, &mut size));
                match checked {
                    // What the store refuses, such as a full disk, is not a fault of the folder.
                    Ok(map) => {
                        odd.look(row, &map);
                        let writer = match &mut writer {
                            Some(writer) => writer,
                            None => {
                                writer.insert(MapsWriter::create(file, map.height(), map.width())?)
                            }
                        };
                        writer.push(&record(row, map))?;
                    }
                    Err(problem) => faults.push(self.fault(row, problem)),
                }
            }
            task.advance(batch.len() as u64);
        }
        report.notes.extend(odd.note(self));
        if !faults.is_empty() {
            report.faults.extend(faults);
            return Ok(None);
        }
        if let Some(writer) = writer {
            writer.finish()?;
        }
        Ok(size)
    }

    /// All models' maps of a class must have one size, that of its masks.
    pub(super) fn same_size(
        &self,
        first: &mut Option<(String, usize, usize)>,
        found: (usize, usize),
        report: &mut Report,
    ) {
        match first {
            None => *first = Some((self.model.to_owned(), found.0, found.1)),
            Some((_, h, w)) if (*h, *w) == found => {}
            Some((other, h, w)) => {
                let problem = format!(
                    "maps of {} are {}×{}, those of {other} {h}×{w}",
                    self.model, found.0, found.1
                );
                report
                    .faults
                    .extend(self.list.rows.first().map(|row| Fault {
                        row: None,
                        ..self.fault(row, problem)
                    }));
            }
        }
    }
}

/// The map, if it has the size of those before it.
fn check_size(
    row: &Listed,
    map: AnomalyMap,
    expected: &mut Option<(usize, usize)>,
) -> Result<AnomalyMap, String> {
    let size = (map.height(), map.width());
    let (height, width) = *expected.get_or_insert(size);
    if size == (height, width) {
        return Ok(map);
    }
    Err(format!(
        "{} is {}×{}, the maps before it are {height}×{width}",
        row.map.file(),
        size.0,
        size.1
    ))
}

fn record(row: &Listed, map: AnomalyMap) -> MapRecord {
    let entry = &row.entry;
    MapRecord {
        id: entry.id.clone(),
        label: entry.label,
        group: entry.group.clone(),
        split: entry.part.as_str().to_owned(),
        map,
    }
}

/// Rows whose own score is not the maximum of their map.
#[derive(Default)]
struct Odd {
    count: usize,
    first: Option<(u64, f64, f32)>,
}

impl Odd {
    fn look(&mut self, row: &Listed, map: &AnomalyMap) {
        let Some(stated) = row.prediction else { return };
        // The authors' detectors score an image by its map's maximum, up to rounding.
        let max = map.max();
        if (stated - f64::from(max)).abs() > 1e-5 * stated.abs().max(f64::from(max.abs())) {
            self.count += 1;
            self.first.get_or_insert((row.line, stated, max));
        }
    }

    fn note(&self, at: &At<'_>) -> Option<String> {
        let (line, stated, max) = self.first?;
        Some(format!(
            "{} {}: prediction_an_det is not the map's maximum in {} of {} rows (first in row {line}: {stated}, maximum \
             {max}); rows of the plain detector use the maximum",
            at.model,
            at.class,
            self.count,
            at.list.rows.len()
        ))
    }
}
