//! Bounded work: so many at a time, so many waiting, so long.

use crate::limits::Limits;
use crate::metrics::{Held, Metrics};
use crate::reply::Fault;
use axum::http::StatusCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task;
use tokio::time::timeout;

/// Threads for work that takes long.
pub(crate) struct Workers {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Workers {
    pub(crate) fn new(workers: usize, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let running = Arc::new(Semaphore::new(workers));
        let admitted = Arc::new(Semaphore::new(workers + limits.queue));
        Self {
            running,
            admitted,
            limits,
            metrics,
        }
    }

    /// Runs `job` on a thread of its own once one is free. A client that goes away gives its place
    /// up; a job that has begun keeps its worker until it ends, so that there are never more of
    /// them than workers.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        // Refused at once rather than after a wait: a full queue would only grow older.
        let place = self.admitted.clone().try_acquire_owned();
        let place = place.map_err(|_| Fault::busy("all workers are busy and the queue is full"))?;
        let worker = {
            let _waiting = Held::new(&self.metrics.waiting);
            let free = timeout(self.limits.queue_time, self.running.clone().acquire_owned()).await;
            free.map_err(|_| Fault::busy("no worker became free in time"))?
                .map_err(Fault::internal)?
        };
        let metrics = self.metrics.clone();
        let handle = task::spawn_blocking(move || {
            let _running = Held::new(&metrics.running);
            let result = job();
            drop((worker, place));
            result
        });
        match timeout(self.limits.work_time, handle).await {
            Ok(result) => result.map_err(Fault::internal),
            Err(_) => {
                let message = format!("it took more than {:?}", self.limits.work_time);
                Err(Fault::new(StatusCode::GATEWAY_TIMEOUT, "too_slow", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    fn workers(limits: Limits) -> Workers {
        Workers::new(limits.workers, limits, Arc::default())
    }

    #[test]
    fn beyond_the_queue_is_refused_and_the_rest_is_done() {
        block_on(async {
            let workers = Arc::new(workers(Limits {
                workers: 1,
                queue: 1,
                ..Limits::default()
            }));
            let (go, gone) = mpsc::channel::<()>();
            let mut jobs = Vec::new();
            let mut gone = Some(gone);
            for i in 0..2 {
                let (workers, gone) = (workers.clone(), gone.take());
                jobs.push(tokio::spawn(async move {
                    workers
                        .run(move || (gone.map(|g| g.recv().is_ok()), i))
                        .await
                        .unwrap()
                }));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let fault = workers.run(|| ()).await.unwrap_err();
            assert_eq!(
                (fault.status, fault.reason),
                (StatusCode::SERVICE_UNAVAILABLE, "busy")
            );
            go.send(()).unwrap();
            let mut done = Vec::new();
            for job in jobs {
                done.push(job.await.unwrap());
            }
            assert_eq!(done, [(Some(true), 0), (None, 1)]);
            workers.run(|| ()).await.unwrap();
        });
    }

    #[test]
    fn slow_work_and_panics_are_answered() {
        block_on(async {
            let limits = Limits {
                work_time: Duration::from_millis(20),
                ..Limits::default()
            };
            let hurried = workers(limits);
            let slow = hurried
                .run(|| std::thread::sleep(Duration::from_millis(60)))
                .await
                .unwrap_err();
            assert_eq!(slow.status, StatusCode::GATEWAY_TIMEOUT);
            let patient = workers(Limits::default());
            let panicked = patient.run(|| panic!("a bug")).await.unwrap_err();
            assert_eq!(panicked.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(patient.run(|| 7).await.unwrap(), 7);
        });
    }
}
