//! A store in a bucket of an object store.
//!
//! | object | content |
//! |---|---|
//! | `v1/<kind>/<aa>/<key>/meta.json` | the commit mark, created only if there is none |
//! | `v1/data/<draft>/<file>` | a data file; the mark says of which draft |
//! | `v1/lease/<kind>-<key>.json` | a lease, created and replaced only as it was last seen |
//! | `v1/failed/<kind>-<key>.json` | a failure |
//! | `v1/quarantine/<kind>-<key>-<tag>/meta.json` | the mark of a cell that was moved away |
//!
//! Each draft writes data files of its own, so that workers that race cannot mix their files. What
//! has been read or written is kept in a local folder of the same layout, and is verified before
//! each process's first use.

mod client;
mod clock;
mod probe;
mod profile;
mod settings;

pub(crate) use settings::Settings;

use crate::backend::{Backend, Check, Seen};
use crate::cell::{CellId, FileMeta, META, Meta};
use crate::error::{Damage, Result, StoreError};
use crate::folder::Folder;
use client::{Client, Put};
use clock::Clock;
use segad_core::{CellKind, Key};
use segad_files::Staging;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Retries of a request: tells an outage of a minute from one that lasts.
const RETRIES: usize = 10;

/// The same at the start, where waiting hides a wrong address.
const RETRIES_AT_START: usize = 2;

/// How long a list of failures counts. A failure that is found late costs one more try.
const FRESH: Duration = Duration::from_secs(10);

/// Data files that no cell refers to are left by killed workers, or belong to a draft that will
/// soon be one; after this long, they do not.
const ORPHANED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Names of records about cells, and when they were listed.
type Listed = (Instant, HashSet<String>);

/// A store below a prefix of a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    settings: Settings,
    client: Client,
    /// Drafts, and copies of data files.
    local: Folder,
    clock: Clock,
    /// Cells whose data files have been seen to be there.
    complete: Mutex<HashSet<CellId>>,
    failures: Mutex<Option<Listed>>,
}

impl Bucket {
    /// The bucket of `settings`, with copies of what was read below the folder `copies`.
    pub(crate) fn new(settings: Settings, copies: &Path) -> Result<Self> {
        Ok(Self {
            client: Client::new(settings.clone(), RETRIES)?,
            local: Folder::new(copies),
            clock: Clock::default(),
            complete: Mutex::default(),
            failures: Mutex::default(),
            settings,
        })
    }

    fn mark_name(id: CellId) -> String {
        format!("{}/{META}", place(id))
    }

    /// The name of a data file, of the draft that the mark names.
    fn data_name(meta: &Meta, name: &str) -> String {
        let draft = meta.draft.as_deref().unwrap_or_default();
        format!("v1/data/{draft}/{name}")
    }

    fn lease_name(id: CellId) -> String {
        format!("v1/lease/{}", id.record())
    }

    fn failure_name(id: CellId) -> String {
        format!("v1/failed/{}", id.record())
    }

    fn complete(&self) -> MutexGuard<'_, HashSet<CellId>> {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets a data file and verifies it; the local copy is replaced.
    fn fetch(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<PathBuf> {
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

    /// Forgets a cell that is no longer in its place.
    fn forget(&self, id: CellId) -> Result<()> {
        self.complete().remove(&id);
        Ok(segad_files::remove(&self.local.cell(id))?)
    }

    /// Whether a failure may be recorded, judging by a list that may be a few seconds old.
    fn may_have_failed(&self, id: CellId) -> Result<bool> {
        let mut listed = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if listed
            .as_ref()
            .is_none_or(|(when, _)| when.elapsed() > FRESH)
        {
            let names = self.client.list("v1/failed")?;
            let names = names.into_iter().map(|(name, _)| name).collect();
            *listed = Some((Instant::now(), names));
        }
        let names = listed.as_ref().map(|(_, names)| names);
        Ok(names.is_some_and(|names| names.contains(&Self::failure_name(id))))
    }
}

/// The folder of a cell's mark.
fn place(id: CellId) -> String {
    let key = id.key.to_string();
    format!("v1/{}/{}/{key}", id.kind, &key[..2])
}

impl Backend for Bucket {
    fn prepare(&self) -> Result<()> {
        self.local.prepare()?;
        let quick = Client::new(self.settings.clone(), RETRIES_AT_START)?;
        self.clock.set(probe::check(&quick)?);
        Ok(())
    }

    fn check_exists(&self) -> Result<()> {
        let quick = Client::new(self.settings.clone(), RETRIES_AT_START)?;
        for kind in CellKind::ALL {
            if !quick.list(&format!("v1/{kind}"))?.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Service {
            path: self.settings.url(),
            action: "open the store",
            problem: "there is none".to_owned(),
            kind: crate::ErrorKind::NotFound,
        })
    }

    fn temporary(&self) -> PathBuf {
        self.local.temporary()
    }

    fn sweep(&self) -> Result<usize> {
        self.local.sweep()
    }

    fn patience(&self) -> Duration {
        // Each look costs requests.
        Duration::from_secs(1)
    }

    fn cell(&self, id: CellId) -> PathBuf {
        self.client.name(&place(id))
    }

    fn contains(&self, id: CellId) -> Result<bool> {
        Ok(self.complete().contains(&id) || self.client.head(&Self::mark_name(id))?.is_some())
    }

    fn committed(&self) -> Result<Option<HashSet<CellId>>> {
        let mut cells = HashSet::new();
        for kind in CellKind::ALL {
            let listed = self.list(kind, usize::MAX)?;
            cells.extend(listed.into_iter().map(|(key, _)| CellId { kind, key }));
        }
        Ok(Some(cells))
    }

    fn list(&self, kind: CellKind, limit: usize) -> Result<Vec<(Key, SystemTime)>> {
        let listed = self.client.list(&format!("v1/{kind}"))?;
        let marks = listed.into_iter().filter_map(|(name, meta)| {
            let folder = name.strip_suffix(META)?.strip_suffix('/')?;
            let (_, key) = folder.rsplit_once('/')?;
            Some((key.parse().ok()?, meta.last_modified.into()))
        });
        Ok(marks.take(limit).collect())
    }

    fn mark(&self, id: CellId) -> Result<Option<Vec<u8>>> {
        Ok(self.client.get(&Self::mark_name(id))?.map(|o| o.bytes))
    }

    fn check_sizes(&self, meta: &Meta) -> Result<()> {
        let id = meta.id();
        if self.complete().contains(&id) {
            return Ok(());
        }
        let folder = Self::data_name(meta, "");
        let listed = self.client.list(folder.trim_end_matches('/'))?;
        for (name, recorded) in &meta.files {
            let object = Self::data_name(meta, name);
            let place = self.client.name(&object);
            match listed.iter().find(|(found, _)| *found == object) {
                Some((_, there)) => recorded.compare_size(&place, there.size)?,
                None => return Err(StoreError::damaged(&place, Damage::Missing)),
            }
        }
        self.complete().insert(id);
        Ok(())
    }

    fn bring(&self, meta: &Meta, name: &str, recorded: &FileMeta, check: Check) -> Result<PathBuf> {
        // A copy that is missing or damaged is no damage to the store.
        match self.local.bring(meta, name, recorded, check) {
            Err(StoreError::Damaged { .. }) => self.fetch(meta, name, recorded),
            here => here,
        }
    }

    fn read(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<Vec<u8>> {
        match self.local.read(meta, name, recorded) {
            Err(StoreError::Damaged { .. }) => {
                self.fetch(meta, name, recorded)?;
                self.local.read(meta, name, recorded)
            }
            here => here,
        }
    }

    fn verify(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<()> {
        self.fetch(meta, name, recorded).map(drop)
    }

    fn publish(&self, draft: &Path, meta: &Meta) -> Result<bool> {
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

    fn quarantine(&self, id: CellId) -> Result<Option<PathBuf>> {
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

    fn remove(&self, id: CellId) -> Result<()> {
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

    fn remove_orphans(&self) -> Result<usize> {
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

    fn failure(&self, id: CellId) -> Result<Option<Vec<u8>>> {
        if !self.may_have_failed(id)? {
            return Ok(None);
        }
        Ok(self.client.get(&Self::failure_name(id))?.map(|o| o.bytes))
    }

    fn keep_failure(&self, id: CellId, record: Option<&[u8]>) -> Result<()> {
        let name = Self::failure_name(id);
        match record {
            Some(bytes) => self.client.put(&name, bytes)?,
            None if self.may_have_failed(id)? => self.client.delete(&name)?,
            None => return Ok(()),
        }
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn now(&self, _local: SystemTime) -> Result<SystemTime> {
        self.clock.now(|| probe::time(&self.client))
    }

    fn lease(&self, id: CellId) -> Result<Option<Seen>> {
        let found = self.client.get(&Self::lease_name(id))?;
        Ok(found.map(|o| Seen {
            bytes: o.bytes,
            written: o.modified,
            version: o.etag,
        }))
    }

    fn create_lease(&self, id: CellId, bytes: &[u8]) -> Result<bool> {
        Ok(self.client.create(&Self::lease_name(id), bytes)? == Put::Done)
    }

    fn take_over(&self, id: CellId, seen: &Seen, bytes: &[u8]) -> Result<bool> {
        let name = Self::lease_name(id);
        let put = self.client.replace(&name, bytes, seen.version.clone())?;
        Ok(put == Put::Done)
    }

    fn renew(&self, id: CellId, seen: &Seen, bytes: &[u8]) -> Result<bool> {
        self.take_over(id, seen, bytes)
    }

    fn release(&self, id: CellId) -> Result<()> {
        self.client.delete(&Self::lease_name(id))
    }
}
