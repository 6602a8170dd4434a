//! Every route: right answers, refusals that say why, and the bounds on size, time, memory and
//! number.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a panic is how a test fails, in its helpers too; tests read clocks and files and say what they measured"
)]

mod support;

use proptest::prelude::*;
use segad_segments::Shapes;
use segad_serve::{Area, Content, Limits};
use serde_json::{Value, json};
use std::io::Read;
use std::net::Shutdown;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::{Means, NASTY, Reply, Running, grey};

const PNG: &str = "image/png";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn an_image_is_inspected() {
    let server = Running::quick();
    let reply = server.post("/v1/inspect?pictures=true", PNG, &grey(8, 204));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    assert!(
        (answer["score"].as_f64().unwrap() - 0.8).abs() < 1e-6,
        "{answer}"
    );
    assert_eq!(
        (&answer["verdict"], &answer["threshold"]),
        (&json!("bad"), &json!(0.5))
    );
    assert_eq!(answer["reasons"][0]["segment"], "upper");
    assert_eq!(
        (&answer["maps"][0]["height"], &answer["maps"][0]["detector"]),
        (&json!(8), &json!("red"))
    );
    for url in [&answer["maps"][0]["picture"], &answer["segments"]] {
        assert!(
            url.as_str()
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR"),
            "{url}"
        );
    }
    let plain = server.post("/v1/inspect", PNG, &grey(8, 51)).json();
    assert_eq!(
        (
            &plain["verdict"],
            plain["maps"][0].get("picture"),
            plain.get("segments")
        ),
        (&json!("good"), None, None)
    );
}

#[test]
fn what_is_no_image_is_refused_with_a_reason() {
    let server = Running::quick();
    let whole = grey(16, 7);
    for (body, word) in [
        (&b"GIF89a......"[..], "GIF"),
        (&whole[..whole.len() - 20], "truncated"),
        (b"x", "not an image"),
    ] {
        let reply = server.post("/v1/inspect", PNG, body);
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(
            reply.json()["message"].as_str().unwrap().contains(word),
            "{}",
            reply.text()
        );
    }
    let empty = server
        .connect()
        .ask("POST", "/v1/inspect", &[("content-length", "0")], b"")
        .unwrap();
    assert_eq!(empty.status, 422);
    assert_eq!(
        server.post("/v1/inspect?picture=1", PNG, &whole).status,
        400
    );
    assert_eq!(server.get("/v1/inspect").status, 405);
    // A picture of more pixels than the inspector takes, in few bytes.
    assert_eq!(server.post("/v1/inspect", PNG, &grey(1100, 0)).status, 422);
}

#[test]
fn a_type_that_is_nearly_right_is_told_from_others() {
    let server = Running::quick();
    let image = grey(8, 204);
    for (kind, hint) in [
        ("image/jpg", "; did you mean image/jpeg?"),
        ("image/x-png", "; did you mean image/png?"),
        ("IMAGE/TIF", "; did you mean image/tiff?"),
        ("webp", "; did you mean image/webp?"),
        ("multipart/form-data; boundary=x", "not a form"),
        ("application/x-www-form-urlencoded", "--data-binary"),
        ("text/plain", "expected image/png, image/jpeg, "),
    ] {
        let reply = server.post("/v1/inspect", kind, &image);
        assert_eq!(reply.status, 415, "{kind}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(hint), "{kind}: {message}");
    }
    // A format is told by its first bytes, whatever the header says of it.
    for kind in ["image/jpeg", "Image/PNG; q=1", "application/octet-stream"] {
        assert_eq!(
            server.post("/v1/inspect", kind, &image).status,
            200,
            "{kind}"
        );
    }
}

#[test]
fn a_bug_of_an_inspector_does_not_end_the_server() {
    let server = Running::quick();
    let image = segad_core::Image::from_rgb(1, 1, vec![1, 2, 3]).unwrap();
    let reply = server.post(
        "/v1/inspect",
        PNG,
        &segad_imaging::encode_png(&image).unwrap(),
    );
    assert_eq!(reply.status, 500);
    assert!(
        !reply.text().contains("bug"),
        "the log is for the operator: {}",
        reply.text()
    );
    assert_eq!(server.post("/v1/inspect", PNG, &grey(4, 9)).status, 200);
}

#[test]
fn bodies_are_bounded_in_size_whatever_they_claim() {
    let server = Running::start(
        Limits {
            body: 10_000,
            ..Limits::default()
        },
        Means {
            delay: Duration::ZERO,
        },
    );
    let reply = server.post("/v1/inspect", PNG, &vec![0; 20_000]);
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (413, Some("too_large"))
    );
    // Chunked, so that nothing is claimed.
    let mut client = server.connect();
    let head = format!(
        "POST /v1/inspect HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        server.address
    );
    client.send(head.as_bytes()).unwrap();
    for _ in 0..20 {
        client
            .send(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes())
            .unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 413);
    // A claim of 2^63 bytes, and one that is no number.
    for (length, status) in [("9223372036854775807", 413), ("-1", 400)] {
        let mut client = server.connect();
        let head = format!(
            "POST /v1/inspect HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n",
            server.address
        );
        client.send(head.as_bytes()).unwrap();
        assert_eq!(client.reply().unwrap().status, status, "{length}");
    }
}

#[test]
fn bodies_share_one_memory() {
    let limits = Limits {
        body: 1 << 20,
        bodies: 1 << 20,
        ..Limits::default()
    };
    let server = Running::start(
        limits,
        Means {
            delay: Duration::ZERO,
        },
    );
    let head = format!(
        "POST /v1/inspect HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\n",
        server.address
    );
    // One that takes most of the memory and never ends. If the large one overtakes it, it is the
    // one to be refused, so each try has its own and gives it more time.
    let mut greedy = None;
    let mut wait = ms(20);
    let refused = until(
        || {
            let client = greedy.insert(server.connect());
            client.send(head.as_bytes()).unwrap();
            client.send(&vec![0; 900_000]).unwrap();
            std::thread::sleep(wait);
            wait *= 2;
            server.post("/v1/inspect", PNG, &vec![0; 300_000])
        },
        503,
    );
    assert_eq!(
        (
            refused.header("retry-after"),
            refused.json()["error"].as_str()
        ),
        (Some("1"), Some("busy"))
    );
    assert_eq!(
        server.post("/v1/inspect", PNG, &grey(4, 9)).status,
        200,
        "small ones still fit"
    );
    drop(greedy);
    until(|| server.post("/v1/inspect", PNG, &vec![0; 300_000]), 422); // what was held is given back
}

/// Asks until the answer has this status, which the server may need a moment for.
fn until(mut ask: impl FnMut() -> Reply, status: u16) -> Reply {
    let start = Instant::now();
    loop {
        let reply = ask();
        if reply.status == status {
            return reply;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{}: {}",
            reply.status,
            reply.text()
        );
        std::thread::sleep(ms(20));
    }
}

#[test]
fn slow_clients_are_cut_off() {
    let limits = Limits {
        connections: 4,
        head_time: ms(300),
        body_time: ms(300),
        ..Limits::default()
    };
    let server = Running::start(
        limits,
        Means {
            delay: Duration::ZERO,
        },
    );
    // Heads that never end take every connection, for a while.
    let mut slow: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut slow {
        client
            .send(b"GET /healthz HTTP/1.1\r\nhost: local")
            .unwrap();
    }
    let start = Instant::now();
    assert_eq!(server.get("/healthz").status, 200);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(slow.iter_mut().all(support::Client::closed));
    // A body that comes a byte at a time.
    let mut client = server.connect();
    let head = format!(
        "POST /v1/inspect HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\n",
        server.address
    );
    client.send(head.as_bytes()).unwrap();
    for _ in 0..4 {
        client.send(b"x").unwrap();
        std::thread::sleep(ms(50));
    }
    let reply = client.reply().unwrap();
    assert_eq!(
        (reply.status, reply.header("connection")),
        (408, Some("close"))
    );
    // An idle connection is not kept for ever.
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
    let start = Instant::now();
    assert!(idle.closed() && start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_connection_does_not_live_for_ever() {
    let limits = Limits {
        connection_time: ms(400),
        drain_time: ms(200),
        ..Limits::default()
    };
    let server = Running::start(
        limits,
        Means {
            delay: Duration::ZERO,
        },
    );
    let mut client = server.connect();
    let start = Instant::now();
    while client.ask("GET", "/healthz", &[], b"").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(ms(20));
    }
    assert!(start.elapsed() >= ms(300), "{:?}", start.elapsed());
}

#[test]
fn more_than_the_queue_holds_is_refused_and_may_come_again() {
    let limits = Limits {
        workers: 1,
        queue: 2,
        ..Limits::default()
    };
    let server = Running::start(limits, Means { delay: ms(300) });
    let image = grey(4, 9);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| server.post("/v1/inspect", PNG, &image));
        let asked: Vec<_> = (0..8).map(|_| ask()).collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let of = |status| replies.iter().filter(|r| r.status == status).count();
    // One is inspected and two wait; more only where a client came so late that a place was free
    // again.
    assert!(
        of(200) >= 3 && of(503) >= 1 && of(200) + of(503) == 8,
        "{} and {}",
        of(200),
        of(503)
    );
    assert!(
        replies
            .iter()
            .filter(|r| r.status == 503)
            .all(|r| r.header("retry-after") == Some("1"))
    );
    assert_eq!(server.post("/v1/inspect", PNG, &image).status, 200);
    assert_eq!(server.get("/healthz").status, 200);
    let metrics = server.get("/metrics");
    for line in [
        format!("segad_refused_total{{reason=\"busy\"}} {}", of(503)),
        format!(
            "segad_inspections_total{{verdict=\"good\"}} {}",
            of(200) + 1
        ),
    ] {
        assert!(
            metrics.text().lines().any(|l| l == line),
            "{line}\n{}",
            metrics.text()
        );
    }
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
}

#[test]
fn work_that_takes_too_long_is_answered_in_time() {
    let limits = Limits {
        work_time: ms(100),
        ..Limits::default()
    };
    let server = Running::start(limits, Means { delay: ms(400) });
    assert_eq!(server.post("/v1/inspect", PNG, &grey(4, 9)).status, 504);
}

#[test]
fn runs_are_listed_and_thresholds_counted() {
    let server = Running::quick();
    let about = server.get("/v1/about").json();
    assert_eq!(about["runs"], json!(["first", NASTY, "damaged"]));
    assert_eq!(about["model"]["threshold"], 0.5);
    let run = server.get("/v1/runs/0").json();
    assert_eq!(
        run["items"]["score"][1].as_f64(),
        Some(f64::from(0.1f32)),
        "the very value that is compared"
    );
    assert_eq!(run["items"]["group"][14], NASTY);
    assert_eq!(run["layers"][1], json!({ "name": "heat", "kind": "map" }));
    let damaged = server.get("/v1/runs/2");
    assert_eq!(
        (damaged.status, damaged.json()["message"].as_str()),
        (500, Some("scores.parquet is damaged"))
    );
    // Of 50 pairs: the cracks beat 5.5, 6.5, 7.5 and 8.5 good images, the scratch 1.5.
    let counts = server.get("/v1/runs/0/threshold").json();
    assert_eq!(counts["at"], 0.45, "the run's own");
    let auroc = |counts: &Value| counts["auroc"]["value"].as_f64().unwrap();
    assert_eq!(auroc(&counts), 59.0, "{counts}");
    // Groups are numbered good ones first, then by name: the scratch is 1.
    assert_eq!(
        run["groups"][1],
        json!({ "group": NASTY, "label": "bad", "set_aside": false })
    );
    let fewer = server.get("/v1/runs/0/threshold?without=1").json();
    assert_eq!(auroc(&fewer), 70.0, "{fewer}");
    assert_eq!(
        (
            fewer["groups"].as_array().unwrap().len(),
            &fewer["recall"]["total"]
        ),
        (2, &json!(4))
    );
    let good = server.get("/v1/runs/0/threshold?without=1,2&at=0.5").json();
    assert_eq!(
        (&good["auroc"], &good["recall"]["rate"], &good["suggested"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let pair = |v: &Value| (v["hits"].as_u64().unwrap(), v["total"].as_u64().unwrap());
    assert_eq!(pair(&counts["false_alarms"]), (5, 10));
    assert_eq!(pair(&counts["recall"]), (4, 5));
    assert_eq!(counts["groups"].as_array().unwrap().len(), 3);
    for bad in [
        "?at=",
        "?at=x",
        "?without=3",
        "?without=x",
        "?at=NaN",
        "?at=inf",
        "?at=1&b=2",
    ] {
        assert_eq!(
            server.get(&format!("/v1/runs/0/threshold{bad}")).status,
            400,
            "{bad}"
        );
    }
    let picture = server.get("/v1/runs/0/items/3/layers/1?side=30");
    assert_eq!(picture.header("content-type"), Some(PNG));
    let picture = segad_imaging::decode(&picture.body).unwrap();
    assert_eq!(
        (picture.height(), picture.width(), picture.pixel(0, 0)),
        (15, 30, Some([76, 1, 0]))
    );
    assert_eq!(server.get("/v1/runs/0/items/3/layers/1?side=0").status, 400);
    let broken = server.get("/v1/runs/0/items/9/layers/0");
    assert_eq!(
        (broken.status, broken.json()["message"].as_str()),
        (404, Some("good/9.png: the file is empty"))
    );
}

#[test]
fn groups_that_are_set_aside_count_only_where_they_are_asked_for() {
    let area = Area {
        value: 0.7,
        low: 0.4,
        high: 0.912_345_678_9,
    };
    let server = Running::with_pictures(|set| {
        set.set_aside = vec![NASTY.to_owned()];
        set.auroc = Some(area);
        set.level = 0.9;
    });
    let run = server.get("/v1/runs/0").json();
    assert_eq!(
        (&run["groups"][1]["set_aside"], &run["level"]),
        (&json!(true), &json!(0.9))
    );
    let of = |query: &str| server.get(&format!("/v1/runs/0/threshold{query}")).json();
    let stated = json!({ "value": 70.0, "low": 40.0, "high": 91.234568 });
    for query in ["", "?without=1"] {
        let counts = of(query);
        assert_eq!(counts["auroc"], stated, "as its owner states it");
        assert_eq!(counts["recall"]["total"], 4);
        // scipy.stats.beta.ppf([0.05, 0.95], [5, 6], [6, 5])
        let alarms = &counts["false_alarms"];
        let [low, high] = ["low", "high"].map(|end| alarms[end].as_f64().unwrap());
        assert!((low - 22.244_110).abs() < 1e-5 && (high - 77.755_890).abs() < 1e-5);
    }
    let all = of("?without=");
    assert_eq!(all["recall"]["total"], 5);
    assert_eq!(all["auroc"]["value"], 59.0, "computed, since more counts");
}

#[test]
fn no_path_leads_out() {
    let server = Running::quick();
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/app.js/../../Cargo.toml",
        "//etc/passwd",
        "/app.css%00.png",
        "/v1/runs/../../etc/passwd",
        "/v1/runs/0/items/..%2f..%2f..%2fetc%2fpasswd/layers/0",
        "/v1/runs/0/items/14/layers/..",
        "/v1/runs/0/items/15/layers/0",
        "/v1/runs/0/items/0/layers/2",
        "/v1/runs/-1",
        "/v1/runs/3",
        "/v1/runs/18446744073709551616",
        "/src/lib.rs",
        "/etc/passwd",
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let mut client = server.connect();
    assert_eq!(
        client
            .ask("GET", "file:///etc/passwd", &[], b"")
            .map(|r| r.status)
            .unwrap_or(400),
        400
    );
}

#[test]
fn foreign_hosts_and_sites_are_refused() {
    let server = Running::quick();
    let ask = |headers: &[(&str, &str)]| {
        server
            .connect()
            .ask("GET", "/v1/about", headers, b"")
            .unwrap()
    };
    assert_eq!(ask(&[("host", "rebound.example")]).status, 421);
    assert_eq!(
        ask(&[("host", &format!("localhost:{}", server.address.port()))]).status,
        200
    );
    assert_eq!(ask(&[("origin", "http://elsewhere.example")]).status, 403);
    assert_eq!(ask(&[("sec-fetch-site", "cross-site")]).status, 403);
    let reply = server
        .connect()
        .ask("POST", "/v1/inspect", &[("origin", "null")], &grey(4, 9))
        .unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn every_answer_is_protected() {
    let server = Running::quick();
    for path in [
        "/",
        "/app.js",
        "/v1/about",
        "/v1/runs/0/items/0/layers/0",
        "/nowhere",
        "/metrics",
    ] {
        let reply = server.get(path);
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            reply.header("cross-origin-resource-policy"),
            Some("same-origin"),
            "{path}"
        );
    }
}

#[test]
fn without_content_its_routes_are_absent() {
    let server = Running::serve(Limits::default(), Content::default());
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/v1/runs/0").status, 404);
    assert_eq!(server.post("/v1/inspect", PNG, &grey(4, 9)).status, 404);
    assert_eq!(server.get("/v1/about").json()["model"], Value::Null);
}

#[test]
fn shapes_are_checked_by_the_code_that_reads_them() {
    let server = Running::quick();
    let mut file = json!({
        "title": NASTY,
        "reference": { "width": 100, "height": 50 },
        "segments": ["background", "disc", NASTY],
        "shape": [
            { "kind": "ellipse", "segment": "disc", "centre": [50, 25], "radii": [20, 20] },
            { "kind": "rectangle", "segment": NASTY, "x": 0, "y": 0, "width": 10.5, "height": 50, "rotate": 0 },
        ],
    });
    let check = |file: &Value| {
        server.post(
            "/v1/segments/check",
            "application/json",
            file.to_string().as_bytes(),
        )
    };
    let answer = check(&file).json();
    assert_eq!(answer["problem"], Value::Null, "{answer}");
    let toml = answer["toml"].as_str().unwrap();
    let map = Shapes::parse("saved", toml)
        .unwrap()
        .rasterise(256, 256)
        .unwrap();
    let covered: Vec<u64> = answer["coverage"]["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["pixels"].as_u64().unwrap())
        .collect();
    assert_eq!(
        covered,
        map.areas().iter().map(|&a| a as u64).collect::<Vec<_>>()
    );
    let ellipse = std::f64::consts::PI * 0.2 * 0.4;
    assert!(
        (covered[1] as f64 / 65536.0 - ellipse).abs() < 0.002,
        "{covered:?}"
    );
    assert!(
        answer["picture"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png")
    );
    // The same text reads back as the same shapes.
    let read = server
        .post("/v1/segments/read", "application/toml", toml.as_bytes())
        .json();
    assert_eq!(
        (&read["title"], &read["shape"][1]["width"]),
        (&json!(NASTY), &json!(10.5))
    );
    // Covered by a later shape: no fit takes it, but the rest is still counted.
    let cover = json!({ "kind": "rectangle", "segment": "background", "x": 0, "y": 0, "width": 100, "height": 50 });
    file["shape"].as_array_mut().unwrap().push(cover);
    let answer = check(&file).json();
    assert!(
        answer["problem"].as_str().unwrap().contains("has no pixel"),
        "{answer}"
    );
    assert_eq!(answer["coverage"]["segments"][0]["pixels"], 65536);
    // What cannot be painted at all.
    file["shape"] = json!([{ "kind": "ring", "segment": "disc", "centre": [50, 25], "outer": [5, 5], "inner": [6, 6] }]);
    let answer = check(&file).json();
    assert!(
        answer["problem"]
            .as_str()
            .unwrap()
            .contains("must be below outer"),
        "{answer}"
    );
    assert_eq!(answer["coverage"], Value::Null);
    assert_eq!(check(&json!({ "title": 3 })).status, 422);
    assert_eq!(
        server
            .post("/v1/segments/check", "text/plain", b"{}")
            .status,
        415
    );
    assert_eq!(
        server
            .post("/v1/segments/read", "application/toml", b"a = ")
            .status,
        422
    );
    let huge = vec![b' '; (1 << 20) + 1];
    assert_eq!(
        server
            .post("/v1/segments/read", "application/toml", &huge)
            .status,
        413
    );
}

#[test]
fn a_running_request_is_finished_when_the_server_stops() {
    let server = Running::start(Limits::default(), Means { delay: ms(1200) });
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
    let image = grey(4, 9);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.post("/v1/inspect", PNG, &image));
        while !server
            .get("/metrics")
            .text()
            .contains("\nsegad_running 1\n")
        {
            std::thread::sleep(ms(20));
        }
        server.ask_to_stop();
        assert_eq!(asked.join().unwrap().status, 200);
    });
    assert!(idle.closed());
    let start = Instant::now();
    let address = server.address;
    server.stop();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// Sends these bytes as they are; gives whatever comes back.
fn throw(server: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut client = server.connect();
    // It may hang up before all is sent.
    let _ = client.send(bytes);
    let _ = client.stream.shutdown(Shutdown::Write);
    let mut reply = Vec::new();
    let _ = client.stream.read_to_end(&mut reply);
    reply
}

/// What fuzzing stumbled over: beginnings of HTTP/2, lines that end anywhere, and control characters
/// in headers.
#[test]
fn requests_that_are_none_are_answered_or_dropped_at_once() {
    let server = Running::quick();
    let host = server.address;
    for request in [
        String::new(),
        "P".to_owned(),
        "PRI * HTTP/2.0\r\n\nJSM\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0host: {host}\r\n"),
        format!("G\0\0\u{1}\u{1}e\u{1}TTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
        format!(
            "GET http:\x17/{host}/about HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\n\r\n"
        ),
        format!("GET /metrics HTTP/1.\x11\r\nho\0\0\u{1}\0{host}\r\nconnection: close\r\n"),
        format!("GET8/v1/sets/0/i\r\nSM\r\n\r\n> HTTP/1.0\r\nhost: {host}\r\n\r\n"),
        format!(
            "POST /v1/inspect?maps=1 HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\
                 TTP/1.1\r\nhost: {host}\r\n\r\n0\r\n\r\n0\r\n\r\n"
        ),
    ] {
        let start = Instant::now();
        let reply = throw(&server, request.as_bytes());
        let text = String::from_utf8_lossy(&reply);
        assert!(
            !text.contains(" 200 ") && !text.contains(" 500 "),
            "{request:?}: {text}"
        );
        assert!(start.elapsed() < Duration::from_secs(5), "{request:?}");
        assert_eq!(server.get("/v1/about").status, 200, "{request:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn garbage_harms_nobody_else(
        which in 0..4_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        // One server for all: whatever it was sent, it goes on.
        static SERVER: OnceLock<Running> = OnceLock::new();
        let server = SERVER.get_or_init(Running::quick);
        let image = grey(8, 204);
        let head = format!("host: {}\r\ncontent-length: {}\r\n\r\n", server.address, image.len());
        let chunk = format!("{:x}\r\n", image.len());
        let mut bytes = vec![
            [b"POST /v1/inspect HTTP/1.1\r\n", head.as_bytes(), &image].concat(),
            [
                b"POST /v1/inspect HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
                chunk.as_bytes(),
                &image,
                b"\r\n0\r\n\r\n",
            ]
            .concat(),
            b"GET /v1/runs/0/images/1/photo?x=%2e HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
            b"OPTIONS * HTTP/1.0\r\nexpect: 100-continue\r\n\r\n".to_vec(),
        ]
        .swap_remove(which);
        for (at, value) in edits {
            let i = at.index(bytes.len());
            bytes[i] = value;
        }
        let reply = throw(server, &bytes);
        prop_assert!(reply.is_empty() || reply.starts_with(b"HTTP/1."));
        prop_assert_eq!(server.get("/v1/about").status, 200);
    }
}
