//! Ctrl-C: the first lets running cells finish and starts no other, the second asks running cells
//! to stop at their next safe place, the third ends the process.

use segad_core::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::thread;

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
                    match (shared.no_more.is_cancelled(), shared.stop.is_cancelled()) {
                        (false, _) => {
                            shared.no_more.cancel();
                            tell("Finishing the running cells; press Ctrl-C again to stop them.");
                        }
                        (true, false) => {
                            shared.stop.cancel();
                            tell("Stopping at the next safe place.");
                        }
                        (true, true) => {
                            // Whatever was finished is stored; temporary files are swept at the
                            // next start.
                            let _ = signal_hook::low_level::emulate_default_handler(signal);
                        }
                    }
                }
            })?;
        Ok(interrupt)
    }
}
