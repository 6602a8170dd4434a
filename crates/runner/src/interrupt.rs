//! Ctrl-C and SIGTERM. The first Ctrl-C lets running cells finish and starts no other, the second
//! asks running cells to stop at their next safe place, the third ends the process. SIGTERM, after
//! which a service manager or batch system soon kills, asks them to stop at once, and ends the
//! process if they take too long: whatever was finished is stored, and the rest can be resumed.

use segad_core::Cancel;
use segad_provision::exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long after SIGTERM running cells may take to their next safe place.
const GRACE: Duration = Duration::from_secs(15);

/// A process has signals, and no part of it has its own.
static TERMINATED: AtomicBool = AtomicBool::new(false);

/// Whether SIGTERM has come.
pub fn is_terminated() -> bool {
    TERMINATED.load(Ordering::Relaxed)
}

/// What has been asked so far.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    /// Start no new cell.
    pub no_more: Cancel,
    /// Stop running cells.
    pub stop: Cancel,
}

impl Interrupt {
    /// Starts listening. `tell` shows a line to the user.
    ///
    /// # Errors
    /// If the operating system refuses the signal handler.
    pub fn listen(tell: impl Fn(&str) + Send + 'static) -> std::io::Result<Self> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    shared.receive(signal, &tell);
                }
            })?;
        Ok(interrupt)
    }

    fn receive(&self, signal: i32, tell: &impl Fn(&str)) {
        if signal == SIGTERM {
            if !TERMINATED.swap(true, Ordering::Relaxed) {
                self.no_more.cancel();
                self.stop.cancel();
                tell("Stopping at the next safe place.");
                thread::spawn(|| {
                    thread::sleep(GRACE);
                    // Without running destructors, which threads that still compute could trip
                    // over. Temporary files are swept at the next start.
                    low_level::exit(exit::TERMINATED.into());
                });
            }
            return;
        }
        match (self.no_more.is_cancelled(), self.stop.is_cancelled()) {
            (false, _) => {
                self.no_more.cancel();
                tell("Finishing the running cells; press Ctrl-C again to stop them.");
            }
            (true, false) => {
                self.stop.cancel();
                tell("Stopping at the next safe place.");
            }
            (true, true) => {
                // Whatever was finished is stored. Returns only if the system refuses, and then
                // there is nothing else to try.
                let _ = low_level::emulate_default_handler(signal);
            }
        }
    }
}
