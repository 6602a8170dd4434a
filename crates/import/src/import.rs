use crate::listing::{Listed, Listing};
use crate::{Fault, ImportError, MapsFolder, read};
use rayon::prelude::*;
use segad_core::{AnomalyMap, Cancel, CellKind, Key, KeyHasher, Progress};
use segad_segments::Source;
use segad_store::{MapRecord, MapsReader, MapsWriter, Store};

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
        let there = |class: &String| !self.classes().contains(class);
        report.absent = self
            .manifest()
            .classes
            .iter()
            .map(|c| c.name.clone())
            .filter(there)
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
        let whole = |problem: String| Fault {
            model: None,
            class: class.to_owned(),
            file: self.base().to_owned(),
            row: None,
            problem,
        };
        let masks = match self.segment_source(class, height, width) {
            Ok(Source::Folder(masks)) => masks,
            Ok(source) if source.looks_at_pixels() => {
                let problem =
                    format!("class {class}: its segments need the images, which are not here");
                report.faults.push(whole(problem));
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(e) => {
                report.faults.push(whole(e.to_string()));
                return Ok(());
            }
        };
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
                let problem = read.err()?.to_string();
                let (file, row) = (row.csv.clone(), Some(row.line));
                Some(Fault {
                    model: None,
                    class: class.to_owned(),
                    file,
                    row,
                    problem,
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

/// One list on its way.
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
        let (model, class) = (Some(self.model.to_owned()), self.class.to_owned());
        Fault {
            model,
            class,
            file: row.csv.clone(),
            row: Some(row.line),
            problem,
        }
    }

    /// Height and width of the maps, if they are in the store in the end.
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
        let mut writer = None;
        let mut faults = Vec::new();
        let mut odd = Odd::default();
        let name = format!("import {} {}", self.model, self.class);
        let task = self
            .progress
            .start(&name, Some(self.list.rows.len() as u64));
        let readers = read::readers(self.folder.base(), self.list)?;
        let all: Vec<(&Listed, &Key)> = self.list.rows.iter().zip(&digests).collect();
        for batch in all.chunks(BATCH) {
            if self.cancel.is_cancelled() {
                return Err(ImportError::Interrupted);
            }
            let read = |&(row, digest): &(&Listed, &Key)| {
                read::map(
                    self.folder.base(),
                    &readers,
                    &row.map,
                    &row.entry.id,
                    digest,
                )
            };
            let maps: Vec<Result<AnomalyMap, String>> = batch.par_iter().map(read).collect();
            for (map, (row, _)) in maps.into_iter().zip(batch) {
                let pushed = map.and_then(|map| {
                    odd.look(row, &map);
                    let size = (map.height(), map.width());
                    let (writer, expected) = match &mut writer {
                        Some(writer) => writer,
                        None => {
                            let file = draft.path(MAPS).map_err(|e| e.to_string())?;
                            let new = MapsWriter::create(&file, size.0, size.1)
                                .map_err(|e| e.to_string())?;
                            writer.insert((new, size))
                        }
                    };
                    if *expected != size {
                        let (h, w) = *expected;
                        return Err(format!(
                            "{} is {}×{}, the maps before it are {h}×{w}",
                            row.map.file(),
                            size.0,
                            size.1
                        ));
                    }
                    writer.push(&record(row, map)).map_err(|e| e.to_string())
                });
                faults.extend(pushed.err().map(|problem| self.fault(row, problem)));
            }
            task.advance(batch.len() as u64);
        }
        report.notes.extend(odd.note(self));
        if !faults.is_empty() {
            report.faults.extend(faults);
            return Ok(None);
        }
        let Some((writer, size)) = writer else {
            return Ok(None);
        };
        writer.finish()?;
        let mut recorded = provenance.clone();
        if let Some(recorded) = recorded.as_object_mut() {
            recorded.insert(
                "name".to_owned(),
                format!("imported maps {} · {}", self.model, self.class).into(),
            );
            recorded.insert("what".to_owned(), self.model.into());
            recorded.insert("model".to_owned(), self.model.into());
            recorded.insert("class".to_owned(), self.class.into());
            recorded.insert("layout".to_owned(), self.folder.layout().as_str().into());
        }
        draft.commit(recorded)?;
        report.stored += 1;
        report.maps += all.len();
        Ok(Some(size))
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

fn record(row: &Listed, map: AnomalyMap) -> MapRecord {
    let entry = &row.entry;
    let (group, split) = (entry.group.clone(), entry.part.as_str().to_owned());
    MapRecord {
        id: entry.id.clone(),
        label: entry.label,
        group,
        split,
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
