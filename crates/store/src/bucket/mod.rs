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

mod cells;
mod client;
mod clock;
mod fault;
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
        self.upload(draft, meta)
    }

    fn quarantine(&self, id: CellId) -> Result<Option<PathBuf>> {
        self.move_mark(id)
    }

    fn remove(&self, id: CellId) -> Result<()> {
        self.delete_cell(id)
    }

    fn remove_orphans(&self) -> Result<usize> {
        self.delete_orphans()
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
