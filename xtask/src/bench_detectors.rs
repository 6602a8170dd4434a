//! `cargo xtask bench detectors`: the four detectors against the same networks in PyTorch, ONNX
//! Runtime and OpenVINO, and training steps against PyTorch's, taking turns.
//!
//! Networks have random weights and see made-up images; what they cost does not depend on either.
//! Each program stays loaded, and in each round each does every pass once, so that a disturbance of
//! the machine meets all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use segad_provision::exit;
use segad_provision::native::Native;

use crate::bench::{environment, peer};
use crate::error::XtaskError;
use crate::segad;
use crate::setup::Context;

/// torch is the version that libtorch is of.
const PACKAGES: [&str; 5] = [
    "torch==2.13.0",
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxruntime==1.31.1",
    "openvino==2026.4.1",
];
const PYTHONS: [&str; 5] = [
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.10",
    "python3",
];
/// An example of one detector that has the others beside it.
const WORKER: [&str; 3] = ["segad-detector-efficientad", "--example", "bench_detectors"];
const SCRIPT: &str = "xtask/python/detectors.py";
const MODELS: [&str; 5] = [
    "patchcore",
    "fastflow",
    "rd4ad",
    "efficientad-s",
    "efficientad-m",
];
/// What the Python side can do.
const OTHERS: [&str; 4] = ["torch", "torch-nhwc", "onnxruntime", "openvino"];

/// Runs the comparison; see [`Options`].
pub(crate) fn run(
    context: &Context,
    native: &Native,
    arguments: &[OsString],
) -> Result<u8, XtaskError> {
    let options = Options::parse(arguments)?;
    let place = context.provisioner.cache.root().join("bench");
    let folder = place.join(format!("detectors-{}", options.batch));
    let binary = segad::build_target(context, native, WORKER)?;
    let mut ours = Command::new(binary);
    ours.arg(&folder)
        .args([options.threads.to_string(), options.batch.to_string()])
        .args(&options.models);
    let mut ours = Worker::start("segad", &mut ours)?;
    ours.ready()?;
    let python = environment(
        context,
        &place.join("python-detectors"),
        &PYTHONS,
        &PACKAGES,
    )?;
    let mut others = python
        .map(|p| other(context, &p, &folder, &options))
        .transpose()?;
    if others.is_none() {
        println!("no Python with {}: segad alone", PACKAGES.join(", "));
    }

    let mut times = Times::default();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for model in &options.models {
            for precision in ["f32", "bf16"] {
                times.add(
                    &format!("segad {precision}"),
                    model,
                    ours.ask(&format!("{precision} {model}"))?,
                );
            }
            for engine in OTHERS {
                if let Some(others) = &mut others {
                    times.add(engine, model, others.ask(&format!("{engine} {model}"))?);
                }
            }
            if model == "patchcore" {
                // What bounds spare depends on the features; these are not those of a trained
                // network.
                times.add(
                    "segad f32, no bounds",
                    model,
                    ours.ask("products patchcore")?,
                );
            } else if options.train {
                times.add(
                    "segad, training step",
                    model,
                    ours.ask(&format!("train {model}"))?,
                );
                if let Some(others) = &mut others {
                    times.add(
                        "torch, training step",
                        model,
                        others.ask(&format!("train {model}"))?,
                    );
                }
            }
        }
    }
    let what = "images, or training steps";
    let how = format!(
        "batch {}, {} threads, medians of {} rounds",
        options.batch, options.threads, options.rounds
    );
    println!(
        "{what}, per second; {how}\n{}",
        times.table(&options, |s| s.0)
    );
    // Where other work shares the processor, this says more.
    if times.0.values().flatten().flatten().all(|s| s.1 > 0.0) {
        println!(
            "{what}, per second of processor time; {how}\n{}",
            times.table(&options, |s| s.1)
        );
    }
    print!("{}", times.failures());
    Ok(exit::OK)
}

fn other(
    context: &Context,
    python: &Path,
    folder: &Path,
    options: &Options,
) -> Result<Worker, XtaskError> {
    let mut command = peer(python);
    command
        .arg(context.root.join(SCRIPT))
        .arg(folder)
        .arg(options.threads.to_string());
    let mut worker = Worker::start("Python", &mut command)?;
    worker.ready()?;
    Ok(worker)
}

struct Options {
    threads: usize,
    batch: usize,
    rounds: usize,
    models: Vec<String>,
    train: bool,
}

impl Options {
    fn parse(arguments: &[OsString]) -> Result<Self, XtaskError> {
        let usage = || {
            XtaskError::Usage(format!(
                "bench detectors takes --threads N, --batch N, --rounds N, --only A,B (of {}) and --no-train",
                MODELS.join(", ")
            ))
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let models = MODELS.map(str::to_owned).to_vec();
        let mut o = Self {
            threads,
            batch: 4,
            rounds: 5,
            models,
            train: true,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().and_then(|v| v.to_str()).ok_or_else(usage);
            let number = |text: &str| {
                text.parse()
                    .ok()
                    .filter(|&n: &usize| n > 0)
                    .ok_or_else(usage)
            };
            match word.to_str() {
                Some("--threads") => o.threads = number(value()?)?,
                Some("--batch") => o.batch = number(value()?)?,
                Some("--rounds") => o.rounds = number(value()?)?,
                Some("--only") => o.models = value()?.split(',').map(str::to_owned).collect(),
                Some("--no-train") => o.train = false,
                _ => return Err(usage()),
            }
        }
        if o.models.iter().any(|m| !MODELS.contains(&m.as_str())) {
            return Err(usage());
        }
        Ok(o)
    }
}

/// A program that answers each line with a line.
struct Worker {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(name: &'static str, command: &mut Command) -> Result<Self, XtaskError> {
        let failed = |source| XtaskError::Start {
            command: name.to_owned(),
            source,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let gone = || XtaskError::Build(format!("{name} cannot be spoken to"));
        let (input, output) = (
            child.stdin.take().ok_or_else(gone)?,
            child.stdout.take().ok_or_else(gone)?,
        );
        Ok(Self {
            name,
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<String, XtaskError> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        if read.is_ok_and(|n| n > 0) {
            return Ok(line.trim().to_owned());
        }
        Err(XtaskError::Build(format!(
            "{} ended early; its messages are above",
            self.name
        )))
    }

    fn ready(&mut self) -> Result<(), XtaskError> {
        let line = self.line()?;
        if line == "ready" {
            Ok(())
        } else {
            Err(XtaskError::Build(format!("{}: {line}", self.name)))
        }
    }

    /// Seconds and seconds of processor time, or why there are none.
    fn ask(&mut self, question: &str) -> Result<Answer, XtaskError> {
        let failed = |source| XtaskError::Start {
            command: self.name.to_owned(),
            source,
        };
        writeln!(self.input, "{question}").map_err(failed)?;
        self.input.flush().map_err(failed)?;
        let answer = self.line()?;
        Ok(parsed(&answer).ok_or(answer))
    }
}

/// Seconds and seconds of processor time in an answer.
fn parsed(answer: &str) -> Option<(f64, f64)> {
    let (seconds, processor) = answer.split_once(' ')?;
    Some((seconds.parse().ok()?, processor.parse().ok()?))
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends with its input; this is for one that does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds and seconds of processor time, or why there are none.
type Answer = Result<(f64, f64), String>;

/// The answers to the same question, or why there are none.
type Answers = Result<Vec<(f64, f64)>, String>;

/// Answers by engine and model.
#[derive(Default)]
struct Times(BTreeMap<(String, String), Answers>);

impl Times {
    fn add(&mut self, engine: &str, model: &str, seconds: Answer) {
        let entry = self
            .0
            .entry((engine.to_owned(), model.to_owned()))
            .or_insert_with(|| Ok(Vec::new()));
        match (seconds, &mut *entry) {
            (Ok(s), Ok(list)) => list.push(s),
            (Err(e), _) => *entry = Err(e),
            (Ok(_), Err(_)) => {}
        }
    }

    /// The median per second. The first of several answers is left out: some programs are slow
    /// once.
    fn rate(&self, key: (&str, &str), times: f64, of: fn(&(f64, f64)) -> f64) -> Option<f64> {
        let list = self
            .0
            .get(&(key.0.to_owned(), key.1.to_owned()))?
            .as_ref()
            .ok()?;
        let mut list: Vec<f64> = list
            .iter()
            .skip(usize::from(list.len() > 1))
            .map(of)
            .collect();
        list.sort_by(f64::total_cmp);
        list.get(list.len() / 2).map(|s| times / s)
    }

    fn table(&self, options: &Options, of: fn(&(f64, f64)) -> f64) -> String {
        let engines: Vec<&str> = ["segad f32", "segad f32, no bounds", "segad bf16"]
            .into_iter()
            .chain(OTHERS)
            .chain(["segad, training step", "torch, training step"])
            .filter(|e| self.0.keys().any(|k| k.0 == *e))
            .collect();
        let mut text = format!("| {:22} |", "");
        for model in &options.models {
            text.push_str(&format!(" {model:>14} |"));
        }
        text.push_str(&format!("\n| :{:-<21} |", ""));
        for _ in &options.models {
            text.push_str(&format!(" {:->13}: |", ""));
        }
        text.push('\n');
        for engine in &engines {
            let images = if engine.ends_with("step") {
                1.0
            } else {
                options.batch as f64
            };
            text.push_str(&format!("| {engine:22} |"));
            for model in &options.models {
                let rate = self.rate((engine, model), images, of);
                text.push_str(&format!(
                    " {:>14} |",
                    rate.map_or("–".to_owned(), |r| format!("{r:.3}"))
                ));
            }
            text.push('\n');
        }
        text
    }

    fn failures(&self) -> String {
        let failed = |((engine, model), result): (&(String, String), &Result<_, String>)| {
            Some(format!("{engine}, {model}: {}\n", result.as_ref().err()?))
        };
        self.0.iter().filter_map(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options, XtaskError> {
        Options::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let o = options(&[
            "--threads",
            "3",
            "--only",
            "rd4ad",
            "--no-train",
            "--rounds",
            "2",
        ])
        .unwrap();
        assert_eq!(
            (o.threads, o.models, o.train, o.rounds),
            (3, vec!["rd4ad".to_owned()], false, 2)
        );
        for bad in [
            &["--threads", "0"][..],
            &["--only", "rd5ad"],
            &["--batch"],
            &["--x"],
        ] {
            assert!(options(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn medians_and_failures_are_told() {
        let mut times = Times::default();
        for s in [9.0, 0.5, 0.1, 0.25] {
            times.add("segad f32", "rd4ad", Ok((s, 2.0 * s)));
        }
        times.add("openvino", "rd4ad", Err("no such operator".into()));
        times.add("openvino", "rd4ad", Ok((1.0, 1.0)));
        let o = options(&["--only", "rd4ad", "--batch", "2"]).unwrap();
        assert!(
            times.table(&o, |s| s.0).contains(" 8.000 |"),
            "{}",
            times.table(&o, |s| s.0)
        );
        assert!(times.table(&o, |s| s.1).contains(" 4.000 |"));
        assert_eq!(times.failures(), "openvino, rd4ad: no such operator\n");
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(parsed("0.5 1.25"), Some((0.5, 1.25)));
        assert_eq!(parsed("failed: no such file"), None);
    }
}
