//! Networks and trees as ONNX, each compared with the model through ONNX Runtime, and networks
//! through OpenVINO too where it is installed.

use super::super::fit::failure;
use super::{differs, refuse};
use segad_args::Export;
use segad_core::Image;
use segad_product::{Converted, Inspector};
use segad_runner::Failure;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Reads input after input as `f32`, and writes the outputs, each after its number of values.
const RUN: &str = include_str!("run.py");
const ONNX_RUNTIME: &str = "onnxruntime";
const OPENVINO: &str = "openvino";

/// Writes everything; returns how far each file is from the model.
pub(super) fn write(
    args: &Export,
    inspector: &Inspector,
    samples: &[Image],
) -> Result<String, Failure> {
    let recording = args.out.join("recording.pt");
    let converted = inspector.export_onnx(samples, &recording);
    segad_files::remove(&recording)?;
    let converted = converted.map_err(failure)?;
    let has_openvino = has(&args.python, OPENVINO);
    let mut text = String::new();
    for one in &converted {
        let file = format!("{}.onnx", one.name);
        let path = args.out.join(&file);
        segad_files::write_atomic(&path, &one.file)?;
        // OpenVINO runs no trees.
        let runtimes = match has_openvino && !one.is_trees {
            true => &[ONNX_RUNTIME, OPENVINO][..],
            false => &[ONNX_RUNTIME],
        };
        for runtime in runtimes {
            let apart = one.apart(&run(&args.python, runtime, &path, one)?);
            text.push_str(&differs(
                &format!("{file}, {runtime}"),
                apart,
                samples.len(),
            ));
            refuse(args, &file, apart)?;
        }
    }
    if !has_openvino {
        text.push_str("openvino is not installed in this Python: not compared\n");
    }
    Ok(text)
}

/// Whether this Python has a package.
fn has(python: &Path, package: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", &format!("import {package}")]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a runtime makes of the inputs.
fn run(
    python: &Path,
    runtime: &str,
    file: &Path,
    one: &Converted,
) -> Result<Vec<Vec<f32>>, Failure> {
    let wrong = |why: &str| {
        Failure::Configuration(format!(
            "--python = {}: expected a Python with the package {runtime} (pip install {runtime}), \
             which compares what is exported with the model; {why}",
            python.display()
        ))
    };
    let child = Command::new(python)
        .args(["-c", RUN, runtime])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|e| wrong(&e.to_string()))?;
    // By a thread, as the answer may fill its pipe before the question is all out.
    let bytes: Vec<u8> = one
        .inputs
        .concat()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let stdin = child.stdin.take();
    let writer = std::thread::spawn(move || stdin.map(|mut to| to.write_all(&bytes)));
    let output = child.wait_with_output()?;
    // A program that has ended early says why on its standard error.
    let _ = writer.join();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(wrong(said.lines().last().unwrap_or("it said nothing")));
    }
    let mut rest = &output.stdout[..];
    let mut outputs = Vec::new();
    while let Some((count, tail)) = rest.split_first_chunk::<8>() {
        let bytes = (u64::from_le_bytes(*count) as usize).saturating_mul(4);
        let (values, tail) = tail.split_at_checked(bytes).unwrap_or((tail, &[]));
        rest = tail;
        let (values, _) = values.as_chunks::<4>();
        outputs.push(values.iter().map(|v| f32::from_le_bytes(*v)).collect());
    }
    Ok(outputs)
}
