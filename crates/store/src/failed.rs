use crate::cell::CellId;
use crate::error::{Result, StoreError};
use crate::store::Store;
use segad_core::{CellKind, Key};
use serde::{Deserialize, Serialize};

/// Why a cell could not be computed, kept so that the next run need not try it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCell {
    /// What went wrong, for people.
    pub reason: String,
    /// The exit code that the reason calls for; records of older programs have none.
    #[serde(default = "unspecific")]
    pub exit_code: u8,
    /// How often it was tried.
    pub tries: u32,
    /// Which program tried: another version may succeed.
    pub program: String,
}

/// Some cells failed, whatever the reason.
fn unspecific() -> u8 {
    1
}

/// Failures are kept separately from results; nothing reads them as input, and a committed cell has
/// none.
impl Store {
    /// The failure of a cell; `None` if it never failed or the record cannot be read.
    pub fn failure(&self, kind: CellKind, key: &Key) -> Option<FailedCell> {
        // An unreadable record only means that the cell is tried again.
        let record = self.backend().failure(CellId { kind, key: *key }).ok()??;
        serde_json::from_slice(&record).ok()
    }

    /// Keeps a failure, replacing an older one.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`].
    pub fn keep_failure(&self, kind: CellKind, key: &Key, failure: &FailedCell) -> Result<()> {
        self.check_writable()?;
        let id = CellId { kind, key: *key };
        let bytes = serde_json::to_vec_pretty(failure)
            .map_err(|e| StoreError::invalid(&self.backend().cell(id), e))?;
        self.backend().keep_failure(id, Some(&bytes))
    }

    /// Forgets a failure, if there is one.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`].
    pub fn forget_failure(&self, kind: CellKind, key: &Key) -> Result<()> {
        self.check_writable()?;
        self.backend()
            .keep_failure(CellId { kind, key: *key }, None)
    }
}
