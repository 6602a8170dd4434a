//! Runs the binary in a folder of its own.

use segad_core::Key;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A temporary place with a cache, a store and an output folder.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// Feature taps of a network with random weights: enough for every code path, and quick.
pub(crate) const BACKBONE: &str = "detectors.patchcore.backbone=\"resnet18\"";

impl Place {
    /// An empty place.
    pub(crate) fn bare() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// An empty place whose cache has ResNet-18 with random weights.
    pub(crate) fn new() -> Self {
        let place = Self::bare();
        let weights = place.path("cache/weights");
        std::fs::create_dir_all(&weights).unwrap();
        let kind = segad_nn::BackboneKind::Resnet18;
        let random = segad_nn::Weights::random(kind, None, segad_core::Seed(1)).unwrap();
        std::fs::write(
            weights.join("resnet18.safetensors"),
            segad_nn::write_tensors(random.tensors()).unwrap(),
        )
        .unwrap();
        place
    }

    /// A path below the place.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// `segad ARGS` in the workspace's folder, with this place's cache.
    pub(crate) fn segad(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_segad"));
        command.args(args).current_dir(root()).stdin(Stdio::null());
        command
            .env("SEGAD_CACHE_DIR", self.path("cache"))
            .env("OMP_WAIT_POLICY", "PASSIVE");
        command.env_remove("SEGAD_STORE").env_remove("RUST_LOG");
        // As outside a working copy: reports name the commit, and somebody may commit between two
        // runs.
        command.env("GIT_DIR", self.path("no-git"));
        command
    }

    /// The demo on the shipped sample with random weights, writing to `out`.
    pub(crate) fn demo(&self, out: &str, more: &[&str]) -> Command {
        let out = self.path(out);
        let mut args = vec![
            "demo",
            "--profile",
            "smoke",
            "--data",
            "datasets/elpv-sample",
            "--set",
            BACKBONE,
        ];
        args.extend(["--out", out.to_str().unwrap()]);
        args.extend(more);
        self.segad(&args)
    }

    /// Digests of the files that must be the same in every run.
    pub(crate) fn results(&self, out: &str) -> BTreeMap<String, Key> {
        let names = [
            "metrics.csv",
            "report.html",
            "scores.csv",
            "table.csv",
            "table.json",
            "table.md",
            "table.tex",
        ];
        names
            .iter()
            .map(|n| {
                (
                    n.to_string(),
                    Key::of_bytes(&std::fs::read(self.path(out).join(n)).unwrap()),
                )
            })
            .collect()
    }
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must end with this exit code; gives its standard error.
#[track_caller]
pub(crate) fn expect(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{text}");
    text
}

/// Holds a text against `tests/snapshots/NAME.snap`.
pub(crate) fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
