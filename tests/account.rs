//! Whatever a person points at is accounted for: seen = judged + refused + left out.

use crate::serve::Served;
use crate::support::Place;
use crate::tree::{Fate, Tree, photo};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No run may take longer.
const LIMIT: Duration = Duration::from_secs(120);
/// No run may take more memory, in kiB.
const MEMORY: u64 = 1 << 20;

/// What a command did.
struct Ran {
    code: i32,
    records: Vec<Value>,
    stderr: String,
}

/// The numbers of an account.
#[derive(Debug, PartialEq)]
struct Account {
    seen: usize,
    done: usize,
    refused: usize,
    left_out: usize,
}

impl Ran {
    /// The account on the last line. It adds up, or this panics.
    fn account(&self) -> Account {
        account(&self.stderr)
    }
}

fn account(stderr: &str) -> Account {
    let last = stderr.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split(' ').collect();
    let before = |word: &str| {
        let at = words.iter().rposition(|w| *w == word);
        let at = at.unwrap_or_else(|| panic!("{word} is not in {last:?}"));
        words[at - 1]
            .trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap_or_else(|e| panic!("{word}: {e}: {last:?}"))
    };
    let done = ["judged,", "usable,", "fitted"]
        .iter()
        .find(|w| words.contains(w))
        .unwrap();
    let account = Account {
        seen: before("seen:"),
        done: before(done),
        refused: before("refused,"),
        left_out: before("left"),
    };
    assert_eq!(
        account.seen,
        account.done + account.refused + account.left_out,
        "{last}"
    );
    account
}

/// The most memory that a process has held, in kiB, while it runs.
fn peak_memory(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let peak = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// Waits for a process, within limits of time and memory.
fn wait(mut child: Child) -> i32 {
    let start = Instant::now();
    loop {
        let peak = peak_memory(child.id());
        assert!(peak.is_none_or(|peak| peak < MEMORY), "{peak:?} kB");
        if let Some(ended) = child.try_wait().unwrap() {
            return ended.code().unwrap_or(-1);
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn read_all(source: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    let mut source = source;
    thread::spawn(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

fn run(mut command: Command, input: Vec<u8>) -> Ran {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input closes the pipe.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let code = wait(child);
    writer.join().unwrap();
    Ran {
        code,
        records: stdout
            .join()
            .unwrap()
            .lines()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect(),
        stderr: stderr.join().unwrap(),
    }
}

/// Files that come, grow and go while others are read.
struct Unrest {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Unrest {
    fn start(folder: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let folder = folder.to_owned();
        std::fs::create_dir_all(&folder).unwrap();
        let growing = folder.join("growing.png");
        let half = photo(9);
        std::fs::write(&growing, &half[..half.len() / 2]).unwrap();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut file = std::fs::File::options().append(true).open(growing).unwrap();
            let mut n = 0;
            while !stopped.load(Ordering::Relaxed) {
                file.write_all(&[0; 64]).unwrap();
                std::fs::write(folder.join(format!("{}.png", n % 7)), photo(n % 50)).unwrap();
                let _ = std::fs::remove_file(folder.join(format!("{}.png", (n + 4) % 7)));
                n += 1;
                thread::sleep(Duration::from_millis(3));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Unrest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Each file of the tree has exactly one record, which says what it should.
fn check_records(tree: &Tree, ran: &Ran, unrest: &Path) {
    let mut fates: HashMap<String, Vec<Fate>> = HashMap::new();
    for record in &ran.records {
        let fate = match (record["verdict"].is_string(), record["error"].is_string()) {
            (true, false) => Fate::Judged,
            (false, true) => Fate::Refused,
            _ => panic!("{record}"),
        };
        let path = record["path"].as_str().unwrap().to_owned();
        fates.entry(path).or_default().push(fate);
    }
    let prefix = unrest.display().to_string();
    for (path, fate) in &tree.files {
        let name = path.display().to_string();
        assert_eq!(
            fates.remove(&name),
            Some(vec![*fate]),
            "{name}: {}",
            ran.stderr
        );
    }
    // Whatever else has a record came and went meanwhile.
    assert!(
        fates.keys().all(|name| name.starts_with(&prefix)),
        "{fates:?}"
    );
}

/// A model of small images by a small network, and the tree.
fn planted() -> (Place, PathBuf, Tree) {
    let place = Place::new();
    crate::product::product(&place.path("plates"));
    let plates = place.path("plates");
    let model = place.path("model.segad");
    let fit = run(fit(&place, &plates, &model), Vec::new());
    assert_eq!(fit.code, 0, "{}", fit.stderr);
    assert_eq!(fit.account().done, 18);
    // A label's folder at the same time, for `fit`.
    let tree = Tree::grow(&place.path("product/good"));
    assert!(
        tree.kinds >= 60 && tree.files.len() >= 400,
        "{} {}",
        tree.kinds,
        tree.files.len()
    );
    (place, model, tree)
}

fn fit(place: &Place, data: &Path, out: &Path) -> Command {
    let mut command = place.segad(&["fit", "--backbone", "resnet18", "--image-size", "64"]);
    command.args([
        "--segments",
        "whole",
        "--folds",
        "2",
        "--threads",
        "2",
        "--out",
    ]);
    command.arg(out).arg(data);
    command
}

fn inspect(place: &Place, model: &Path, more: &[&str]) -> Command {
    let mut command = place.segad(&["inspect", "--json", "--threads", "2"]);
    command.arg(model).args(more);
    command
}

#[test]
fn every_input_is_accounted_for() {
    let (place, model, tree) = planted();
    let unrest = tree.root.join("unrest");
    let folder = tree.root.to_str().unwrap();
    {
        let _unrest = Unrest::start(&unrest);
        let ran = run(inspect(&place, &model, &[folder]), Vec::new());
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        check_records(&tree, &ran, &unrest);
        let Account {
            done,
            refused,
            left_out,
            ..
        } = ran.account();
        assert_eq!(done + refused, ran.records.len());
        assert_eq!(left_out, tree.hidden + tree.links);
        watch(&place, &model, &tree, &unrest);
    }
    std::fs::remove_dir_all(&unrest).unwrap();
    list(&place, &model, &tree, &unrest);
    frames(&place, &model, &tree);
    fit_on_the_tree(&place, &tree);
    serve(&place, &model, &tree);
}

/// Twice: the second start has nothing to repeat.
fn watch(place: &Place, model: &Path, tree: &Tree, unrest: &Path) {
    let folder = tree.root.to_str().unwrap();
    let mut all = Vec::new();
    for start in 0..2 {
        let late = unrest.join("late.png");
        if start == 1 {
            std::fs::write(&late, photo(3)).unwrap();
        }
        let mut command = inspect(place, model, &[folder, "--watch", "--patience", "1s"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = read_all(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let expected = tree.files.len();
        let reader = thread::spawn(move || {
            let mut records = Vec::new();
            let mut settled = 0;
            let id = child.id().to_string();
            let waiter = thread::spawn(move || wait(child));
            // The second time, one new file shows that the folder was looked at.
            let mut is_stopped = false;
            for line in lines.by_ref() {
                let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let path = record["path"].as_str().unwrap();
                settled += usize::from(!path.contains("/unrest/"));
                let is_late = path.ends_with("/late.png");
                records.push(record);
                if !is_stopped && (settled == expected || is_late) {
                    is_stopped = true;
                    let kill = Command::new("kill").args(["-INT", &id]).status();
                    assert!(kill.unwrap().success());
                }
            }
            (waiter.join().unwrap(), records)
        });
        let (code, records) = reader.join().unwrap();
        let ran = Ran {
            code,
            records,
            stderr: stderr.join().unwrap(),
        };
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let Account {
            done,
            refused,
            left_out,
            ..
        } = ran.account();
        assert_eq!(done + refused, ran.records.len());
        assert_eq!(left_out, tree.hidden + tree.links);
        // The journal knows a file by its size and times. A link to nothing has none, so each start
        // refuses it anew.
        let is_known = |record: &Value| {
            let path = record["path"].as_str().unwrap_or_default();
            start == 0 || std::fs::metadata(path).is_ok()
        };
        all.extend(ran.records.into_iter().filter(is_known));
    }
    let all = Ran {
        code: 1,
        records: all,
        stderr: String::new(),
    };
    check_records(tree, &all, unrest);
}

/// Every path of the tree, one per line; hidden files are meant if they are named.
fn list(place: &Place, model: &Path, tree: &Tree, unrest: &Path) {
    let mut input = Vec::new();
    // A line break cannot be in a list of lines.
    let listed = tree
        .files
        .iter()
        .filter(|(p, _)| !p.as_os_str().as_bytes().contains(&b'\n'));
    let listed: BTreeMap<PathBuf, Fate> = listed.map(|(p, f)| (p.clone(), *f)).collect();
    for path in listed.keys() {
        input.extend_from_slice(path.as_os_str().as_bytes());
        input.push(b'\n');
    }
    let ran = run(inspect(place, model, &["-"]), input);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let account = ran.account();
    assert_eq!((account.seen, account.left_out), (listed.len(), 0));
    let tree = Tree {
        root: tree.root.clone(),
        files: listed,
        ..*tree
    };
    check_records(&tree, &ran, unrest);
}

/// Pictures one behind the other, with and without damage.
fn frames(place: &Place, model: &Path, tree: &Tree) {
    let stream: Vec<Vec<u8>> = (tree.files.iter())
        .filter(|(path, _)| path.starts_with(tree.root.join("images")))
        .map(|(path, _)| std::fs::read(path).unwrap())
        .collect();
    let images = stream.len();
    let garbage = b"garbage".to_vec();
    let half = photo(5)[..100].to_vec();
    let ran = run(
        inspect(place, model, &["-"]),
        [stream.concat(), garbage, half].concat(),
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let expected = Account {
        seen: images + 2,
        done: images,
        refused: 2,
        left_out: 0,
    };
    assert_eq!(ran.account(), expected, "{}", ran.stderr);
    assert_eq!(ran.records.len(), images + 2);
    // Pictures that a stream cannot be cut into are not taken for paths.
    for stream in [
        &b"II*\0\x08\0\0\0\n\0\0\0"[..],
        b"GIF89a\x01\0\x01\0\0\0\0;\n\n;",
    ] {
        let ran = run(inspect(place, model, &["-"]), stream.to_vec());
        assert_eq!((ran.code, ran.account().seen), (1, 1), "{}", ran.stderr);
        let error = ran.records[0]["error"].as_str().unwrap();
        assert!(error.contains("expected PNG or JPEG"), "{error}");
    }
}

fn fit_on_the_tree(place: &Place, tree: &Tree) {
    let product = place.path("product");
    let bad = product.join("bad/scratch");
    std::fs::create_dir_all(&bad).unwrap();
    for n in 0..4 {
        std::fs::write(bad.join(format!("{n}.png")), crate::product::plate(n, true)).unwrap();
    }
    let out = place.path("tree.segad");
    let ran = run(fit(place, &product, &out), Vec::new());
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    // Ids are text without back-slashes, so these two photographs are refused here.
    let unnameable = tree
        .files
        .keys()
        .filter(|p| p.to_str().is_none_or(|text| text.contains('\\')));
    let unnameable = unnameable.count();
    let expected = Account {
        seen: tree.files.len() + 4 + tree.hidden + tree.links + 1,
        done: tree.count(Fate::Judged) + 4 - unnameable,
        refused: tree.count(Fate::Refused) + unnameable,
        // The folder that the tree links to lies beside good/ and bad/.
        left_out: tree.hidden + tree.links + 1,
    };
    assert_eq!(ran.account(), expected, "{}", ran.stderr);
    let refused = expected.refused;
    assert!(
        ran.stderr.contains(&format!("… and {} more", refused - 10)),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("remove") && !out.exists());
}

/// Every file that fits a request.
fn serve(place: &Place, model: &Path, tree: &Tree) {
    let served = Served::start(place.segad(&["serve", model.to_str().unwrap(), "--threads", "1"]));
    let (mut judged, mut refused) = (0, 0);
    for (path, fate) in &tree.files {
        let is_small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() < 10 << 20);
        let Some(bytes) = is_small.then(|| std::fs::read(path).ok()).flatten() else {
            continue;
        };
        let (status, reply) = served.ask("POST", "/v1/inspect", &bytes);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        match fate {
            Fate::Judged => {
                assert_eq!(status, 200, "{}: {reply}", path.display());
                judged += 1;
            }
            Fate::Refused => {
                assert!(
                    status == 422 && reply.contains("message"),
                    "{}: {reply}",
                    path.display()
                );
                refused += 1;
            }
        }
    }
    assert!(judged > 200 && refused > 80, "{judged} {refused}");
    let metrics = String::from_utf8(served.ask("GET", "/metrics", b"").1).unwrap();
    for (outcome, n) in [("judged", judged), ("refused", refused)] {
        let line = format!("segad_images_total{{outcome=\"{outcome}\"}} {n}");
        assert!(metrics.lines().any(|l| l == line), "{line}");
    }
    let peak = peak_memory(served.id());
    assert!(peak.is_some_and(|peak| peak < MEMORY), "{peak:?} kB");
    let (code, stderr) = served.stop();
    assert_eq!(code, Some(0));
    let expected = Account {
        seen: judged + refused,
        done: judged,
        refused,
        left_out: 0,
    };
    assert_eq!(account(&stderr), expected);
}
