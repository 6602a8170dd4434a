//! Commands that are passed on to the binary `segad`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use segad_provision::native::Native;

use crate::cargo;
use crate::error::XtaskError;
use crate::setup::{self, Context};

/// Data and weights that the demo needs.
const DEMO: [&str; 2] = ["elpv", "efficientnet-lite2"];

/// Weights that detectors of `fit` can use; the first is fetched if none is present.
const BACKBONES: [&str; 3] = ["efficientnet-lite2", "resnet18", "wide-resnet50-2"];

/// Weights of the patch tokens that `fit` makes further parts of.
const TOKENS: &str = "dinov2-vits14";

/// Sets up, fetches what the command needs, builds `segad` and becomes it: its exit code and
/// signals are this process's.
pub(crate) fn run(offline: bool, words: &[OsString]) -> Result<u8, XtaskError> {
    let context = Context::new(offline)?;
    let native = setup::run(&context)?;
    // Only these verbs start with weights that can be fetched without asking which.
    let has_verb = |verb: &str| {
        words
            .iter()
            .find(|w| !is_option(w))
            .is_some_and(|w| w == verb)
    };
    if has_verb("demo") {
        segad_fetch::run(&context.provisioner, &DEMO.map(str::to_owned), None)?;
    }
    if has_verb("fit") {
        let names_tokens = words
            .iter()
            .any(|w| w.to_string_lossy().starts_with("--tokens"));
        let lacking = lacking(&context, names_tokens);
        if !lacking.is_empty() {
            segad_fetch::run(&context.provisioner, &lacking, None)?;
        }
    }
    let binary = build(&context, &native)?;
    become_it(&binary, &native, words)
}

/// The weights that a fit lacks.
fn lacking(context: &Context, names_tokens: bool) -> Vec<String> {
    let is_present = |name: &&str| context.provisioner.cache.weights(name).exists();
    let mut lacking = Vec::new();
    // Any backbone's weights will do for a product; the first are the smallest.
    if !BACKBONES.iter().any(is_present) {
        lacking.push(BACKBONES[0].to_owned());
    }
    // `fit` says so where it does without tokens. Who names them gets them by `fetch`.
    if !names_tokens && !context.provisioner.offline && !is_present(&TOKENS) {
        lacking.push(TOKENS.to_owned());
    }
    lacking
}

fn is_option(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Builds `segad`, with cargo's own messages, and returns the path that cargo names.
pub(crate) fn build(context: &Context, native: &Native) -> Result<PathBuf, XtaskError> {
    build_target(context, native, DEV, ["segad-cli", "--bin", "segad"])
}

/// The profile of `cargo xtask` and the tests.
pub(crate) const DEV: &str = "dev";

/// Builds a target in a profile: its package, its kind as cargo's option, its name. Returns the
/// program, or a library's file.
pub(crate) fn build_target(
    context: &Context,
    native: &Native,
    profile: &str,
    [package, kind, name]: [&str; 3],
) -> Result<PathBuf, XtaskError> {
    let mut cargo = cargo::command(&context.root, Some(native));
    cargo
        .args(["build", "--profile", profile, "--package", package, kind])
        .args((kind != "--lib").then_some(name))
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    if context.provisioner.offline {
        cargo.arg("--offline");
    }
    let start = |source| XtaskError::Start {
        command: "cargo build".to_owned(),
        source,
    };
    let mut child = cargo.spawn().map_err(start)?;
    let mut binary = None;
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        // cargo says where it put the program; a target folder may be anywhere.
        binary = artifact(&line.map_err(start)?, name).or(binary);
    }
    let status = child.wait().map_err(start)?;
    match binary {
        Some(binary) if status.success() => Ok(binary),
        _ => Err(XtaskError::Build(format!(
            "building {name} failed ({status}); cargo's messages are above, and cargo xtask doctor checks this machine"
        ))),
    }
}

/// The path of a program or library, if this message of cargo is about it.
fn artifact(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == name).then_some(())?;
    message["executable"]
        .as_str()
        .or_else(|| message["filenames"].get(0)?.as_str())
        .map(PathBuf::from)
}

fn become_it(binary: &Path, native: &Native, words: &[OsString]) -> Result<u8, XtaskError> {
    let mut command = Command::new(binary);
    command.args(words);
    // cargo may have given this process the values of an older settings file.
    for (name, place) in native.variables() {
        command.env(name, &place.folder);
    }
    let start = |source| XtaskError::Start {
        command: binary.display().to_string(),
        source,
    };
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        Err(start(command.exec()))
    }
    #[cfg(not(unix))]
    {
        let status = command.status().map_err(start)?;
        Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_in_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"segad"},"executable":"/t/debug/segad"}"#;
        assert_eq!(
            artifact(message, "segad"),
            Some(PathBuf::from("/t/debug/segad"))
        );
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"segad"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "no json",
        ] {
            assert_eq!(artifact(other, "segad"), None);
        }
    }
}
