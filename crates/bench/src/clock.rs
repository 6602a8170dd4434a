use crate::Seconds;
use segad_core::{BoxError, Progress, ProgressTask};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A moment, by the clock and by the processor time that this program has used.
#[derive(Clone, Copy)]
pub(crate) struct Moment(Instant, f64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(Instant::now(), processor_time().unwrap_or(0.0))
    }

    pub(crate) fn since(self, earlier: Self) -> Seconds {
        ((self.0 - earlier.0).as_secs_f64(), self.1 - earlier.1)
    }
}

/// User and system time in seconds; `None` on systems without `/proc`.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15, in hundredths of a second; the second, the program's name in parentheses,
    // may contain spaces.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

/// Notes when each training step ended. Clones share their notes.
#[derive(Clone, Default)]
pub(crate) struct StepClock(Arc<Mutex<Vec<Moment>>>);

impl StepClock {
    /// What each step took, except for the first, which fills the caches.
    pub(crate) fn steps(&self) -> Result<Vec<Seconds>, BoxError> {
        let ticks = self.0.lock().map_err(|_| "a step panicked")?;
        // The first tick is the start of the training.
        let pairs = ticks.windows(2).skip(1);
        Ok(pairs.map(|pair| pair[1].since(pair[0])).collect())
    }
}

/// A task, with a clock if it is a training.
struct Ticks(Option<StepClock>);

impl Progress for StepClock {
    fn start(&self, name: &str, _: Option<u64>) -> Box<dyn ProgressTask> {
        let training = ["fastflow", "rd4ad", "efficientad"].contains(&name);
        Box::new(Ticks(training.then(|| self.clone())))
    }
}

impl ProgressTask for Ticks {
    fn advance(&self, _: u64) {
        if let Some(mut ticks) = self.0.as_ref().and_then(|clock| clock.0.lock().ok()) {
            ticks.push(Moment::now());
        }
    }

    fn message(&self, _: &str) {}
}
