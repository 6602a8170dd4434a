//! `segad serve` over real results: what it tells is what the run wrote, and nothing else can be
//! read.

use crate::support::{Place, expect, root};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server in a process of its own.
pub(crate) struct Served {
    child: Child,
    address: String,
}

impl Served {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|l| l.strip_suffix('/'));
        let address = address
            .unwrap_or_else(|| panic!("{command:?} said {line:?}"))
            .to_owned();
        Self { child, address }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // No request may hang.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let end = reply.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&reply[9..12]).unwrap().parse().unwrap();
        (status, reply[end + 4..].to_vec())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, b"");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ctrl-C; the exit code.
    fn interrupt(self) -> Option<i32> {
        self.stop().0
    }

    /// Ctrl-C; the exit code and what was said on standard error.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_store_is_served_as_it_was_computed() {
    let place = Place::new();
    expect(
        place.demo(
            "a",
            &[
                "--only",
                "PatchCore",
                "--store",
                place.path("store").to_str().unwrap(),
            ],
        ),
        0,
    );
    let images = root().join("datasets/elpv-sample");
    let store = place.path("store");
    let mut command = place.segad(&["serve", store.to_str().unwrap(), "--segments", "elpv-mono"]);
    command.args(["--images", images.to_str().unwrap()]);
    let served = Served::start(command);
    let about = served.json("/v1/about");
    assert_eq!(about["model"], Value::Null);
    let names: Vec<&str> = about["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap())
        .collect();
    let number = names
        .iter()
        .position(|n| n.starts_with("PatchCore + SegAD · mono elpv-high-shot"))
        .unwrap();
    let run = served.json(&format!("/v1/runs/{number}"));

    // The same images, labels and scores as in the run's own file.
    let mut reader = csv::Reader::from_path(place.path("a/scores.csv")).unwrap();
    let rows = reader.deserialize().map(|r| r.unwrap());
    let rows: Vec<HashMap<String, String>> = rows.collect();
    let written: Vec<_> = rows
        .iter()
        .filter(|r| r["row"] == "PatchCore + SegAD" && r["class"] == "elpv-high-shot")
        .collect();
    let items = &run["items"];
    let ids: Vec<&str> = items["id"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), written.len());
    for row in &written {
        let at = ids.iter().position(|i| *i == row["filepath"]).unwrap();
        assert_eq!(
            items["score"][at].as_f64().unwrap() as f32,
            row["score"].parse::<f32>().unwrap()
        );
        assert_eq!(
            (&items["group"][at], &items["label"][at]),
            (&row["group"].as_str().into(), &row["label"].as_str().into())
        );
    }
    // Cells that the experts were unsure about are set aside in the report, so they are here.
    let above = |at: f32, label: &str| {
        written
            .iter()
            .filter(|r| r["label"] == label && ["good", "bad"].contains(&r["group"].as_str()))
            .filter(|r| r["score"].parse::<f32>().unwrap() >= at)
            .count()
    };
    let counts = served.json(&format!("/v1/runs/{number}/threshold?at=0"));
    assert_eq!(counts["false_alarms"]["hits"], above(0.0, "good"));
    assert_eq!(counts["recall"]["hits"], above(0.0, "bad"));

    // Rows that share a cell are one on the page, by the name of their detector.
    let page = figures_of_the_page(&served, &names);
    let mut report = figures_of_the_report(&place);
    report.retain(|name, _| page.contains_key(name));
    assert_eq!(page, report);
    assert_eq!(page.len(), 9, "three rows, each with two groups set aside");

    let kinds: Vec<&str> = run["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["photo", "map", "segments", "outlines"]);
    for layer in 0..kinds.len() {
        let (status, png) = served.ask(
            "GET",
            &format!("/v1/runs/{number}/items/0/layers/{layer}?side=64"),
            b"",
        );
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&png));
        let image = segad_imaging::decode(&png).unwrap();
        assert_eq!((image.height(), image.width()), (64, 64));
    }
    assert_eq!(served.ask("GET", "/../../../etc/passwd", b"").0, 404);
    assert_eq!(
        served.ask("POST", "/v1/inspect", b"x").0,
        404,
        "a store has no model"
    );
    assert_eq!(served.interrupt(), Some(0));
}

/// AUROC by row, class and, for a group that is set aside, its name; as the page has it.
fn figures_of_the_page(served: &Served, names: &[&str]) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        let threshold = format!("/v1/runs/{number}/threshold");
        let auroc = |query: &str| {
            let counts = served.json(&format!("{threshold}{query}"));
            counts["auroc"]["value"].as_f64().unwrap()
        };
        figures.insert((*name).to_owned(), auroc(""));
        let run = served.json(&format!("/v1/runs/{number}"));
        let groups = run["groups"].as_array().unwrap();
        for (i, group) in groups.iter().enumerate() {
            if group["set_aside"] == true {
                // Alone against the good ones.
                let others = (0..groups.len()).filter(|&j| j != i && groups[j]["label"] == "bad");
                let others: Vec<String> = others.map(|j| j.to_string()).collect();
                let without = format!("?without={}", others.join(","));
                let name = format!("{name} [{}]", group["group"].as_str().unwrap());
                figures.insert(name, auroc(&without));
            }
        }
    }
    lowercase(figures)
}

fn lowercase(figures: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let figures = figures.into_iter();
    figures
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect()
}

/// The same from the run's own file.
fn figures_of_the_report(place: &Place) -> BTreeMap<String, f64> {
    let mut reader = csv::Reader::from_path(place.path("a/metrics.csv")).unwrap();
    let mut figures = BTreeMap::new();
    for line in reader.deserialize() {
        let line: HashMap<String, String> = line.unwrap();
        let Some(rest) = line["metric"].strip_prefix("cl_auroc") else {
            continue;
        };
        let mut name = format!(
            "{} · mono {} seed {}",
            line["row"], line["class"], line["seed"]
        );
        if !rest.is_empty() {
            name.push(' ');
            name.push_str(rest);
        }
        figures.insert(name, line["value"].parse().unwrap());
    }
    lowercase(figures)
}

/// A grey plate, brighter from image to image; bad ones have a white scratch.
fn plate(n: usize, scratched: bool) -> Vec<u8> {
    let pixel = |i: usize| {
        let (y, x) = (i / 64, i % 64);
        let scratch = scratched && y.abs_diff(20 + n) < 3 && (10..50).contains(&x);
        if scratch {
            250
        } else {
            (100 + (x * 7 + y * 13 + n * 31) % 23) as u8
        }
    };
    let grey: Vec<u8> = (0..64 * 64).map(pixel).collect();
    segad_imaging::encode_png(&segad_core::Image::from_grey(64, 64, &grey).unwrap()).unwrap()
}

#[test]
fn a_model_is_served_with_the_images_it_was_fitted_on() {
    let place = Place::new();
    for (label, count) in [("good", 12), ("bad", 6)] {
        std::fs::create_dir_all(place.path("plates").join(label)).unwrap();
        for n in 0..count {
            std::fs::write(
                place.path(&format!("plates/{label}/{n}.png")),
                plate(n, label == "bad"),
            )
            .unwrap();
        }
    }
    let (plates, model) = (place.path("plates"), place.path("plate.segad"));
    let (plates, model) = (plates.to_str().unwrap(), model.to_str().unwrap());
    let fit = [
        "fit",
        plates,
        "--out",
        model,
        "--detectors",
        "patchcore",
        "--backbone",
        "resnet18",
    ];
    let small = [
        "--image-size",
        "64",
        "--segments",
        "whole",
        "--folds",
        "3",
        "--threads",
        "1",
    ];
    expect(place.segad(&[&fit[..], &small].concat()), 0);
    let served =
        Served::start(place.segad(&["serve", model, "--images", plates, "--threads", "1"]));

    // The same answer as `inspect` gives, twice and from the page's side too.
    let file = place.path("plates/bad/2.png");
    let told = place
        .segad(&["inspect", model, file.to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    for _ in 0..2 {
        let (status, body) = served.ask("POST", "/v1/inspect", &plate(2, true));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).unwrap();
        for key in ["score", "verdict", "probability"] {
            assert_eq!(answer[key], told[key], "{key}");
        }
        assert_eq!(
            answer["reasons"][0]["segment"],
            told["reasons"][0]["segment"]
        );
        assert_eq!(answer["maps"][0]["detector"], "patchcore");
    }
    assert_eq!(served.ask("POST", "/v1/inspect", b"GIF89a").0, 422);

    let run = served.json("/v1/runs/0");
    let ids: Vec<&str> = run["items"]["id"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_str().unwrap())
        .collect();
    assert_eq!((ids.len(), ids.contains(&"bad/2.png")), (18, true));
    let about = served.json("/v1/about");
    assert_eq!(run["threshold"], about["model"]["threshold"]);
    // What the page states of the model is what its summary states.
    let card = segad_product::Model::open(Path::new(model)).unwrap();
    let summary = card.card().summary();
    for fact in about["model"]["facts"].as_array().unwrap() {
        if ["False alarms", "Misses"].contains(&fact[0].as_str().unwrap()) {
            assert!(summary.contains(fact[1].as_str().unwrap()), "{summary}");
        }
    }
    let auroc = served.json("/v1/runs/0/threshold")["auroc"]["value"].as_f64();
    let chosen = card.card().chosen().unwrap().auroc;
    assert_eq!(auroc, Some(segad_metrics::rounded(100.0 * chosen, 6)));
    for layer in 0..4 {
        let (status, png) = served.ask("GET", &format!("/v1/runs/0/items/0/layers/{layer}"), b"");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&png));
        assert_eq!(segad_imaging::decode(&png).unwrap().width(), 64);
    }
    assert_eq!(served.interrupt(), Some(0));
}

#[test]
fn what_cannot_be_served_is_said() {
    let place = Place::bare();
    let gone = place.path("gone.segad");
    let said = expect(place.segad(&["serve", gone.to_str().unwrap()]), 5);
    assert!(said.contains("gone.segad"), "{said}");
    std::fs::create_dir_all(place.path("empty/v1")).unwrap();
    let said = expect(
        place.segad(&["serve", place.path("empty").to_str().unwrap()]),
        5,
    );
    assert!(said.contains("no evaluated row"), "{said}");
    std::fs::write(place.path("cut.segad"), b"no model").unwrap();
    let said = expect(
        place.segad(&["serve", place.path("cut.segad").to_str().unwrap()]),
        5,
    );
    assert!(said.contains("cut.segad: model file"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = expect(place.segad(&["serve", "--listen", &address]), 3);
    assert!(said.contains("cannot listen on"), "{said}");
}
