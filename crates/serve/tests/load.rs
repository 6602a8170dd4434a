//! Many clients at once, good and bad ones: every answer is right, nothing crashes, memory stays
//! flat.
//!
//! The short version runs with all tests. The long one, 10 000 requests of 32 clients:
//! `cargo test -p segad-serve --test load -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a panic is how a test fails, in its helpers too; tests read clocks and files and say what they measured"
)]

mod support;

use segad_serve::Limits;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Means, Running, grey};

const CLIENTS: usize = 32;
/// Bytes of a body.
const BODY: usize = 64 << 10;

/// What one request was, and what became of it.
#[derive(Debug, Default)]
struct Tally(BTreeMap<(&'static str, String), usize>);

impl Tally {
    fn add(&mut self, kind: &'static str, outcome: impl ToString) {
        *self.0.entry((kind, outcome.to_string())).or_default() += 1;
    }

    fn of(&self, kind: &str) -> usize {
        self.0
            .iter()
            .filter(|((k, _), _)| *k == kind)
            .map(|(_, n)| n)
            .sum()
    }

    fn merge(&mut self, other: Self) {
        for (key, n) in other.0 {
            *self.0.entry(key).or_default() += n;
        }
    }
}

/// Resident memory of this process, server and clients together, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

struct Images {
    /// One of each grey level, with its score.
    valid: Vec<Vec<u8>>,
    oversized: Vec<u8>,
}

/// Request `n` of a client. Kinds take turns in a fixed order, so that every run has the same
/// mixture: of 20 requests 13 are valid, 3 broken, 2 oversized, 1 slow and too late, 1 slow and in
/// time.
fn request(
    n: usize,
    client: &mut Option<Client>,
    server: &Running,
    images: &Images,
    tally: &mut Tally,
) {
    let level = n * 37 % 256;
    let valid = &images.valid[level];
    let post = |client: &mut Client, body: &[u8]| {
        client.ask(
            "POST",
            "/v1/inspect",
            &[("content-type", "image/png")],
            body,
        )
    };
    match n % 20 {
        3 | 9 | 15 => {
            let body = match n % 3 {
                0 => &valid[..valid.len() / 2],
                1 => b"this is no image",
                _ => &valid[4..],
            };
            let reply = post(client.get_or_insert_with(|| server.connect()), body).unwrap();
            assert!(matches!(reply.status, 422 | 503), "{}", reply.text());
            tally.add("broken", reply.status);
        }
        6 | 13 => {
            // The server may close the connection while the client still sends; a client may then
            // see that only.
            let outcome = match post(&mut server.connect(), &images.oversized) {
                Ok(reply) => reply.status.to_string(),
                Err(e) => format!("{:?}", e.kind()),
            };
            assert!(
                ["413", "503", "BrokenPipe", "ConnectionReset"].contains(&outcome.as_str()),
                "{outcome}"
            );
            tally.add("oversized", outcome);
        }
        17 => {
            let mut slow = server.connect();
            let head =
                "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n";
            slow.send(head.as_bytes()).unwrap();
            let outcome = loop {
                if slow.send(&valid[..10]).is_err() {
                    break slow.reply();
                }
                slow.stream
                    .set_read_timeout(Some(Duration::from_millis(100)))
                    .unwrap();
                match slow.reply() {
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                    other => break other,
                }
            };
            let outcome =
                outcome.map_or_else(|e| format!("{:?}", e.kind()), |r| r.status.to_string());
            assert!(
                ["408", "ConnectionReset", "BrokenPipe"].contains(&outcome.as_str()),
                "{outcome}"
            );
            tally.add("too slow", outcome);
        }
        19 => {
            let mut slow = server.connect();
            let head = format!(
                "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
                valid.len()
            );
            slow.send(head.as_bytes()).unwrap();
            for part in valid.chunks(valid.len().div_ceil(4)) {
                slow.send(part).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            check(&slow.reply().unwrap(), level, "slow", tally);
        }
        _ => {
            let reply = post(client.get_or_insert_with(|| server.connect()), valid);
            // The server ends a connection that is old; a client connects again.
            match reply {
                Ok(reply) => check(&reply, level, "valid", tally),
                Err(_) => {
                    let fresh = client.insert(server.connect());
                    check(&post(fresh, valid).unwrap(), level, "valid", tally);
                }
            }
        }
    }
}

fn check(reply: &support::Reply, level: usize, kind: &'static str, tally: &mut Tally) {
    tally.add(kind, reply.status);
    if reply.status == 503 {
        assert_eq!(reply.header("retry-after"), Some("1"));
        return;
    }
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let expected = level as f64 / 255.0;
    assert!(
        (answer["score"].as_f64().unwrap() - expected).abs() < 1e-5,
        "{level}: {answer}"
    );
    assert_eq!(answer["verdict"], if level >= 128 { "bad" } else { "good" });
}

/// Runs `total` requests after a warm-up; returns the tally, seconds, and memory before and after.
fn run(total: usize, warm_up: usize) -> (Tally, f64, usize, usize) {
    let limits = Limits {
        body: BODY,
        bodies: 4 << 20,
        connections: 40,
        workers: 2,
        queue: 64,
        head_time: Duration::from_secs(5),
        body_time: Duration::from_millis(1500),
        ..Limits::default()
    };
    let server = Running::start(
        limits,
        Means {
            delay: Duration::ZERO,
        },
    );
    let images = Images {
        valid: (0..=255).map(|level| grey(48, level)).collect(),
        oversized: vec![0; BODY * 2],
    };
    let pass = |total: usize| {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let one = || {
                let (mut tally, mut client) = (Tally::default(), None);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        break tally;
                    }
                    request(n, &mut client, &server, &images, &mut tally);
                }
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            let mut all = Tally::default();
            clients
                .into_iter()
                .for_each(|c| all.merge(c.join().unwrap()));
            all
        })
    };
    pass(warm_up);
    let before = resident();
    let start = Instant::now();
    let tally = pass(total);
    let seconds = start.elapsed().as_secs_f64();
    let after = resident();
    let health = server.get("/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    let metrics = server.get("/metrics");
    for gauge in ["segad_waiting 0", "segad_running 0"] {
        assert!(
            metrics.text().lines().any(|l| l == gauge),
            "{gauge}\n{}",
            metrics.text()
        );
    }
    server.stop();
    (tally, seconds, before, after)
}

fn report(total: usize, warm_up: usize, growth: usize) {
    let (tally, seconds, before, after) = run(total, warm_up);
    println!(
        "{total} requests of {CLIENTS} clients in {seconds:.1} s, {:.0} a second",
        total as f64 / seconds
    );
    println!(
        "resident memory {:.1} MiB before, {:.1} MiB after",
        before as f64 / 1048576.0,
        after as f64 / 1048576.0
    );
    for ((kind, outcome), n) in &tally.0 {
        println!("{kind:<10} {outcome:<16} {n}");
    }
    let share = |twentieths: usize| total * twentieths / 20;
    let counts = ["valid", "broken", "oversized", "too slow", "slow"].map(|k| tally.of(k));
    assert_eq!(counts, [share(13), share(3), share(2), share(1), share(1)]);
    let answered = tally
        .0
        .get(&("valid", "200".to_owned()))
        .copied()
        .unwrap_or(0);
    assert!(
        answered * 10 >= share(13) * 9,
        "too few valid requests were answered: {answered}"
    );
    assert!(
        after <= before + growth,
        "memory grew by {} bytes",
        after.saturating_sub(before)
    );
}

#[test]
fn mixed_clients_get_right_answers() {
    report(600, 200, 24 << 20);
}

#[test]
#[ignore = "takes a minute; see the head of this file"]
fn ten_thousand_requests_of_32_clients() {
    report(10_000, 2_000, 8 << 20);
}
