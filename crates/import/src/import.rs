mod list;

use crate::{Fault, ImportError, MapsFolder};
use list::At;
use rayon::prelude::*;
use segad_core::{Cancel, KeyHasher, Progress};
use segad_segments::AnySource;
use segad_store::Store;

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
