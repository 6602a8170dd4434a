use crate::backend::Backend;
use crate::cell::{CellId, META, Meta};
use crate::draft::Draft;
use crate::entry::Entry;
use crate::error::{Result, StoreError};
use crate::folder::Folder;
use segad_core::{CellKind, Key};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A folder of results, shared by any number of processes and machines. Clones are cheap and share
/// what was verified.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    backend: Box<dyn Backend>,
    writable: bool,
    /// Files whose digest this process has checked.
    verified: Mutex<HashSet<(CellId, String)>>,
    /// Cells that this process found damaged and that are still in their place.
    damaged: Mutex<BTreeSet<CellId>>,
}

impl Store {
    /// Opens a store for reading and writing; creates it if it does not exist. Tries a write, so
    /// that a full or read-only disk is reported before anything is computed, and removes what dead
    /// processes of this machine left unfinished.
    ///
    /// # Errors
    /// [`StoreError::File`] naming the folder that cannot be created or written to.
    pub fn open(root: &Path) -> Result<Self> {
        Self::in_folder(root, true).prepared()
    }

    /// Opens a store for reading.
    ///
    /// # Errors
    /// [`StoreError::File`] if there is no store at `root`.
    pub fn open_read_only(root: &Path) -> Result<Self> {
        Self::read_only(root).existing()
    }

    /// A store for reading whatever is at `root`; nothing there is an empty store. Creates nothing.
    pub fn read_only(root: &Path) -> Self {
        Self::in_folder(root, false)
    }

    pub(crate) fn in_folder(root: &Path, writable: bool) -> Self {
        Self::new(root, Box::new(Folder::new(root)), writable)
    }

    pub(crate) fn new(root: &Path, backend: Box<dyn Backend>, writable: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                root: root.to_owned(),
                backend,
                writable,
                verified: Mutex::default(),
                damaged: Mutex::default(),
            }),
        }
    }

    pub(crate) fn prepared(self) -> Result<Self> {
        self.backend().prepare()?;
        Ok(self)
    }

    pub(crate) fn existing(self) -> Result<Self> {
        self.backend().check_exists()?;
        Ok(self)
    }

    /// The folder of the store; of an object store, its address.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Where a training keeps its checkpoints, so that it goes on wherever the cell is tried again;
    /// `None` in an object store, which has no place that is written to again and again.
    pub fn checkpoints(&self, key: &Key) -> Option<PathBuf> {
        let shared = self.backend().shared_folder()?;
        Some(shared.join(key.to_string()))
    }

    /// True if the cell is committed. Cheap: looks for the commit mark and reads nothing.
    ///
    /// # Errors
    /// [`StoreError::File`] if the place cannot be asked.
    pub fn contains(&self, kind: CellKind, key: &Key) -> Result<bool> {
        self.backend().contains(CellId { kind, key: *key })
    }

    /// Which cells are committed, as of now, for those who ask for many.
    ///
    /// # Errors
    /// As [`Store::contains`].
    pub fn committed(&self) -> Result<Committed> {
        Ok(Committed {
            store: self.clone(),
            cells: self.backend().committed()?,
        })
    }

    /// The cell, with the sizes of its files checked; `None` if it is not committed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the file: then [`Store::quarantine`] makes room to compute it
    /// again. [`StoreError::NewerSchema`], [`StoreError::File`].
    pub fn entry(&self, kind: CellKind, key: &Key) -> Result<Option<Entry>> {
        self.note(CellId { kind, key: *key }, self.open_entry(kind, key))
    }

    fn open_entry(&self, kind: CellKind, key: &Key) -> Result<Option<Entry>> {
        let id = CellId { kind, key: *key };
        let Some(bytes) = self.backend().mark(id)? else {
            return Ok(None);
        };
        let path = self.backend().cell(id).join(META);
        let meta = Meta::decode(&path, &bytes)?;
        // A folder that was moved or copied by hand.
        if meta.id() != id {
            let other = meta.id();
            return Err(StoreError::content(
                &path,
                format!("belongs to cell {other}"),
            ));
        }
        // Cheap, and finds most damage: a crash or a full disk truncates.
        self.backend().check_sizes(&meta)?;
        Ok(Some(Entry::new(self.clone(), meta)))
    }

    /// Starts a cell.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`].
    pub fn draft(&self, kind: CellKind, key: &Key) -> Result<Draft> {
        Draft::new(self.clone(), CellId { kind, key: *key })
    }

    /// Moves a cell out of the way, to `v1/quarantine`, so that it counts as absent; returns where
    /// it is now, or `None` if there was nothing.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`].
    pub fn quarantine(&self, kind: CellKind, key: &Key) -> Result<Option<PathBuf>> {
        self.check_writable()?;
        let id = CellId { kind, key: *key };
        self.found_damaged().remove(&id);
        let moved = self.backend().quarantine(id)?;
        if let Some(to) = &moved {
            // What replaces the cell has not been verified.
            self.forget_verified(id);
            tracing::warn!(cell = %id, to = %to.display(), "cell quarantined");
        }
        Ok(moved)
    }

    /// Cells that this process found damaged and that are still in their place. Moving each away with
    /// [`Store::quarantine`] makes room to compute it again.
    pub fn damaged(&self) -> Vec<CellId> {
        self.found_damaged().iter().copied().collect()
    }

    /// Passes a result on, and remembers the cell if it is damaged.
    pub(crate) fn note<T>(&self, id: CellId, result: Result<T>) -> Result<T> {
        if let Err(StoreError::Damaged { .. }) = &result {
            self.found_damaged().insert(id);
        }
        result
    }

    fn found_damaged(&self) -> MutexGuard<'_, BTreeSet<CellId>> {
        let damaged = self.inner.damaged.lock();
        damaged.unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what dead processes of this machine left unfinished; returns the number of folders and
    /// files.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn sweep(&self) -> Result<usize> {
        self.backend().sweep()
    }

    /// How long to wait before looking again at a cell that somebody else computes.
    pub fn patience(&self) -> Duration {
        self.backend().patience()
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.inner.writable {
            Ok(())
        } else {
            Err(StoreError::OpenForReading(self.inner.root.clone()))
        }
    }

    pub(crate) fn verified(&self) -> MutexGuard<'_, HashSet<(CellId, String)>> {
        self.inner
            .verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget_verified(&self, id: CellId) {
        self.verified().retain(|(cell, _)| *cell != id);
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.inner.backend
    }
}

/// Which cells of a store are committed; see [`Store::committed`].
#[derive(Clone, Debug)]
pub struct Committed {
    store: Store,
    /// All of them, where they were listed.
    cells: Option<HashSet<CellId>>,
}

impl Committed {
    /// True if the cell is committed.
    pub fn contains(&self, kind: CellKind, key: &Key) -> bool {
        match &self.cells {
            Some(cells) => cells.contains(&CellId { kind, key: *key }),
            // Not listed, and then asking the store cannot fail.
            None => self.store.contains(kind, key).unwrap_or(false),
        }
    }
}
