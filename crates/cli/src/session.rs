//! What commands share: the cache folder, progress bars, Ctrl-C, the result store.

use segad_core::Cancel;
use segad_provision::Cache;
use segad_runner::{Bars, Failure, Interrupt};
use segad_store::{ErrorKind, Location, Store, StoreError};
use std::path::Path;

/// Variables that set something. The binary alone reads the environment.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

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
        Ok(self.location(chosen)?.open()?)
    }

    /// The same for reading: nothing is created, and where nothing was stored yet it is empty.
    pub(crate) fn store_as_it_is(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        Ok(self.location(chosen)?.read_only()?)
    }

    /// The same for reading, where there must be one.
    pub(crate) fn store_to_read(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        let location = self.location(chosen)?;
        location.open_read_only().map_err(|e| match (e.kind(), &e) {
            // Of an object store, the bucket may be what is missing.
            (ErrorKind::NotFound, StoreError::File(_)) => Failure::Input(format!(
                "{}: no result store; nothing was computed with it yet",
                location.name().display()
            )),
            _ => e.into(),
        })
    }

    /// The same for changing what is in it, where there must be one.
    pub(crate) fn store_to_write(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        self.store_to_read(chosen)?;
        self.store(chosen)
    }

    fn location(&self, chosen: Option<&Path>) -> Result<Location, Failure> {
        let Some(chosen) = chosen else {
            return Ok(Location::folder(&self.cache()?.root().join("store")));
        };
        if !Location::is_address(chosen) {
            // Needs no cache folder.
            return Ok(Location::folder(chosen));
        }
        let copies = self.cache()?.root().join("objects");
        let location = Location::parse(chosen, &copies, &environment().collect());
        location.map_err(|e| Failure::configuration(format!("--store = {}: {e}", chosen.display())))
    }
}
