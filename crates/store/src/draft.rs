use crate::cell::{CellId, FileMeta, META, Meta, SCHEMA, check_name};
use crate::error::{Result, StoreError};
use crate::store::Store;
use segad_files::Staging;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A cell being written, in a temporary folder of the store. [`Draft::commit`] publishes it;
/// dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    id: CellId,
    staging: Staging,
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The cell is in the store now.
    New,
    /// Another process was first; this copy was dropped.
    Existing {
        /// Whether all data files have the same digests. If not, the computation is not
        /// reproducible.
        identical: bool,
    },
}

/// The steps of a commit; tests stop after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    DataOnDisk,
    MetaOnDisk,
    Renamed,
}

impl Draft {
    pub(crate) fn new(store: Store, id: CellId) -> Result<Self> {
        store.check_writable()?;
        let staging = Staging::create_in(&store.backend().temporary())?;
        Ok(Self { store, id, staging })
    }

    /// The cell's address.
    pub fn id(&self) -> CellId {
        self.id
    }

    /// The path of a data file to write; its folder exists.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for anything but a plain file name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(self.dir(), name)?;
        Ok(self.dir().join(name))
    }

    /// Writes a data file.
    ///
    /// # Errors
    /// As [`Draft::path`], [`StoreError::File`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(segad_files::write_atomic(&self.path(name)?, bytes)?)
    }

    /// Writes a value as a JSON data file.
    ///
    /// # Errors
    /// As [`Draft::write`], [`StoreError::Invalid`] if the value has no JSON form.
    pub fn write_json<T: serde::Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        Ok(segad_files::write_json(&self.path(name)?, value)?)
    }

    /// Publishes the cell: flushes every file, writes the commit mark, renames the folder into
    /// place. If the cell exists already, nothing changes.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the folder holds anything but plain data files,
    /// [`StoreError::File`]. The store is then as it was.
    pub fn commit(self, provenance: serde_json::Value) -> Result<Published> {
        self.commit_with(provenance, &mut |_| Ok(()))
    }

    pub(crate) fn commit_with(
        self,
        provenance: serde_json::Value,
        at: &mut dyn FnMut(Step) -> Result<()>,
    ) -> Result<Published> {
        let mut files = BTreeMap::new();
        for path in segad_files::list_all(self.dir())? {
            let name = segad_files::name_of(&path);
            if name.starts_with('.') {
                return Err(StoreError::invalid(
                    &path,
                    "still being written; finish the file before the commit",
                ));
            }
            check_name(self.dir(), &name)?;
            if !path.is_file() {
                return Err(StoreError::invalid(&path, "a cell holds only plain files"));
            }
            segad_files::sync_file(&path)?;
            let (size, blake3) = segad_files::digest(&path)?;
            files.insert(name, FileMeta { size, blake3 });
        }
        // The mark is written only once everything it vouches for is on the disk.
        at(Step::DataOnDisk)?;
        let CellId { kind, key } = self.id;
        let meta = Meta {
            schema: SCHEMA,
            kind,
            key,
            files,
            draft: None,
            provenance,
        };
        let path = self.dir().join(META);
        segad_files::write_atomic(&path, &meta.encode(&path)?)?;
        segad_files::sync_file(&path)?;
        segad_files::sync_dir(self.dir())?;
        at(Step::MetaOnDisk)?;
        let published = publish(&self.store, self.dir(), &meta)?;
        at(Step::Renamed)?;
        Ok(published)
    }

    /// The temporary folder, for a copy of a cell whose files come with their own commit mark.
    pub(crate) fn dir(&self) -> &Path {
        self.staging.path()
    }

    /// Flushes such a copy and publishes it.
    pub(crate) fn publish(self, meta: &Meta) -> Result<Published> {
        segad_files::sync_tree(self.dir())?;
        publish(&self.store, self.dir(), meta)
    }
}

fn publish(store: &Store, from: &Path, meta: &Meta) -> Result<Published> {
    // Each turn publishes, finds a good cell, or moves a bad one away. The bad one may be back by
    // the next turn, as other processes do the same.
    for _ in 0..8 {
        if store.backend().publish(from, meta)? {
            return Ok(Published::New);
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
    Err(StoreError::invalid(
        &store.backend().cell(meta.id()),
        "something keeps putting a damaged cell here",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::CellKind;
    use segad_core::Key;
    use segad_files::Owner;

    fn draft(store: &Store) -> Draft {
        let draft = store.draft(CellKind::Fit, &Key::of_bytes(b"cell")).unwrap();
        draft.write("a", b"one").unwrap();
        draft.write("b", b"two").unwrap();
        draft
    }

    fn whole(store: &Store) -> bool {
        let entry = store.entry(CellKind::Fit, &Key::of_bytes(b"cell")).unwrap();
        entry.is_some_and(|e| e.read("a").unwrap() == b"one" && e.read("b").unwrap() == b"two")
    }

    #[test]
    fn an_end_before_the_commit_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        drop(draft(&store));
        let empty = store.draft(CellKind::Fit, &Key::of_bytes(b"cell")).unwrap();
        drop(empty);
        assert!(
            !whole(&store)
                && segad_files::list_all(&store.backend().temporary())
                    .unwrap()
                    .is_empty()
        );
    }

    #[test]
    fn an_end_at_any_step_leaves_all_or_nothing() {
        for last in [Step::DataOnDisk, Step::MetaOnDisk, Step::Renamed] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let doomed = draft(&store);
            let folder = doomed.dir().to_owned();
            // As a kill leaves it: the folder stays, under the name of a process that is dead.
            let dead = Owner {
                pid: 0x7fff_fff0,
                ..Owner::current().clone()
            };
            let left = store.backend().temporary().join(dead.unique_tag());
            let stop = doomed.commit_with(serde_json::Value::Null, &mut |step| {
                if step != last {
                    return Ok(());
                }
                if folder.exists() {
                    segad_files::rename(&folder, &left).unwrap();
                }
                Err(StoreError::invalid(&folder, "killed here"))
            });
            assert!(stop.unwrap_err().to_string().contains("killed here"));
            assert_eq!(left.exists(), last != Step::Renamed);
            let again = Store::open(dir.path()).unwrap();
            assert!(!left.exists(), "swept");
            assert_eq!(whole(&again), last == Step::Renamed);
            let published = draft(&again).commit(serde_json::Value::Null).unwrap();
            assert_eq!(published == Published::New, last != Step::Renamed);
            assert!(whole(&again));
        }
    }

    #[test]
    fn a_folder_of_a_living_process_is_not_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let slow = draft(&store);
        Store::open(dir.path()).unwrap();
        slow.commit(serde_json::Value::Null).unwrap();
        assert!(whole(&store));
    }
}
