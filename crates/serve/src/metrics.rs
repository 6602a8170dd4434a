//! Counters in the text format of Prometheus (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
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

fn count<K: Ord>(of: &Mutex<BTreeMap<K, u64>>, key: K) {
    *of.lock()
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

    pub(crate) fn inspected(&self, bad: bool, took: Duration) {
        self.verdicts[usize::from(bad)].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|&b| seconds <= b)
            .unwrap_or(BUCKETS.len());
        self.times[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, String)]| {
            let _ = writeln!(
                out,
                "# HELP segad_{name} {help}\n# TYPE segad_{name} {kind}"
            );
            for (suffix, value) in lines {
                let _ = writeln!(out, "segad_{name}{suffix} {value}");
            }
        };
        let lock = |m: &Mutex<BTreeMap<(&'static str, u16), u64>>| {
            m.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let requests: Vec<_> = (lock(&self.requests).into_iter())
            .map(|((route, status), n)| {
                (
                    format!("{{route=\"{route}\",status=\"{status}\"}}"),
                    n.to_string(),
                )
            })
            .collect();
        family(
            "http_requests_total",
            "counter",
            "Requests answered, by route and status.",
            &requests,
        );
        let refused = self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let refused: Vec<_> = refused
            .into_iter()
            .map(|(r, n)| (format!("{{reason=\"{r}\"}}"), n.to_string()))
            .collect();
        family(
            "refused_total",
            "counter",
            "Requests refused, by reason.",
            &refused,
        );
        let verdict = |i: usize| self.verdicts[i].load(Ordering::Relaxed).to_string();
        let verdicts =
            [("good", 0), ("bad", 1)].map(|(v, i)| (format!("{{verdict=\"{v}\"}}"), verdict(i)));
        family(
            "inspections_total",
            "counter",
            "Images inspected, by verdict.",
            &verdicts,
        );
        let mut total = 0;
        let mut times = Vec::new();
        for (i, bucket) in self.times.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            let bound = BUCKETS
                .get(i)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            times.push((format!("_bucket{{le=\"{bound}\"}}"), total.to_string()));
        }
        let seconds = self.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        times.push(("_sum".to_owned(), seconds.to_string()));
        times.push(("_count".to_owned(), total.to_string()));
        family(
            "inspect_seconds",
            "histogram",
            "Seconds that an inspection took, without waiting.",
            &times,
        );
        for (name, help, gauge) in [
            ("connections", "Open connections.", &self.connections),
            ("waiting", "Requests that wait for a worker.", &self.waiting),
            ("running", "Workers that are busy.", &self.running),
        ] {
            family(
                name,
                "gauge",
                help,
                &[(String::new(), gauge.load(Ordering::Relaxed).to_string())],
            );
        }
        out
    }
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
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
