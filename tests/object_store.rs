//! The result store in a bucket: workers that are killed, services that refuse, secrets.

#[path = "../crates/store/tests/support/service.rs"]
#[allow(dead_code, reason = "shared with the store's own tests")]
mod service;

use crate::support::{Place, expect, stderr};
use service::{BUCKET, Fault, S3};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const STORE: &str = "s3://results/demo";

fn worker(place: &Place, s3: &S3, out: &str) -> Command {
    let mut command = place.demo(out, &["--store", STORE]);
    command.envs(s3.environment());
    command
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let tree = segad_files::walk(dir).unwrap();
    tree.files
        .into_iter()
        .chain(tree.hidden)
        .filter(|p| p.is_file())
        .collect()
}

#[test]
fn workers_that_are_killed_leave_what_one_undisturbed_run_leaves() {
    let place = Place::new();
    expect(place.demo("whole", &[]), 0);
    let s3 = S3::start(&place.path("service"));
    let spawn = |n: usize| -> Child {
        let mut command = worker(&place, &s3, &format!("out-{n}"));
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut workers: Vec<Child> = (0..4).map(spawn).collect();
    let kills = 8;
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(700));
        let n = kill % workers.len();
        let _ = workers[n].kill();
        workers[n].wait().unwrap();
        workers[n] = spawn(n);
    }
    for mut worker in workers {
        assert_eq!(worker.wait().unwrap().code(), Some(0));
    }
    for n in 0..4 {
        assert_eq!(place.results("whole"), place.results(&format!("out-{n}")));
    }
    // Each draft is the work of one cell: at most one more for each kill.
    let v1 = s3.data.join(BUCKET).join("demo/v1");
    let drafts = std::fs::read_dir(v1.join("data")).unwrap().count();
    let marks = files_below(&v1)
        .iter()
        .filter(|p| p.ends_with("meta.json"))
        .count();
    assert!(
        marks > 5 && drafts <= marks + kills,
        "{marks} cells, {drafts} drafts"
    );
    let mut verify = place.segad(&["store", "verify", "--store", STORE]);
    verify.envs(s3.environment());
    expect(verify, 0);
}

#[test]
fn credentials_are_written_nowhere() {
    let place = Place::new();
    let s3 = S3::start(&place.path("service"));
    let mut run = worker(&place, &s3, "out");
    let output = run.env("RUST_LOG", "trace").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let secret = &s3.environment()["AWS_SECRET_ACCESS_KEY"];
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
    assert!(!holds(&output.stderr) && !holds(&output.stdout));
    for file in files_below(&place.path("")) {
        assert!(!holds(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
}

#[test]
fn a_store_that_cannot_be_used_ends_the_command_with_the_reason() {
    let place = Place::new();
    let s3 = S3::start(&place.path("service"));
    for (store, fault, code, reason) in [
        ("s3://no-such-bucket/x", None, 5, "there is no such bucket"),
        ("s3:/results", None, 3, "--store = s3:/results: expected "),
        (
            STORE,
            Some(Fault::Always(403, "AccessDenied")),
            7,
            "do not permit it",
        ),
        (
            STORE,
            Some(Fault::Always(403, "RequestTimeTooSkewed")),
            7,
            "set the clock",
        ),
        (STORE, Some(Fault::Always(503, "SlowDown")), 7, "503"),
        (
            STORE,
            Some(Fault::Ignores("if-match")),
            3,
            "ignores `If-Match`",
        ),
    ] {
        s3.misbehave(usize::from(fault.is_some()), fault.as_slice());
        let mut run = place.demo("out", &["--store", store]);
        let output = run.envs(s3.environment()).output().unwrap();
        let text = stderr(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{store} {fault:?}: {text}"
        );
        assert!(text.contains(reason), "{store} {fault:?}: {text}");
    }
}
