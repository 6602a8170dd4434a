use crate::cell::{CellId, META, Meta};
use crate::draft::Draft;
use crate::entry::{Entry, check_sizes};
use crate::error::{Result, StoreError};
use segad_core::{CellKind, Key};
use segad_files::{Owner, Staging};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A folder of results, shared by any number of processes and machines. Clones are cheap and share
/// what was verified.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    top: PathBuf,
    writable: bool,
    /// Files whose digest this process has checked.
    verified: Mutex<HashSet<PathBuf>>,
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
        let store = Self::new(root, true);
        for folder in [store.temporary(), store.leases()] {
            segad_files::create_dir(&folder)?;
        }
        // More than a page, as an empty file may still fit on a full disk.
        let probe = Staging::create_in(&store.temporary())?;
        segad_files::write_atomic(&probe.path().join("probe"), &[0; 4096])?;
        store.sweep()?;
        Ok(store)
    }

    /// Opens a store for reading.
    ///
    /// # Errors
    /// [`StoreError::File`] if there is no store at `root`.
    pub fn open_read_only(root: &Path) -> Result<Self> {
        let store = Self::read_only(root);
        segad_files::list_dir(&store.inner.top)?;
        Ok(store)
    }

    /// A store for reading whatever is at `root`; nothing there is an empty store. Creates nothing.
    pub fn read_only(root: &Path) -> Self {
        Self::new(root, false)
    }

    fn new(root: &Path, writable: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                root: root.to_owned(),
                top: root.join("v1"),
                writable,
                verified: Mutex::default(),
                damaged: Mutex::default(),
            }),
        }
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// True if the cell is committed. Cheap: looks for the commit mark and reads nothing.
    pub fn contains(&self, kind: CellKind, key: &Key) -> bool {
        // The mark is published together with the data, so its presence is enough.
        self.cell_dir(kind, key).join(META).is_file()
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
        let dir = self.cell_dir(kind, key);
        let path = dir.join(META);
        let Some(bytes) = segad_files::read_if_present(&path)? else {
            return Ok(None);
        };
        let meta = Meta::decode(&path, &bytes)?;
        // A folder that was moved or copied by hand.
        if meta.kind != kind || meta.key != *key {
            let other = CellId {
                kind: meta.kind,
                key: meta.key,
            };
            return Err(StoreError::content(
                &path,
                format!("belongs to cell {other}"),
            ));
        }
        // Cheap, and finds most damage: a crash or a full disk truncates.
        check_sizes(&dir, &meta)?;
        Ok(Some(Entry::new(self.clone(), dir, meta)))
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
        let dir = self.cell_dir(kind, key);
        let folder = self.quarantined();
        segad_files::create_dir(&folder)?;
        let to = folder.join(format!("{kind}-{key}-{}", Owner::current().unique_tag()));
        self.found_damaged().remove(&CellId { kind, key: *key });
        match segad_files::rename(&dir, &to) {
            Ok(()) => {
                // What replaces the cell has not been verified.
                self.verified().retain(|p| !p.starts_with(&dir));
                tracing::warn!(cell = %CellId { kind, key: *key }, to = %to.display(), "cell quarantined");
                Ok(Some(to))
            }
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
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
        Ok(segad_files::sweep(&self.temporary())? + segad_files::sweep(&self.leases())?)
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.inner.writable {
            Ok(())
        } else {
            Err(StoreError::OpenForReading(self.inner.root.clone()))
        }
    }

    pub(crate) fn verified(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.inner
            .verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn kind_dir(&self, kind: CellKind) -> PathBuf {
        self.inner.top.join(kind.as_str())
    }

    pub(crate) fn cell_dir(&self, kind: CellKind, key: &Key) -> PathBuf {
        let key = key.to_string();
        self.kind_dir(kind).join(&key[..2]).join(key)
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.inner.top.join("tmp")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.inner.top.join("lease")
    }

    pub(crate) fn failures(&self) -> PathBuf {
        self.inner.top.join("failed")
    }

    pub(crate) fn quarantined(&self) -> PathBuf {
        self.inner.top.join("quarantine")
    }
}
