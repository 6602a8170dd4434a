//! Many images through several threads, in order and with back-pressure.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Jobs that may be under way or waiting for their turn, per thread.
const AHEAD: usize = 4;

enum Message<T, E> {
    Done(usize, T),
    Failed(E),
}

/// A job with its number.
type Numbered<J> = (usize, J);

/// Works on `jobs` with `threads` threads, each with a state of its own from `start`, and hands
/// every result to `sink` in the order of the jobs. A job is only taken from `jobs` when there is
/// room for its result, so a slow `sink` slows the source. `sink` ends the run by returning false.
/// `jobs` is asked for its next item on a thread of its own.
///
/// # Errors
/// Those of `start` on any thread, and of `sink`; the first ends the run.
pub(crate) fn ordered<J: Send, W, T: Send, E: Send>(
    threads: NonZeroUsize,
    jobs: impl Iterator<Item = J> + Send,
    start: impl Fn() -> Result<W, E> + Sync,
    work: impl Fn(&mut W, J) -> T + Sync,
    mut sink: impl FnMut(T) -> Result<bool, E>,
) -> Result<(), E> {
    let stop = AtomicBool::new(false);
    // Tokens bound what is finished but not yet in turn: one slow image must not let results pile
    // up.
    let room = AHEAD * threads.get();
    let (token_in, token_out) = sync_channel(room);
    let (job_in, job_out) = sync_channel(threads.get());
    let (result_in, result_out) = channel();
    let job_out = Mutex::new(job_out);
    for _ in 0..room {
        token_in
            .send(())
            .expect("the channel is open and has room for exactly this many");
    }
    std::thread::scope(|scope| {
        // Shared by all threads, which end before this function does.
        let (start, work, job_out, stop) = (&start, &work, &job_out, &stop);
        scope.spawn(move || feed(jobs, &token_out, &job_in, stop));
        for _ in 0..threads.get() {
            let results = result_in.clone();
            scope.spawn(move || serve(job_out, start, work, &results, stop));
        }
        // With the workers' senders gone, the last result ends the loop below.
        drop(result_in);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        let mut failed = None;
        for message in result_out {
            match message {
                Message::Failed(e) => failed = failed.or(Some(e)),
                Message::Done(index, result) => {
                    waiting.insert(index, result);
                }
            }
            while let Some(result) = waiting.remove(&turn) {
                turn += 1;
                if !stop.load(Ordering::Relaxed) {
                    let more = sink(result).unwrap_or_else(|e| {
                        failed.get_or_insert(e);
                        false
                    });
                    // Only ever set: a worker may have set it meanwhile.
                    if !more {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                // Without room, or without a feeder, nobody waits for the token.
                let _ = token_in.try_send(());
            }
            if stop.load(Ordering::Relaxed) {
                // The feeder may wait for a token while nothing more is done.
                let _ = token_in.try_send(());
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

/// Passes jobs on while there is room for their results.
fn feed<J>(
    mut jobs: impl Iterator<Item = J>,
    tokens: &Receiver<()>,
    queue: &SyncSender<Numbered<J>>,
    stop: &AtomicBool,
) {
    for index in 0.. {
        if tokens.recv().is_err() || stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(job) = jobs.next() else { return };
        // The source may have waited long for its job, e.g. a watched folder.
        if stop.load(Ordering::Relaxed) || queue.send((index, job)).is_err() {
            return;
        }
    }
}

/// One worker: takes jobs until there are no more.
fn serve<J, W, T, E>(
    jobs: &Mutex<Receiver<Numbered<J>>>,
    start: &impl Fn() -> Result<W, E>,
    work: &impl Fn(&mut W, J) -> T,
    results: &Sender<Message<T, E>>,
    stop: &AtomicBool,
) {
    let mut state = match start() {
        Ok(state) => state,
        Err(e) => {
            stop.store(true, Ordering::Relaxed);
            // Fails only once the run has ended, and then nobody needs the error.
            let _ = results.send(Message::Failed(e));
            // Takes what is queued, so that the feeder never waits for a thread that is gone.
            while next(jobs).is_some() {}
            return;
        }
    };
    while let Some((index, job)) = next(jobs) {
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let done = work(&mut state, job);
        if results.send(Message::Done(index, done)).is_err() {
            return;
        }
    }
}

fn next<J>(jobs: &Mutex<Receiver<J>>) -> Option<J> {
    // A thread that panicked while it held the lock had not taken a job yet.
    jobs.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    fn threads(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn results_come_in_order_and_the_source_waits() {
        let taken = AtomicUsize::new(0);
        let jobs = (0..200u64).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        });
        let work = |_: &mut (), job: u64| {
            // The first job is the slowest.
            std::thread::sleep(Duration::from_micros(if job == 0 {
                20_000
            } else {
                job * 7 % 200
            }));
            job * 2
        };
        let mut seen = Vec::new();
        let mut most = 0;
        let sink = |n| {
            most = most.max(taken.load(Ordering::Relaxed) - seen.len());
            seen.push(n);
            Ok(true)
        };
        ordered(threads(3), jobs, || Ok::<_, ()>(()), work, sink).unwrap();
        assert_eq!(seen, (0..200).map(|n| n * 2).collect::<Vec<u64>>());
        assert!(most <= 3 * AHEAD + 1, "{most}");
    }

    #[test]
    fn a_sink_may_end_an_endless_source() {
        let mut seen = 0;
        ordered(
            threads(2),
            0..,
            || Ok::<_, ()>(()),
            |_, n: u64| n,
            |_| {
                seen += 1;
                Ok(seen < 50)
            },
        )
        .unwrap();
        assert_eq!(seen, 50);
    }

    #[test]
    fn an_error_of_the_sink_ends_the_run() {
        let ended = ordered(
            threads(2),
            0..,
            || Ok(()),
            |_, n: u64| n,
            |n| if n < 9 { Ok(true) } else { Err(n) },
        );
        assert_eq!(ended, Err(9));
    }

    #[test]
    fn a_thread_that_cannot_start_is_an_error() {
        let count = AtomicUsize::new(0);
        let start = || {
            if count.fetch_add(1, Ordering::Relaxed) == 0 {
                Err("no")
            } else {
                Ok(())
            }
        };
        assert_eq!(
            ordered(threads(2), 0.., start, |_, n: u64| n, |_| Ok(true)),
            Err("no")
        );
        assert_eq!(
            ordered(
                threads(1),
                0..0,
                || Ok::<_, ()>(()),
                |_, n: u64| n,
                |_| Ok(true)
            ),
            Ok(())
        );
    }
}
