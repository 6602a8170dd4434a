//! Watched folders: nothing is lost and nothing is repeated, whatever becomes of files.

use crate::product::{fitted, plate};
use crate::support::{Place, expect};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than anything that is waited for.
const LONG: Duration = Duration::from_secs(30);
/// Several looks of the watch.
const LOOKS: Duration = Duration::from_millis(1200);

struct Watch {
    child: Child,
    records: Receiver<Value>,
}

impl Watch {
    fn start(place: &Place, more: &[&str]) -> Self {
        let [model, folder] = ["model.segad", "in"].map(|p| place.path(p));
        let mut command = place.segad(&["inspect", "--json", "--watch", "--threads", "1"]);
        command.arg(model).arg(folder).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, records) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                send.send(serde_json::from_str(&line).unwrap()).unwrap();
            }
        });
        Self { child, records }
    }

    /// The next record, of this file: its verdict, or its error.
    #[track_caller]
    fn next(&self, name: &str) -> String {
        let record = self.records.recv_timeout(LONG).unwrap();
        assert!(
            record["path"].as_str().unwrap().ends_with(name),
            "{name}: {record}"
        );
        let text = record["verdict"].as_str().or(record["error"].as_str());
        text.unwrap().to_owned()
    }

    #[track_caller]
    fn nothing(&self) {
        let record = self.records.recv_timeout(LOOKS);
        assert!(record.is_err(), "{record:?}");
    }

    /// Ctrl-C: the exit code and the account.
    fn stop(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-INT", &id]).status();
        assert!(kill.unwrap().success());
        let code = self.child.wait().unwrap().code().unwrap();
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (code, said.lines().last().unwrap_or_default().to_owned())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watch_remembers_contents() {
    let place = fitted();
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(place.path("in").join(name), bytes).unwrap();
    std::fs::create_dir_all(place.path("in")).unwrap();
    write("latest.png", &plate(0, false));
    let watch = Watch::start(&place, &[]);
    watch.next("latest.png");

    // Written again: judged again. The same again: not.
    write("latest.png", &plate(3, true));
    watch.next("latest.png");
    write("latest.png", &plate(3, true));
    watch.nothing();

    // A copy that stalls, and one that never comes to its end.
    let whole = plate(1, false);
    write("slow.png", &whole[..whole.len() / 2]);
    watch.nothing();
    write("slow.png", &whole);
    watch.next("slow.png");
    write("half.png", &whole[..whole.len() / 2]);
    let error = watch.next("half.png");
    assert!(error.contains("truncated"), "{error}");

    // Gone and come again: another photograph.
    std::fs::remove_file(place.path("in/latest.png")).unwrap();
    watch.nothing();
    write("latest.png", &plate(3, true));
    watch.next("latest.png");
    let (code, account) = watch.stop();
    assert_eq!(code, 1, "{account}");
    let expected = "5 seen: 4 judged, 1 refused, 0 left out";
    assert!(account.ends_with(expected), "{account}");

    // The next start knows all of it, judges what came meanwhile, and moves what it judged.
    write("new.png", &plate(2, false));
    write("latest.png", &plate(4, true));
    let [done, out] = ["done", "verdicts.jsonl"].map(|p| place.path(p).display().to_string());
    let watch = Watch::start(&place, &["--done", &done]);
    watch.next("latest.png");
    watch.next("new.png");
    watch.nothing();
    let (code, account) = watch.stop();
    assert_eq!(
        (code, account.as_str()),
        (0, "2 seen: 2 judged, 0 refused, 0 left out")
    );
    for name in ["latest.png", "new.png"] {
        assert!(!place.path("in").join(name).exists());
        assert!(place.path("done").join(name).exists());
    }
    // A later photograph of the same name replaces nothing, even if it is the same.
    write("new.png", &plate(2, false));
    let watch = Watch::start(&place, &["--done", &done]);
    watch.next("new.png");
    watch.nothing();
    drop(watch);
    assert!(place.path("done/new.1.png").exists());

    // From another start, and added to what is in the file.
    for _ in 0..2 {
        let watch = Watch::start(
            &place,
            &["--since", "all", "--patience", "1s", "--out", &out],
        );
        let lines = || {
            std::fs::read_to_string(&out)
                .unwrap_or_default()
                .lines()
                .count()
        };
        let before = lines();
        while lines() < before + 2 {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(
            watch
                .stop()
                .1
                .ends_with("2 seen: 1 judged, 1 refused, 0 left out")
        );
    }
    let watch = Watch::start(&place, &["--since", "now"]);
    watch.nothing();
    write("after.png", &plate(5, false));
    watch.next("after.png");
    let (code, account) = watch.stop();
    let expected = "3 seen: 1 judged, 0 refused, 2 left out (older than --since)";
    assert_eq!((code, account.as_str()), (0, expected));
}

#[test]
fn what_a_watch_cannot_do_is_said_first() {
    let place = fitted();
    let [model, folder] = ["model.segad", "plates"].map(|p| place.path(p).display().to_string());
    let refuse = |more: &[&str], text: &str| {
        let mut command = place.segad(&["inspect", &model, &folder, "--watch"]);
        command.args(more);
        let message = expect(command, 3);
        assert!(message.contains(text), "{message}");
    };
    let inside = format!("{folder}/good/done");
    refuse(&["--done", &inside], "--done = ");
    refuse(&["--out", "verdicts.parquet"], ".jsonl or .csv");
}
