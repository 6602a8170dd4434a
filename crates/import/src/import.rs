use crate::listing::{Listed, Listing};
use crate::{Fault, ImportError, MapsFolder, read};
use rayon::prelude::*;
use segad_core::{AnomalyMap, Cancel, CellKind, Key, KeyHasher, Progress};
use segad_segments::AnySource;
use segad_store::{MapRecord, MapsReader, MapsWriter, Store};
use std::path::Path;

/// Maps in memory at a time.
const BATCH: usize = 64;
/// The file of a cell of maps.
const MAPS: &str = "maps.parquet";

/// What an import did. One list is the maps of one model and class.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lists stored now.
    pub stored: usize,
    /// Lists that were in the store already.
    pub present: usize,
    /// Maps of the lists stored now.
    pub maps: usize,
    /// What is wrong. Lists with a fault of a model are not stored; faults of masks keep no maps
    /// from being stored.
    pub faults: Vec<Fault>,
    /// What is odd but changes nothing.
    pub notes: Vec<String>,
    /// Classes of the manifest that are not there.
    pub absent: Vec<String>,
}

impl MapsFolder {
    /// Imports every list that is not in the store yet, and checks the masks. Does nothing
    /// for what was imported or checked before. `provenance` is recorded with each cell, beside
    /// `model`, `class` and `layout`.
    ///
    /// Runs in the rayon pool that the caller is in; about 64 maps are in memory at a time.
    ///
    /// # Errors
    /// [`ImportError::Store`] if the store cannot be written, [`ImportError::Interrupted`]. What is
    /// wrong with the folder's content is in the report.
    pub fn import(
        &self,
        store: &Store,
        progress: &dyn Progress,
        cancel: &Cancel,
        provenance: serde_json::Value,
    ) -> Result<Report, ImportError> {
        let mut report = Report::default();
        let known = self.manifest().classes.iter().map(|c| &c.name);
        report.absent = known
            .filter(|class| !self.classes().contains(class))
            .cloned()
            .collect();
        for class in self.classes() {
            let mut size = None;
            for model in self.models() {
                match self.lists().get(&(model.clone(), class.clone())) {
                    None => {}
                    Some(Err(faults)) => report.faults.extend(faults.iter().cloned()),
                    Some(Ok(list)) => {
                        if cancel.is_cancelled() {
                            return Err(ImportError::Interrupted);
                        }
                        let at = At {
                            folder: self,
                            store,
                            cancel,
                            progress,
                            model,
                            class,
                            list,
                        };
                        if let Some(found) = at.import(&provenance, &mut report)? {
                            at.same_size(&mut size, found, &mut report);
                        }
                    }
                }
            }
            if let Some((_, height, width)) = size {
                self.check_masks(class, height, width, progress, &mut report)?;
            }
            // After each class, so that an interrupted import does not read it again.
            self.save_digests()?;
        }
        Ok(report)
    }

    /// Reads every mask of a class once: there, readable, of the maps' size, labels below L.
    fn check_masks(
        &self,
        class: &str,
        height: usize,
        width: usize,
        progress: &dyn Progress,
        report: &mut Report,
    ) -> Result<(), ImportError> {
        let Some(Ok(list)) = self
            .models()
            .iter()
            .map(|m| self.list(m, class))
            .find(Result::is_ok)
        else {
            return Ok(());
        };
        let masks = match self.segment_source(class, height, width) {
            Ok(AnySource::Folder(masks)) => masks,
            Ok(source) if !source.looks_at_pixels() => return Ok(()),
            unusable => {
                let problem = match unusable {
                    Err(e) => e.to_string(),
                    Ok(_) => format!("class {class}: its segments need the images"),
                };
                report.faults.push(Fault {
                    model: None,
                    class: class.to_owned(),
                    file: self.base().to_owned(),
                    row: None,
                    problem,
                });
                return Ok(());
            }
        };
        // Remembered by key: masks of the same content are not read again.
        let mark = self.segments_key(class).ok().map(|key| {
            KeyHasher::new("masks-checked", 1)
                .field("key", &key)
                .field("height", &height)
                .field("width", &width)
                .finish()
        });
        if mark.is_some_and(|m| self.digests().is_verified(&m)) {
            return Ok(());
        }
        let task = progress.start(
            &format!("check masks of {class}"),
            Some(list.rows.len() as u64),
        );
        let faults: Vec<Fault> = (list.rows.par_iter())
            .filter_map(|row| {
                let read = masks.file(&row.entry.id).and_then(|file| masks.read(&file));
                Some(Fault {
                    model: None,
                    class: class.to_owned(),
                    file: row.csv.clone(),
                    row: Some(row.line),
                    problem: read.err()?.to_string(),
                })
            })
            .collect();
        task.advance(list.rows.len() as u64);
        match mark {
            Some(mark) if faults.is_empty() => self.digests().mark_verified(mark),
            _ => report.faults.extend(faults),
        }
        Ok(())
    }
}

/// The list being imported, and what it takes.
struct At<'a> {
    folder: &'a MapsFolder,
    store: &'a Store,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
    model: &'a str,
    class: &'a str,
    list: &'a Listing,
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
    fn import(
        &self,
        provenance: &serde_json::Value,
        report: &mut Report,
    ) -> Result<Option<(usize, usize)>, ImportError> {
        let (key, digests) = self.folder.keys(self.list)?;
        if let Some(entry) = self.store.entry(CellKind::Maps, &key)? {
            report.present += 1;
            // The cell's digests were checked when it was made and are checked when it is used.
            let reader = MapsReader::open(&entry.dir().join(MAPS))?;
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
    fn same_size(
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
