//! What commands share: the cache folder, progress bars, Ctrl-C, the result store.

use segad_core::Cancel;
use segad_provision::Cache;
use segad_runner::{Bars, Failure, Interrupt};
use segad_store::{ErrorKind, Store};
use std::path::{Path, PathBuf};

/// One run of the program. Each part is opened by the commands that need it: the others work
/// without a cache folder, and Ctrl-C just ends them.
pub(crate) struct Session {
    pub(crate) bars: Bars,
}

impl Session {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            bars: Bars::new(quiet),
        }
    }

    pub(crate) fn cache(&self) -> Result<Cache, Failure> {
        Cache::from_env().map_err(Failure::configuration)
    }

    /// Listens for Ctrl-C and SIGTERM from now on, for work that the first of them stops.
    pub(crate) fn cancel(&self) -> Result<Cancel, Failure> {
        let bars = self.bars.clone();
        let interrupt = Interrupt::listen(move |_| bars.line("Stopping at the next safe place."))?;
        Ok(interrupt.no_more)
    }

    /// Listens for Ctrl-C and SIGTERM from now on, for cells.
    pub(crate) fn interrupt(&self) -> Result<Interrupt, Failure> {
        let bars = self.bars.clone();
        Ok(Interrupt::listen(move |line| bars.line(line))?)
    }

    /// The store at `chosen`, or else the one in the cache folder.
    pub(crate) fn store(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        Ok(Store::open(&self.store_root(chosen)?)?)
    }

    /// The same for reading: nothing is created, and where nothing was stored yet it is empty.
    pub(crate) fn store_as_it_is(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        Ok(Store::read_only(&self.store_root(chosen)?))
    }

    /// The same for reading, where there must be one.
    pub(crate) fn store_to_read(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        let root = self.store_root(chosen)?;
        let opened = Store::open_read_only(&root);
        opened.map_err(|e| match e.kind() {
            ErrorKind::NotFound => Failure::Input(format!(
                "{}: no result store; nothing was computed with it yet",
                root.display()
            )),
            _ => e.into(),
        })
    }

    /// The same for changing what is in it, where there must be one.
    pub(crate) fn store_to_write(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        self.store_to_read(chosen)?;
        self.store(chosen)
    }

    fn store_root(&self, chosen: Option<&Path>) -> Result<PathBuf, Failure> {
        match chosen {
            Some(root) => Ok(root.to_owned()),
            None => Ok(self.cache()?.root().join("store")),
        }
    }
}
