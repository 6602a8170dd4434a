//! How cells come into a bucket and leave it.

use super::Bucket;
use super::client::Put;
use crate::backend::Backend;
use crate::cell::{CellId, FileMeta, META, Meta};
use crate::error::{Damage, Result, StoreError};
use segad_core::CellKind;
use segad_files::Staging;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Data files that no cell refers to belong to a draft that is being uploaded; after this long, they
/// were left by a killed worker.
const ORPHANED: Duration = Duration::from_secs(7 * 24 * 3600);

impl Bucket {
    /// Gets a data file and verifies it; the local copy is replaced.
    pub(super) fn fetch(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<PathBuf> {
        let object = Self::data_name(meta, name);
        let place = self.client.name(&object);
        let staging = Staging::create_in(&self.local.temporary())?;
        let fetched = staging.path().join(name);
        if !self.client.download(&object, recorded.size, &fetched)? {
            self.complete().remove(&meta.id());
            return Err(StoreError::damaged(&place, Damage::Missing));
        }
        recorded.compare(&place, segad_files::digest(&fetched)?)?;
        let path = self.local.cell(meta.id()).join(name);
        segad_files::create_dir(segad_files::parent(&path))?;
        segad_files::rename(&fetched, &path)?;
        Ok(path)
    }

    /// Uploads a draft and then creates its mark.
    pub(super) fn upload(&self, draft: &Path, meta: &Meta) -> Result<bool> {
        let id = meta.id();
        let mark = Self::mark_name(id);
        if self.client.head(&mark)?.is_some() {
            return Ok(false);
        }
        let sealed = Meta {
            draft: Some(segad_files::name_of(draft)),
            ..meta.clone()
        };
        for name in meta.files.keys() {
            let object = Self::data_name(&sealed, name);
            self.client.upload(&draft.join(name), &object)?;
        }
        let bytes = sealed.encode(&self.client.name(&mark))?;
        if self.client.create(&mark, &bytes)? == Put::Refused {
            for name in meta.files.keys() {
                self.client.delete(&Self::data_name(&sealed, name))?;
            }
            return Ok(false);
        }
        self.complete().insert(id);
        // The files are good copies where they are; if others are in the way, those are used.
        let local = self.local.cell(id);
        segad_files::create_dir(segad_files::parent(&local))?;
        if let Err(e) = segad_files::rename(draft, &local) {
            tracing::debug!(error = %e, "the draft was not kept as a local copy");
        }
        Ok(true)
    }

    /// Moves the mark away, which makes the cell absent.
    pub(super) fn move_mark(&self, id: CellId) -> Result<Option<PathBuf>> {
        let mark = Self::mark_name(id);
        let Some(found) = self.client.get(&mark)? else {
            self.forget(id)?;
            return Ok(None);
        };
        // The data files stay; the mark says where they are.
        let folder = format!("v1/quarantine/{}", id.quarantined());
        self.client.put(&format!("{folder}/{META}"), &found.bytes)?;
        self.client.delete(&mark)?;
        self.forget(id)?;
        Ok(Some(self.client.name(&folder)))
    }

    /// Removes a cell and its data files.
    pub(super) fn delete_cell(&self, id: CellId) -> Result<()> {
        let mark = Self::mark_name(id);
        let found = self.client.get(&mark)?;
        // First the mark, in one step, so that a reader never sees half a cell.
        self.client.delete(&mark)?;
        self.forget(id)?;
        let meta = found.and_then(|o| Meta::decode(&self.client.name(&mark), &o.bytes).ok());
        if let Some(meta) = meta {
            for name in meta.files.keys() {
                self.client.delete(&Self::data_name(&meta, name))?;
            }
        }
        Ok(())
    }

    /// Removes old data files that no cell refers to.
    pub(super) fn delete_orphans(&self) -> Result<usize> {
        let now = self.now(SystemTime::UNIX_EPOCH)?;
        let mut drafts = HashSet::new();
        for kind in CellKind::ALL {
            for (key, _) in self.list(kind, usize::MAX)? {
                let id = CellId { kind, key };
                let path = self.cell(id).join(META);
                let mark = self.mark(id)?.unwrap_or_default();
                drafts.extend(Meta::decode(&path, &mark).ok().and_then(|m| m.draft));
            }
        }
        let mut removed = 0;
        for (name, meta) in self.client.list("v1/data")? {
            let draft = name.rsplit('/').nth(1).unwrap_or_default();
            let age = now.duration_since(meta.last_modified.into());
            if !drafts.contains(draft) && age.is_ok_and(|age| age > ORPHANED) {
                self.client.delete(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Forgets a cell that is no longer in its place.
    pub(super) fn forget(&self, id: CellId) -> Result<()> {
        self.complete().remove(&id);
        Ok(segad_files::remove(&self.local.cell(id))?)
    }
}
