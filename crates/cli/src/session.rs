//! What commands share: the cache folder, progress bars, Ctrl-C, the result store.

use segad_provision::Cache;
use segad_runner::{Bars, Failure, Interrupt};
use segad_store::Store;
use std::path::Path;

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

    /// Listens for Ctrl-C from now on.
    pub(crate) fn interrupt(&self) -> Result<Interrupt, Failure> {
        let bars = self.bars.clone();
        Ok(Interrupt::listen(move |line| bars.line(line))?)
    }

    /// The store at `chosen`, or else the one in the cache folder.
    pub(crate) fn store(&self, chosen: Option<&Path>) -> Result<Store, Failure> {
        let root = match chosen {
            Some(root) => root.to_owned(),
            None => self.cache()?.root().join("store"),
        };
        Ok(Store::open(&root)?)
    }
}
