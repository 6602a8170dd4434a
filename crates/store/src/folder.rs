//! A store in a folder.

use crate::backend::{Backend, Check, Seen};
use crate::cell::{CellId, FileMeta, META, Meta};
use crate::error::{Damage, Result, StoreError};
use segad_core::{CellKind, Key};
use segad_files::{Owner, Staging};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder `v1` of a store on a file system.
#[derive(Debug)]
pub(crate) struct Folder {
    top: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> Self {
        let top = root.join("v1");
        Self { top }
    }

    fn kind_dir(&self, kind: CellKind) -> PathBuf {
        self.top.join(kind.as_str())
    }

    fn leases(&self) -> PathBuf {
        self.top.join("lease")
    }

    fn lease_path(&self, id: CellId) -> PathBuf {
        self.leases().join(id.record())
    }

    fn failure_path(&self, id: CellId) -> PathBuf {
        self.top.join("failed").join(id.record())
    }

    /// Removes a stale lease. Of several processes that try, one succeeds in moving the file away;
    /// what it moved may be the lease that another has just taken in its place, which it then puts
    /// back.
    pub(crate) fn take_away(&self, path: &Path, seen: &[u8]) -> Result<()> {
        let away = self.temporary().join(Owner::current().unique_tag());
        match segad_files::rename(path, &away) {
            Ok(()) => {}
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        let moved = segad_files::read(&away)?;
        if moved != seen {
            // If yet another process was faster again, two hold a lease, which costs work only.
            segad_files::create_exclusive(path, &moved)?;
        }
        Ok(segad_files::remove(&away)?)
    }
}

impl Backend for Folder {
    fn prepare(&self) -> Result<()> {
        for folder in [self.temporary(), self.leases()] {
            segad_files::create_dir(&folder)?;
        }
        // More than a page, as an empty file may still fit on a full disk.
        let probe = Staging::create_in(&self.temporary())?;
        segad_files::write_atomic(&probe.path().join("probe"), &[0; 4096])?;
        self.sweep()?;
        Ok(())
    }

    fn check_exists(&self) -> Result<()> {
        segad_files::list_dir(&self.top)?;
        Ok(())
    }

    fn temporary(&self) -> PathBuf {
        self.top.join("tmp")
    }

    fn shared_folder(&self) -> Option<PathBuf> {
        Some(self.top.join("checkpoint"))
    }

    fn sweep(&self) -> Result<usize> {
        Ok(segad_files::sweep(&self.temporary())? + segad_files::sweep(&self.leases())?)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn cell(&self, id: CellId) -> PathBuf {
        let key = id.key.to_string();
        self.kind_dir(id.kind).join(&key[..2]).join(key)
    }

    fn contains(&self, id: CellId) -> Result<bool> {
        // The mark is published together with the data, so its presence is enough.
        Ok(self.cell(id).join(META).is_file())
    }

    fn committed(&self) -> Result<Option<HashSet<CellId>>> {
        Ok(None)
    }

    fn list(&self, kind: CellKind, limit: usize) -> Result<Vec<(Key, SystemTime)>> {
        let mut found = Vec::new();
        // Two levels, so that no folder gets too many entries.
        for shelf in list(&self.kind_dir(kind))? {
            for dir in list(&shelf)? {
                if found.len() >= limit {
                    return Ok(found);
                }
                let Ok(key) = segad_files::name_of(&dir).parse::<Key>() else {
                    continue;
                };
                match segad_files::size_and_time(&dir.join(META)) {
                    Ok((_, committed)) => found.push((key, committed)),
                    // Not committed yet, or being removed.
                    Err(e) if e.is_not_found() => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(found)
    }

    fn mark(&self, id: CellId) -> Result<Option<Vec<u8>>> {
        Ok(segad_files::read_if_present(&self.cell(id).join(META))?)
    }

    fn check_sizes(&self, meta: &Meta) -> Result<()> {
        let dir = self.cell(meta.id());
        meta.files
            .iter()
            .try_for_each(|(name, recorded)| check_size(&dir.join(name), recorded))
    }

    fn bring(&self, meta: &Meta, name: &str, recorded: &FileMeta, check: Check) -> Result<PathBuf> {
        let path = self.cell(meta.id()).join(name);
        check_size(&path, recorded)?;
        if check == Check::Digest {
            recorded.compare(&path, segad_files::digest(&path)?)?;
        }
        Ok(path)
    }

    fn read(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<Vec<u8>> {
        let path = self.bring(meta, name, recorded, Check::Size)?;
        let bytes = segad_files::read(&path)?;
        recorded.compare(&path, (bytes.len() as u64, Key::of_bytes(&bytes)))?;
        Ok(bytes)
    }

    fn verify(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<()> {
        self.bring(meta, name, recorded, Check::Digest).map(drop)
    }

    fn publish(&self, draft: &Path, meta: &Meta) -> Result<bool> {
        let target = self.cell(meta.id());
        let shelf = segad_files::parent(&target);
        if !shelf.is_dir() {
            segad_files::create_dir(shelf)?;
            // Its own entry must survive a power cut too.
            segad_files::sync_dir(segad_files::parent(shelf))?;
        }
        match segad_files::rename(draft, &target) {
            Ok(()) => {
                segad_files::sync_dir(shelf)?;
                Ok(true)
            }
            // Something is in the way: a cell, or what is left of one.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn quarantine(&self, id: CellId) -> Result<Option<PathBuf>> {
        let folder = self.top.join("quarantine");
        segad_files::create_dir(&folder)?;
        let to = folder.join(id.quarantined());
        match segad_files::rename(&self.cell(id), &to) {
            Ok(()) => Ok(Some(to)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn remove(&self, id: CellId) -> Result<()> {
        // Moved away first, in one step, so that a reader never sees half a cell.
        let away = self.temporary().join(Owner::current().unique_tag());
        match segad_files::rename(&self.cell(id), &away) {
            Ok(()) => Ok(segad_files::remove(&away)?),
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn remove_orphans(&self) -> Result<usize> {
        Ok(0)
    }

    fn failure(&self, id: CellId) -> Result<Option<Vec<u8>>> {
        Ok(segad_files::read_if_present(&self.failure_path(id))?)
    }

    fn keep_failure(&self, id: CellId, record: Option<&[u8]>) -> Result<()> {
        let path = self.failure_path(id);
        match record {
            Some(bytes) => Ok(segad_files::write_with_parents(&path, bytes)?),
            None => Ok(segad_files::remove(&path)?),
        }
    }

    fn now(&self, local: SystemTime) -> Result<SystemTime> {
        Ok(local)
    }

    fn lease(&self, id: CellId) -> Result<Option<Seen>> {
        let path = self.lease_path(id);
        let Some(bytes) = segad_files::read_if_present(&path)? else {
            return Ok(None);
        };
        match segad_files::size_and_time(&path) {
            Ok((_, written)) => Ok(Some(Seen {
                bytes,
                written,
                version: None,
            })),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn create_lease(&self, id: CellId, bytes: &[u8]) -> Result<bool> {
        Ok(segad_files::create_exclusive(&self.lease_path(id), bytes)?)
    }

    fn take_over(&self, id: CellId, seen: &Seen, bytes: &[u8]) -> Result<bool> {
        self.take_away(&self.lease_path(id), &seen.bytes)?;
        self.create_lease(id, bytes)
    }

    fn renew(&self, id: CellId, _seen: &Seen, bytes: &[u8]) -> Result<bool> {
        segad_files::write_atomic(&self.lease_path(id), bytes)?;
        Ok(true)
    }

    fn release(&self, id: CellId) -> Result<()> {
        Ok(segad_files::remove(&self.lease_path(id))?)
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    match segad_files::list_dir(folder) {
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        listed => Ok(listed?),
    }
}

/// Compares the size of a file with the one recorded.
fn check_size(path: &Path, recorded: &FileMeta) -> Result<()> {
    match segad_files::size_and_time(path) {
        Ok((actual, _)) => recorded.compare_size(path, actual),
        Err(e) if e.is_not_found() => Err(StoreError::damaged(path, Damage::Missing)),
        Err(e) => Err(e.into()),
    }
}
