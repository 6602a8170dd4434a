use crate::atomic;
use crate::cell::{CellId, FileMeta, META, Meta, SCHEMA, check_name};
use crate::error::{Result, StoreError};
use crate::owner::Owner;
use crate::store::Store;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A cell being written, in a temporary folder of the store. [`Draft::commit`] publishes it; dropped before, it leaves
/// nothing.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    id: CellId,
    dir: PathBuf,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The cell is in the store now.
    New,
    /// Somebody else was first; this copy was dropped. `identical`: all data files have the same digests. False means
    /// that the computation does not repeat.
    Existing {
        /// Whether both copies hold the same data.
        identical: bool,
    },
}

/// The moments of a commit; tests stop at each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    DataOnDisk,
    MetaOnDisk,
    Renamed,
}

impl Draft {
    pub(crate) fn new(store: Store, id: CellId) -> Result<Self> {
        store.check_writable()?;
        let dir = store.temporary().join(Owner::current().unique_tag());
        atomic::create_dir(&dir)?;
        Ok(Self { store, id, dir })
    }

    /// The cell's address.
    pub fn id(&self) -> CellId {
        self.id
    }

    /// Where to write a data file. The folder exists.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that is no plain file name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(&self.dir, name)?;
        Ok(self.dir.join(name))
    }

    /// Writes a data file.
    ///
    /// # Errors
    /// As [`Draft::path`], [`StoreError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        atomic::write_atomic(&self.path(name)?, bytes)
    }

    /// Writes a value as a JSON data file.
    ///
    /// # Errors
    /// As [`Draft::write`], [`StoreError::Invalid`] if the value has no JSON form.
    pub fn write_json<T: serde::Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        atomic::write_json(&self.path(name)?, value)
    }

    /// Publishes the cell: flushes every file, writes the commit mark, renames the folder into place. If the cell is
    /// there already nothing changes.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the folder holds anything but plain data files, [`StoreError::Io`]. The store is
    /// then as it was.
    pub fn commit(self, provenance: serde_json::Value) -> Result<Published> {
        self.commit_with(provenance, &mut |_| Ok(()))
    }

    pub(crate) fn commit_with(
        self,
        provenance: serde_json::Value,
        at: &mut dyn FnMut(Step) -> Result<()>,
    ) -> Result<Published> {
        let mut files = BTreeMap::new();
        for path in atomic::all_entries(&self.dir)? {
            let name = atomic::name_of(&path);
            if name.starts_with('.') {
                return Err(StoreError::invalid(
                    &path,
                    "still being written; finish the file before the commit",
                ));
            }
            check_name(&self.dir, &name)?;
            if !path.is_file() {
                return Err(StoreError::invalid(&path, "a cell holds plain files alone"));
            }
            atomic::sync_file(&path)?;
            let (size, blake3) = atomic::digest(&path)?;
            files.insert(name, FileMeta { size, blake3 });
        }
        at(Step::DataOnDisk)?;
        let CellId { kind, key } = self.id;
        let meta = Meta { schema: SCHEMA, kind, key, files, provenance };
        let path = self.dir.join(META);
        atomic::write_atomic(&path, &meta.encode(&path)?)?;
        at(Step::MetaOnDisk)?;
        let published = publish(&self.store, &self.dir, &meta)?;
        at(Step::Renamed)?;
        Ok(published)
    }

    /// The temporary folder, for a copy of a cell whose files come with their own commit mark.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn publish(self, meta: &Meta) -> Result<Published> {
        publish(&self.store, &self.dir, meta)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit the folder has moved and there is nothing to remove.
        if let Err(e) = atomic::remove(&self.dir) {
            tracing::warn!(error = %e, "temporary folder stays until the next sweep");
        }
    }
}

fn publish(store: &Store, from: &Path, meta: &Meta) -> Result<Published> {
    let target = store.cell_dir(meta.kind, &meta.key);
    let shelf = atomic::parent(&target);
    atomic::create_dir(shelf)?;
    // The shelf may be new: its own entry must survive a power cut too.
    atomic::sync_dir(atomic::parent(shelf))?;
    // Each turn either publishes, finds a good cell, or moves a bad one away; others may interfere, so try again.
    for _ in 0..8 {
        match atomic::rename(from, &target) {
            Ok(()) => {
                atomic::sync_dir(shelf)?;
                return Ok(Published::New);
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                ) => {}
            Err(e) => return Err(StoreError::io("put the cell in place", &target, e)),
        }
        match store.entry(meta.kind, &meta.key) {
            Ok(Some(there)) => {
                let identical = there.meta().files == meta.files;
                if !identical {
                    let cell = there.id();
                    tracing::warn!(%cell, "computed twice with different results; the first is kept");
                }
                return Ok(Published::Existing { identical });
            }
            Ok(None) | Err(StoreError::Damaged { .. }) => {
                store.quarantine(meta.kind, &meta.key)?;
            }
            Err(e) => return Err(e),
        }
    }
    Err(StoreError::invalid(&target, "something keeps putting a damaged cell here"))
}
