//! The time by the clock of the service, so that no worker's own clock matters.

use crate::error::Result;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long one answer of the service is extrapolated. A machine that sleeps meanwhile takes
/// leases to last longer.
const TRUSTED: Duration = Duration::from_secs(600);

/// What the service said last, and when, by a clock that nobody sets.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<(Instant, SystemTime)>>);

impl Clock {
    pub(super) fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), time));
    }

    /// The service's time; asks it if the last answer is old.
    pub(super) fn now(&self, ask: impl FnOnce() -> Result<SystemTime>) -> Result<SystemTime> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, time)) = last.filter(|(when, _)| when.elapsed() < TRUSTED) {
            return Ok(time + when.elapsed());
        }
        let time = ask()?;
        self.set(time);
        Ok(time)
    }
}
