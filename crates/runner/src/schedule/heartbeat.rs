//! A thread beside a running cell: refreshes its lease and watches its time limit.

use crate::clock::{self, Stopwatch};
use segad_core::Cancel;
use segad_store::Lease;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// A lease that is not refreshed for this long may be taken over.
pub(super) const LEASE: Duration = Duration::from_secs(120);

/// Several refreshes fit into a lease, so that one that fails or is late does not lose it.
const REFRESH: Duration = Duration::from_secs(30);

/// How long from now, and what to cancel then.
type Limit = (Duration, Cancel);

/// Talks to the thread beside a running cell.
pub(super) struct Heartbeat(mpsc::Sender<Option<Limit>>);

impl Heartbeat {
    /// From now on, cancels after this time; `None`: never.
    pub(super) fn watch(&self, limit: Option<Limit>) {
        // Fails only if the thread is gone, and then the lease is not refreshed either.
        let _ = self.0.send(limit);
    }
}

/// Runs `work` while another thread keeps the lease alive.
pub(super) fn keep_alive<T>(lease: Lease, work: impl FnOnce(&Heartbeat) -> T) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || beat(lease, &receive));
        let heartbeat = Heartbeat(send);
        let result = work(&heartbeat);
        // Hangs up, which ends the thread and so gives the lease back.
        drop(heartbeat);
        result
    })
}

/// Until the other side hangs up.
fn beat(mut lease: Lease, limits: &Receiver<Option<Limit>>) {
    let mut limit: Option<(Stopwatch, Duration, Cancel)> = None;
    let mut refreshed = Stopwatch::start();
    loop {
        let mut wait = REFRESH.saturating_sub(refreshed.elapsed());
        if let Some((since, limit, _)) = &limit {
            wait = wait.min(limit.saturating_sub(since.elapsed()));
        }
        match limits.recv_timeout(wait) {
            Ok(new) => limit = new.map(|(time, cancel)| (Stopwatch::start(), time, cancel)),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((_, _, cancel)) = limit.take_if(|(since, limit, _)| since.elapsed() >= *limit) {
            cancel.cancel();
        }
        if refreshed.elapsed() >= REFRESH {
            refreshed = Stopwatch::start();
            if let Err(e) = lease.refresh(clock::now(), LEASE) {
                tracing::warn!("a lease could not be refreshed: {e}");
            }
        }
    }
}
