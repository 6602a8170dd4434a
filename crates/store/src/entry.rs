use crate::cell::{CellId, FileMeta, Meta};
use crate::error::{Damage, Result, StoreError};
use crate::store::Store;
use segad_core::Key;
use std::path::{Path, PathBuf};

/// A committed cell.
#[derive(Clone, Debug)]
pub struct Entry {
    store: Store,
    dir: PathBuf,
    meta: Meta,
}

impl Entry {
    pub(crate) fn new(store: Store, dir: PathBuf, meta: Meta) -> Self {
        Self { store, dir, meta }
    }

    /// The cell's address.
    pub fn id(&self) -> CellId {
        CellId {
            kind: self.meta.kind,
            key: self.meta.key,
        }
    }

    /// What `meta.json` says.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The cell's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a data file. Its size is checked always, its digest once per process.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the cell lists no such file, [`StoreError::Damaged`],
    /// [`StoreError::File`].
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        self.store.note(self.id(), self.verified_path(name))
    }

    fn verified_path(&self, name: &str) -> Result<PathBuf> {
        let (path, recorded) = self.listed(name)?;
        check_size(&path, recorded)?;
        // Files of a committed cell do not change, so once is enough.
        if !self.store.verified().contains(&path) {
            check_digest(&path, recorded)?;
            self.store.verified().insert(path.clone());
        }
        Ok(path)
    }

    /// A data file's bytes; always verified, as all of them are read anyway.
    ///
    /// # Errors
    /// As [`Entry::path`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.store.note(self.id(), self.verified_bytes(name))
    }

    fn verified_bytes(&self, name: &str) -> Result<Vec<u8>> {
        let (path, recorded) = self.listed(name)?;
        check_size(&path, recorded)?;
        let bytes = segad_files::read(&path)?;
        let found = (bytes.len() as u64, Key::of_bytes(&bytes));
        compare(&path, recorded, found)?;
        Ok(bytes)
    }

    /// A value from a JSON file of the cell.
    ///
    /// # Errors
    /// As [`Entry::path`], and [`StoreError::Damaged`] where it does not parse.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let bytes = self.read(name)?;
        serde_json::from_slice(&bytes).map_err(|e| StoreError::content(&self.dir.join(name), e))
    }

    /// Checks sizes and digests of all files, whatever was checked before.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first bad file, [`StoreError::File`].
    pub fn verify(&self) -> Result<()> {
        self.meta.files.iter().try_for_each(|(name, recorded)| {
            let path = self.dir.join(name);
            check_size(&path, recorded)?;
            check_digest(&path, recorded)
        })
    }

    fn listed(&self, name: &str) -> Result<(PathBuf, &FileMeta)> {
        let recorded = self.meta.files.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.meta.files.keys().map(String::as_str).collect();
            StoreError::invalid(
                &self.dir,
                format!("cell has no file {name:?}; it has {}", names.join(", ")),
            )
        })?;
        Ok((self.dir.join(name), recorded))
    }
}

pub(crate) fn check_sizes(dir: &Path, meta: &Meta) -> Result<()> {
    meta.files
        .iter()
        .try_for_each(|(name, recorded)| check_size(&dir.join(name), recorded))
}

fn check_size(path: &Path, recorded: &FileMeta) -> Result<()> {
    match segad_files::size_and_time(path) {
        Ok((actual, _)) => compare_sizes(path, recorded, actual),
        Err(e) if e.is_not_found() => Err(StoreError::damaged(path, Damage::Missing)),
        Err(e) => Err(e.into()),
    }
}

fn compare_sizes(path: &Path, recorded: &FileMeta, actual: u64) -> Result<()> {
    let expected = recorded.size;
    if actual == expected {
        return Ok(());
    }
    Err(StoreError::damaged(path, Damage::Size { expected, actual }))
}

fn check_digest(path: &Path, recorded: &FileMeta) -> Result<()> {
    compare(path, recorded, segad_files::digest(path)?)
}

/// Compares the size and digest of a file with those recorded.
pub(crate) fn compare(path: &Path, recorded: &FileMeta, found: (u64, Key)) -> Result<()> {
    compare_sizes(path, recorded, found.0)?;
    if found.1 != recorded.blake3 {
        let damage = Damage::Digest {
            expected: recorded.blake3.to_string(),
            actual: found.1.to_string(),
        };
        return Err(StoreError::damaged(path, damage));
    }
    Ok(())
}
