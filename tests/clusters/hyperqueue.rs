//! HyperQueue by its Python package, whose cluster runs in one process; `tests/fixtures/hq.py` stands
//! in for the program `hq`, which the package does not have.

use super::{not_run, same_as_one_process, table};
use crate::support::{Place, root};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A Python with the package: the one that `cargo xtask test` sets up, or else the user's.
fn python() -> Option<String> {
    let python = std::env::var("SEGAD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python)
        .args(["-c", "import hyperqueue, tomllib"])
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

struct Cluster {
    server: Child,
    folder: PathBuf,
    path: String,
}

impl Cluster {
    fn start(place: &Place, python: &str) -> Self {
        let script = root().join("tests/fixtures/hq.py");
        let [folder, bin] = ["hq", "bin"].map(|name| place.path(name));
        std::fs::create_dir(&bin).unwrap();
        let program = format!("#!/bin/sh\nexec {python} {} \"$@\"\n", script.display());
        std::fs::write(bin.join("hq"), program).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join("hq"), executable).unwrap();
        let mut server = Command::new(python)
            .arg(script)
            .args(["serve", folder.to_str().unwrap(), "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
        let path = std::env::var("PATH").unwrap();
        Self {
            server,
            folder,
            path: format!("{}:{path}", bin.display()),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It stops with its input.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

#[test]
fn tasks_of_hyperqueue_leave_the_same_bytes() {
    let Some(python) = python() else {
        not_run("no Python with hyperqueue here");
        return;
    };
    let place = Place::bare();
    let cluster = Cluster::start(&place, &python);
    same_as_one_process(&place, |out| {
        let mut command = table(&place, out, &["--executor", "hq"]);
        command
            .env("PATH", &cluster.path)
            .env("HQ_SERVER_DIR", &cluster.folder);
        command
    });
}
