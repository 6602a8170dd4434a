//! What a store asks of the place where it lies.

use crate::cell::{CellId, FileMeta, Meta};
use crate::error::Result;
use segad_core::{CellKind, Key};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A lease as found.
#[derive(Debug)]
pub(crate) struct Seen {
    pub bytes: Vec<u8>,
    /// When it was written, by the clock of [`Backend::now`].
    pub written: SystemTime,
    /// What tells this content from a later one, where the place keeps count.
    pub version: Option<String>,
}

/// How much of a file is checked before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The file was verified before, or is verified while it is read.
    Size,
    /// All of it.
    Digest,
}

/// A place for cells, failures and leases. Cells appear and vanish in one step; of several
/// processes that create the same lease, or take it over, one succeeds.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Makes the place ready, and tries a write.
    fn prepare(&self) -> Result<()>;

    /// Fails unless there is a store.
    fn check_exists(&self) -> Result<()>;

    /// Where drafts are written: a local folder, from which [`Backend::publish`] takes them.
    fn temporary(&self) -> PathBuf;

    /// A folder that all machines with this store see, for what a cell keeps while it is computed;
    /// `None` if there is none.
    fn shared_folder(&self) -> Option<PathBuf> {
        None
    }

    /// Removes what dead processes of this machine left unfinished; returns the number of folders
    /// and files.
    fn sweep(&self) -> Result<usize>;

    /// How long to wait before looking again at a cell that somebody else computes.
    fn patience(&self) -> Duration;

    /// The folder of a cell, or what messages call it.
    fn cell(&self, id: CellId) -> PathBuf;

    /// Whether a cell is committed.
    fn contains(&self, id: CellId) -> Result<bool>;

    /// All committed cells; `None` where asking for each of them is as quick.
    fn committed(&self) -> Result<Option<HashSet<CellId>>>;

    /// Up to `limit` committed cells of a kind, ordered by key, and when they were committed.
    fn list(&self, kind: CellKind, limit: usize) -> Result<Vec<(Key, SystemTime)>>;

    /// The bytes of a commit mark.
    fn mark(&self, id: CellId) -> Result<Option<Vec<u8>>>;

    /// Compares the sizes of all data files with those recorded.
    fn check_sizes(&self, meta: &Meta) -> Result<()>;

    /// Where a data file can be read, once it has passed the check.
    fn bring(&self, meta: &Meta, name: &str, recorded: &FileMeta, check: Check) -> Result<PathBuf>;

    /// A data file's bytes, verified.
    fn read(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<Vec<u8>>;

    /// Verifies a data file where it is stored, whatever was checked before.
    fn verify(&self, meta: &Meta, name: &str, recorded: &FileMeta) -> Result<()>;

    /// Publishes a finished draft, whose files are flushed; false, changing nothing, if something
    /// is in its place.
    fn publish(&self, draft: &Path, meta: &Meta) -> Result<bool>;

    /// Moves a cell out of the way; returns where it is now, or `None` if there was nothing.
    fn quarantine(&self, id: CellId) -> Result<Option<PathBuf>>;

    /// Removes a cell, if there is one.
    fn remove(&self, id: CellId) -> Result<()>;

    /// Removes what killed workers left that only time tells from what is being written; returns
    /// the number of files.
    fn remove_orphans(&self) -> Result<usize>;

    /// The record of a failure.
    fn failure(&self, id: CellId) -> Result<Option<Vec<u8>>>;

    /// Keeps the record of a failure; `None` forgets it.
    fn keep_failure(&self, id: CellId, record: Option<&[u8]>) -> Result<()>;

    /// The time by the clock that all users of the place share. `local` is this machine's.
    fn now(&self, local: SystemTime) -> Result<SystemTime>;

    /// The lease of a cell.
    fn lease(&self, id: CellId) -> Result<Option<Seen>>;

    /// Creates a lease; false if there is one.
    fn create_lease(&self, id: CellId, bytes: &[u8]) -> Result<bool>;

    /// Replaces a lease of somebody else; false if it has changed or vanished since it was seen,
    /// or if another process was faster.
    fn take_over(&self, id: CellId, seen: &Seen, bytes: &[u8]) -> Result<bool>;

    /// Replaces a lease of our own; false if somebody else holds it now.
    fn renew(&self, id: CellId, seen: &Seen, bytes: &[u8]) -> Result<bool>;

    /// Removes a lease.
    fn release(&self, id: CellId) -> Result<()>;
}
