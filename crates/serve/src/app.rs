//! What all handlers share.

use crate::body::Budget;
use crate::content::Content;
use crate::guard::Hosts;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::workers::Workers;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Threads that draw pictures and paint shapes.
const PICTURE_WORKERS: usize = 2;
/// Thumbnails that may wait besides the queue of inspections: a page asks for many at once.
const PICTURE_QUEUE: usize = 256;

pub(crate) struct App {
    pub content: Content,
    pub limits: Limits,
    pub budget: Budget,
    pub inspections: Workers,
    pub pictures: Workers,
    pub metrics: Arc<Metrics>,
    pub hosts: Hosts,
    /// The inspector's threshold; 0 without one.
    pub threshold: f64,
    pub stopping: AtomicBool,
}

impl App {
    pub(crate) fn new(content: Content, limits: Limits, hosts: Hosts) -> Self {
        let metrics = Arc::new(Metrics::default());
        // A gallery asks for a page of thumbnails at once, far more than are ever inspected.
        let drawing = Limits {
            queue: limits.queue.max(PICTURE_QUEUE),
            ..limits.clone()
        };
        // Asked once: the answer builds lists, and the threshold is needed per request.
        let threshold = content
            .inspector
            .as_ref()
            .map_or(0.0, |i| i.about().threshold);
        Self {
            budget: Budget::new(&limits),
            inspections: Workers::new(limits.workers, limits.clone(), metrics.clone()),
            pictures: Workers::new(PICTURE_WORKERS, drawing, metrics.clone()),
            threshold,
            stopping: AtomicBool::new(false),
            content,
            limits,
            metrics,
            hosts,
        }
    }

    /// Threads that work may take.
    pub(crate) fn threads(limits: &Limits) -> usize {
        limits.workers + PICTURE_WORKERS
    }
}
