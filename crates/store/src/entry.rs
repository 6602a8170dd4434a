use crate::backend::Check;
use crate::cell::{CellId, FileMeta, Meta};
use crate::error::{Result, StoreError};
use crate::store::Store;
use std::path::PathBuf;

/// A committed cell.
#[derive(Clone, Debug)]
pub struct Entry {
    store: Store,
    meta: Meta,
}

impl Entry {
    pub(crate) fn new(store: Store, meta: Meta) -> Self {
        Self { store, meta }
    }

    /// The cell's address.
    pub fn id(&self) -> CellId {
        self.meta.id()
    }

    /// What `meta.json` says.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The cell's folder.
    pub fn dir(&self) -> PathBuf {
        self.store.backend().cell(self.id())
    }

    /// The path of a data file. Its size is checked always, its digest once per process.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the cell lists no such file, [`StoreError::Damaged`],
    /// [`StoreError::File`].
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let file = (self.id(), name.to_owned());
        // Files of a committed cell do not change, so once is enough.
        let check = match self.store.verified().contains(&file) {
            true => Check::Size,
            false => Check::Digest,
        };
        let path = self.locate(name, check)?;
        self.store.verified().insert(file);
        Ok(path)
    }

    /// The path of a data file whose digest is left unchecked, for those who only look at what it
    /// is.
    ///
    /// # Errors
    /// As [`Entry::path`].
    pub fn unverified_path(&self, name: &str) -> Result<PathBuf> {
        self.locate(name, Check::Size)
    }

    fn locate(&self, name: &str, check: Check) -> Result<PathBuf> {
        let found = self.listed(name).and_then(|recorded| {
            let backend = self.store.backend();
            backend.bring(&self.meta, name, recorded, check)
        });
        self.store.note(self.id(), found)
    }

    /// A data file's bytes; always verified, as all of them are read anyway.
    ///
    /// # Errors
    /// As [`Entry::path`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let read = self
            .listed(name)
            .and_then(|recorded| self.store.backend().read(&self.meta, name, recorded));
        self.store.note(self.id(), read)
    }

    /// A value from a JSON file of the cell.
    ///
    /// # Errors
    /// As [`Entry::path`], and [`StoreError::Damaged`] where it does not parse.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let bytes = self.read(name)?;
        serde_json::from_slice(&bytes).map_err(|e| StoreError::content(&self.dir().join(name), e))
    }

    /// Checks sizes and digests of all files, whatever was checked before.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first bad file, [`StoreError::File`].
    pub fn verify(&self) -> Result<()> {
        self.meta.files.iter().try_for_each(|(name, recorded)| {
            self.store.backend().verify(&self.meta, name, recorded)
        })
    }

    fn listed(&self, name: &str) -> Result<&FileMeta> {
        self.meta.files.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.meta.files.keys().map(String::as_str).collect();
            StoreError::invalid(
                &self.dir(),
                format!("cell has no file {name:?}; it has {}", names.join(", ")),
            )
        })
    }
}
