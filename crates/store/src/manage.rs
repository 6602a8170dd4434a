use crate::cell::{CellId, META, Meta};
use crate::draft::{Draft, Published};
use crate::entry::Entry;
use crate::error::{Result, StoreError};
use crate::store::Store;
use segad_core::{Cancel, CellKind, Progress};
use segad_files::FileError;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// A cell in [`Store::ls`].
#[derive(Debug)]
pub struct Listed {
    /// The cell.
    pub id: CellId,
    /// When it was committed.
    pub committed: SystemTime,
    /// The content of its commit mark; an error if that is damaged.
    pub meta: Result<Meta>,
}

impl Listed {
    /// Bytes of the data files; 0 where the commit mark cannot be read.
    pub fn bytes(&self) -> u64 {
        self.meta.as_ref().map_or(0, Meta::bytes)
    }
}

/// What a pass over many cells did.
#[derive(Debug, Default)]
pub struct Report {
    /// Cells handled: verified and sound, removed, or copied.
    pub cells: Vec<CellId>,
    /// Cells that existed already and were left alone (export, import).
    pub skipped: Vec<CellId>,
    /// Bytes of the data files of `cells`.
    pub bytes: u64,
    /// Cells that could not be handled, and why; the others were.
    pub failed: Vec<(CellId, StoreError)>,
}

impl Report {
    fn add(&mut self, id: CellId, bytes: u64) {
        self.cells.push(id);
        self.bytes += bytes;
    }
}

impl Store {
    /// All committed cells, ordered by kind and key. Reads the commit marks, not the data.
    ///
    /// # Errors
    /// [`StoreError::File`] for a folder that cannot be listed; a damaged cell is a line, not an
    /// error.
    pub fn ls(&self) -> Result<Vec<Listed>> {
        let mut cells = Vec::new();
        for kind in CellKind::ALL {
            for (key, committed) in self.backend().list(kind, usize::MAX)? {
                let id = CellId { kind, key };
                let meta = self.meta(id);
                cells.push(Listed {
                    id,
                    committed,
                    meta,
                });
            }
        }
        Ok(cells)
    }

    /// What up to `limit` committed cells of a kind say of themselves, those whose keys come first:
    /// a sample without reading a large store. Damaged cells are left out.
    ///
    /// # Errors
    /// [`StoreError::File`] for a folder that cannot be listed.
    pub fn sample(&self, kind: CellKind, limit: usize) -> Result<Vec<Meta>> {
        let listed = self.backend().list(kind, limit)?;
        let metas = listed
            .into_iter()
            .map(|(key, _)| self.meta(CellId { kind, key }));
        Ok(metas.filter_map(Result::ok).collect())
    }

    fn meta(&self, id: CellId) -> Result<Meta> {
        let path = self.backend().cell(id).join(META);
        let bytes = self.backend().mark(id)?.ok_or_else(|| absent(&path))?;
        Meta::decode(&path, &bytes)
    }

    /// Reads every file of every cell and compares its digest. Damaged cells are under `failed`,
    /// untouched.
    ///
    /// # Errors
    /// [`StoreError::File`] for a folder that cannot be listed, [`StoreError::Cancelled`].
    pub fn verify(&self, progress: &dyn Progress, cancel: &Cancel) -> Result<Report> {
        let listed = self.ls()?;
        let task = progress.start("verify", Some(listed.len() as u64));
        let mut report = Report::default();
        for cell in listed {
            self.check_cancel(cancel)?;
            match self.present(cell.id).and_then(|e| e.verify()) {
                Ok(()) => report.add(cell.id, cell.bytes()),
                Err(e) => report.failed.push((cell.id, e)),
            }
            task.advance(1);
        }
        Ok(report)
    }

    /// [`Store::verify`], after which every damaged cell is moved away ([`Store::quarantine`]), so
    /// that whatever needs it computes it again. Those cells are under `failed`, with their damage.
    ///
    /// # Errors
    /// As [`Store::verify`]; [`StoreError::OpenForReading`], and [`StoreError::File`] for a cell that
    /// cannot be moved.
    pub fn repair(&self, progress: &dyn Progress, cancel: &Cancel) -> Result<Report> {
        self.check_writable()?;
        let report = self.verify(progress, cancel)?;
        for (id, error) in &report.failed {
            if matches!(error, StoreError::Damaged { .. }) {
                self.quarantine(id.kind, &id.key)?;
            }
        }
        Ok(report)
    }

    /// Removes the cells that `remove` selects; with `dry_run`, only reports them.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`] for a folder that cannot be listed.
    pub fn prune(&self, mut remove: impl FnMut(&Listed) -> bool, dry_run: bool) -> Result<Report> {
        self.check_writable()?;
        if !dry_run {
            self.backend().remove_orphans()?;
        }
        let mut report = Report::default();
        for cell in self.ls()?.iter().filter(|c| remove(c)) {
            if dry_run {
                report.add(cell.id, cell.bytes());
                continue;
            }
            match self.remove_cell(cell.id) {
                Ok(()) => report.add(cell.id, cell.bytes()),
                Err(e) => report.failed.push((cell.id, e)),
            }
        }
        Ok(report)
    }

    /// Removes the cells committed first until the data files together take at most `max_bytes`.
    ///
    /// # Errors
    /// As [`Store::prune`].
    pub fn prune_to_size(&self, max_bytes: u64, dry_run: bool) -> Result<Report> {
        let mut by_age = self.ls()?;
        // The key breaks ties, so that a dry run and the run agree.
        by_age.sort_by_key(|c| (c.committed, c.id));
        let mut left: u64 = by_age.iter().map(Listed::bytes).sum();
        let mut doomed = std::collections::HashSet::new();
        for cell in &by_age {
            if left <= max_bytes {
                break;
            }
            left -= cell.bytes();
            doomed.insert(cell.id);
        }
        self.prune(|c| doomed.contains(&c.id), dry_run)
    }

    /// Copies cells into the store at `folder`, which is created if need be. Every byte is verified
    /// on the way.
    ///
    /// # Errors
    /// [`StoreError::File`] if the other store cannot be opened, [`StoreError::Cancelled`]. A cell
    /// that is missing or damaged is under `failed`.
    pub fn export(
        &self,
        cells: &[CellId],
        folder: &Path,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Report> {
        Self::open(folder)?.copy_from(self, cells, "export", progress, cancel)
    }

    /// Copies all cells of the store at `folder` into this one, as [`Store::export`] does.
    ///
    /// # Errors
    /// As [`Store::export`], [`StoreError::OpenForReading`].
    pub fn import(
        &self,
        folder: &Path,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Report> {
        self.check_writable()?;
        let other = Self::open_read_only(folder)?;
        let cells: Vec<CellId> = other.ls()?.iter().map(|c| c.id).collect();
        self.copy_from(&other, &cells, "import", progress, cancel)
    }

    fn copy_from(
        &self,
        other: &Self,
        cells: &[CellId],
        name: &str,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Report> {
        let task = progress.start(name, Some(cells.len() as u64));
        let mut report = Report::default();
        for &id in cells {
            self.check_cancel(cancel)?;
            match self.copy_cell(other, id) {
                Ok((Published::New, bytes)) => report.add(id, bytes),
                Ok((Published::Existing { .. }, _)) => report.skipped.push(id),
                Err(e) => report.failed.push((id, e)),
            }
            task.advance(1);
        }
        Ok(report)
    }

    fn copy_cell(&self, other: &Self, id: CellId) -> Result<(Published, u64)> {
        let entry = other.present(id)?;
        let meta = entry.meta();
        // A damaged cell here is replaced by the copy.
        if let Ok(Some(there)) = self.entry(id.kind, &id.key) {
            let identical = there.meta().files == meta.files;
            return Ok((Published::Existing { identical }, 0));
        }
        let meta = &Meta {
            draft: None,
            ..meta.clone()
        };
        let draft = Draft::new(self.clone(), id)?;
        // Digests are compared with what was read, so damage is not copied.
        for (name, recorded) in &meta.files {
            let from = entry.unverified_path(name)?;
            recorded.compare(&from, segad_files::copy(&from, &draft.path(name)?)?)?;
        }
        let path = draft.dir().join(META);
        segad_files::write_atomic(&path, &meta.encode(&path)?)?;
        Ok((draft.publish(meta)?, meta.bytes()))
    }

    fn present(&self, id: CellId) -> Result<Entry> {
        let entry = self.entry(id.kind, &id.key)?;
        entry.ok_or_else(|| absent(&self.backend().cell(id)))
    }

    fn remove_cell(&self, id: CellId) -> Result<()> {
        self.backend().remove(id)?;
        self.forget_verified(id);
        Ok(())
    }

    fn check_cancel(&self, cancel: &Cancel) -> Result<()> {
        if cancel.is_cancelled() {
            Err(StoreError::Cancelled(self.root().to_owned()))
        } else {
            Ok(())
        }
    }
}

fn absent(cell: &Path) -> StoreError {
    FileError::new("find the cell", cell, io::ErrorKind::NotFound.into()).into()
}
