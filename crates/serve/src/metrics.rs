//! Counters in the text format of Prometheus (version 0.0.4).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of inspection times, in seconds.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What is counted. Labels are chosen by the server, never by a client, so their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    verdicts: [AtomicU64; 2],
    /// Images that were sent: refused, judged.
    images: [AtomicU64; 2],
    times: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
    pub(crate) connections: AtomicI64,
    pub(crate) waiting: AtomicI64,
    pub(crate) running: AtomicI64,
}

/// Counts up now and down when dropped.
pub(crate) struct Held<'a>(&'a AtomicI64);

impl<'a> Held<'a> {
    pub(crate) fn new(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count<K: Ord>(counters: &Mutex<BTreeMap<K, u64>>, key: K) {
    *counters
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_default() += 1;
}

impl Metrics {
    pub(crate) fn request(&self, route: &'static str, status: u16) {
        count(&self.requests, (route, status));
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        count(&self.refused, reason);
    }

    pub(crate) fn image(&self, is_judged: bool) {
        self.images[usize::from(is_judged)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many images were refused, and how many judged.
    pub(crate) fn images(&self) -> [u64; 2] {
        self.images.each_ref().map(|n| n.load(Ordering::Relaxed))
    }

    pub(crate) fn inspected(&self, bad: bool, took: Duration) {
        self.verdicts[usize::from(bad)].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|&b| seconds <= b)
            .unwrap_or(BUCKETS.len());
        self.times[bucket].fetch_add(1, Ordering::Relaxed);
        // Whole numbers, since atomic floats do not exist; microseconds last for centuries.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let requests = snapshot(&self.requests, |(route, status)| {
            format!("{{route=\"{route}\",status=\"{status}\"}}")
        });
        let help = "Requests answered, by route and status.";
        family(&mut out, "http_requests_total", "counter", help, &requests);
        let refused = snapshot(&self.refused, |reason| format!("{{reason=\"{reason}\"}}"));
        let help = "Requests refused, by reason.";
        family(&mut out, "refused_total", "counter", help, &refused);
        let verdicts = [("good", 0), ("bad", 1)].map(|(verdict, i)| {
            let count = self.verdicts[i].load(Ordering::Relaxed);
            (format!("{{verdict=\"{verdict}\"}}"), count.to_string())
        });
        let help = "Images inspected, by verdict.";
        family(&mut out, "inspections_total", "counter", help, &verdicts);
        let [refused, judged] = self.images();
        let images = [("judged", judged), ("refused", refused)]
            .map(|(outcome, n)| (format!("{{outcome=\"{outcome}\"}}"), n.to_string()));
        let help = "Images sent for inspection, by outcome.";
        family(&mut out, "images_total", "counter", help, &images);
        let help = "Seconds per inspection, without waiting.";
        family(
            &mut out,
            "inspect_seconds",
            "histogram",
            help,
            &self.histogram(),
        );
        for (name, help, gauge) in [
            ("connections", "Open connections.", &self.connections),
            ("waiting", "Requests waiting for a worker.", &self.waiting),
            ("running", "Busy workers.", &self.running),
        ] {
            let value = gauge.load(Ordering::Relaxed).to_string();
            family(&mut out, name, "gauge", help, &[(String::new(), value)]);
        }
        out
    }

    /// Inspection times, as a histogram's lines.
    fn histogram(&self) -> Vec<(String, String)> {
        let mut total = 0;
        let mut lines = Vec::new();
        for (i, bucket) in self.times.iter().enumerate() {
            // Prometheus counts in each bucket everything up to its bound.
            total += bucket.load(Ordering::Relaxed);
            let bound = BUCKETS
                .get(i)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            lines.push((format!("_bucket{{le=\"{bound}\"}}"), total.to_string()));
        }
        let seconds = self.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        lines.push(("_sum".to_owned(), seconds.to_string()));
        lines.push(("_count".to_owned(), total.to_string()));
        lines
    }
}

/// One metric: its description, then a line per suffix (labels, mostly) and value.
fn family(out: &mut String, name: &str, kind: &str, help: &str, lines: &[(String, String)]) {
    out.push_str(&format!(
        "# HELP segad_{name} {help}\n# TYPE segad_{name} {kind}\n"
    ));
    for (suffix, value) in lines {
        out.push_str(&format!("segad_{name}{suffix} {value}\n"));
    }
}

/// Counters as they are now, each under its labels.
fn snapshot<K>(
    counters: &Mutex<BTreeMap<K, u64>>,
    labels: fn(&K) -> String,
) -> Vec<(String, String)> {
    let counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = counters.iter().map(|(key, n)| (labels(key), n.to_string()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        for ms in [3, 30, 30, 20_000] {
            metrics.inspected(ms == 30, Duration::from_millis(ms));
        }
        metrics.request("/healthz", 200);
        metrics.image(true);
        let _held = Held::new(&metrics.running);
        let text = metrics.text();
        for line in [
            "segad_inspect_seconds_bucket{le=\"0.005\"} 1",
            "segad_inspect_seconds_bucket{le=\"0.05\"} 3",
            "segad_inspect_seconds_bucket{le=\"10\"} 3",
            "segad_inspect_seconds_bucket{le=\"+Inf\"} 4",
            "segad_inspect_seconds_sum 20.063",
            "segad_inspect_seconds_count 4",
            "segad_inspections_total{verdict=\"bad\"} 2",
            "segad_http_requests_total{route=\"/healthz\",status=\"200\"} 1",
            "segad_running 1",
            "segad_images_total{outcome=\"judged\"} 1",
            "segad_images_total{outcome=\"refused\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
