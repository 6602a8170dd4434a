//! `cargo xtask bench detectors`: the four detectors against the same networks in PyTorch, ONNX
//! Runtime and OpenVINO, and training steps against PyTorch's, taking turns.
//!
//! Networks have random weights and see made-up images; what they cost does not depend on either.
//! Each program stays loaded, and in each round each does every pass once, so that a disturbance of
//! the machine affects all of them.

mod times;
mod worker;

use self::times::Times;
use self::worker::Worker;
use crate::bench::{environment, peer};
use crate::error::XtaskError;
use crate::segad;
use crate::setup::Context;
use segad_provision::exit;
use segad_provision::native::Native;
use std::ffi::OsString;
use std::process::Command;

/// torch has the version of segad's libtorch.
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
const WORKER: [&str; 3] = ["segad-bench", "--bin", "bench-detectors"];
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
    let mut ours = Command::new(segad::build_target(context, native, segad::DEV, WORKER)?);
    ours.arg(&folder)
        .args([options.threads.to_string(), options.batch.to_string()])
        .args(&options.models);
    let mut ours = Worker::start("segad", &mut ours)?;
    let python = place.join("python-detectors");
    let mut others = match environment(context, &python, &PYTHONS, &PACKAGES)? {
        Some(python) => {
            let mut command = peer(&python);
            command
                .arg(context.root.join(SCRIPT))
                .arg(&folder)
                .arg(options.threads.to_string());
            Some(Worker::start("Python", &mut command)?)
        }
        None => {
            output!("no Python with {}: segad only", PACKAGES.join(", "));
            None
        }
    };
    let mut times = Times::default();
    for round in 0..options.rounds {
        tell!("round {} of {}", round + 1, options.rounds);
        for model in &options.models {
            ask_all(model, &options, &mut ours, others.as_mut(), &mut times)?;
        }
    }
    print_tables(&options, &times);
    Ok(exit::OK)
}

/// Has every program do every pass of a model once.
fn ask_all(
    model: &str,
    options: &Options,
    ours: &mut Worker,
    others: Option<&mut Worker>,
    times: &mut Times,
) -> Result<(), XtaskError> {
    for precision in ["f32", "bf16"] {
        let answer = ours.ask(&format!("{precision} {model}"))?;
        times.add(&format!("segad {precision}"), model, answer);
    }
    // PatchCore has no training steps to compare.
    let trains = model != "patchcore" && options.train;
    if model == "patchcore" {
        // How much the bounds save depends on the features, and these are not those of a trained
        // network.
        let answer = ours.ask("products patchcore")?;
        times.add("segad f32, no bounds", model, answer);
    }
    let step = format!("train {model}");
    if trains {
        times.add("segad, training step", model, ours.ask(&step)?);
    }
    let Some(others) = others else {
        return Ok(());
    };
    for engine in OTHERS {
        let answer = others.ask(&format!("{engine} {model}"))?;
        times.add(engine, model, answer);
    }
    if trains {
        times.add("torch, training step", model, others.ask(&step)?);
    }
    Ok(())
}

fn print_tables(options: &Options, times: &Times) {
    let what = "images, or training steps";
    let how = format!(
        "batch {}, {} threads, medians of {} rounds",
        options.batch, options.threads, options.rounds
    );
    output!(
        "{what}, per second; {how}\n{}",
        times.table(options, |s| s.0)
    );
    // The fairer measure where other work shares the processor.
    if times.have_processor_time() {
        output!(
            "{what}, per second of processor time; {how}\n{}",
            times.table(options, |s| s.1)
        );
    }
    for line in times.failures().lines() {
        output!("{line}");
    }
}

pub(crate) struct Options {
    threads: usize,
    batch: usize,
    rounds: usize,
    models: Vec<String>,
    train: bool,
}

impl Options {
    fn parse(arguments: &[OsString]) -> Result<Self, XtaskError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            threads,
            batch: 4,
            rounds: 5,
            models: MODELS.map(str::to_owned).to_vec(),
            train: true,
        };
        let mut words = arguments.iter().map(|word| word.to_str());
        while let Some(word) = words.next() {
            match word {
                Some("--threads") => options.threads = positive(words.next())?,
                Some("--batch") => options.batch = positive(words.next())?,
                Some("--rounds") => options.rounds = positive(words.next())?,
                Some("--only") => {
                    let list = words.next().flatten().ok_or_else(usage)?;
                    options.models = list.split(',').map(str::to_owned).collect();
                }
                Some("--no-train") => options.train = false,
                _ => return Err(usage()),
            }
        }
        if options.models.iter().any(|m| !MODELS.contains(&m.as_str())) {
            return Err(usage());
        }
        Ok(options)
    }
}

/// The value of an option, a whole number above 0.
fn positive(word: Option<Option<&str>>) -> Result<usize, XtaskError> {
    let number = word.flatten().and_then(|text| text.parse().ok());
    number.filter(|&n| n > 0).ok_or_else(usage)
}

fn usage() -> XtaskError {
    XtaskError::Usage(format!(
        "bench detectors takes --threads N, --batch N, --rounds N, --only A,B (of {}) and --no-train",
        MODELS.join(", ")
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn options(words: &[&str]) -> Result<Options, XtaskError> {
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
}
