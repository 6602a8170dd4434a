//! The one place that reads clocks.

use std::time::{Instant, SystemTime};

/// The time of day, for leases.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner is where clocks are read"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Measures seconds.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the runner is where clocks are read"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
