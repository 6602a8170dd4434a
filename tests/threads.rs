//! Every detector and classifier of the registry, from the command line: results do not depend on
//! the number of threads, nor on how many processes share the work.

use crate::support::{Place, expect, root, stderr};
use segad_core::Key;
use segad_methods::{CLASSIFIERS, DETECTORS};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use toml::{Table, Value};

/// An experiment with a row for each method, in the sizes of the smoke profiles.
fn every_method() -> String {
    let profile = root().join("experiments/profiles/miniature.toml");
    let profile: Table = toml::from_str(&std::fs::read_to_string(profile).unwrap()).unwrap();
    let mut experiment: Table = toml::from_str(
        r#"
        title = "Every method"
        dataset = "mvtec"
        classes = ["carpet"]
        protocol = "mvtec-supervised-20"
        seeds = [333]
        "#,
    )
    .unwrap();
    let mut rows = Vec::new();
    let detectors = DETECTORS.iter().map(|d| ("detectors", d.kind()));
    let classifiers = CLASSIFIERS.iter().map(|c| ("classifiers", c.kind()));
    for (sort, kind) in detectors.chain(classifiers) {
        let settings = profile[sort].get(kind);
        let settings = settings.unwrap_or_else(|| {
            panic!("experiments/profiles/miniature.toml needs a table {sort}.{kind}")
        });
        let part = experiment.entry(sort).or_insert(Value::Table(Table::new()));
        let part = part.as_table_mut().unwrap();
        part.insert(kind.to_owned(), settings.clone());
        let row = match sort {
            "detectors" => format!("name = '{kind}'\ndetectors = ['{kind}']\nhead = 'max'"),
            _ => format!("name = '{kind}'\nclassifier = '{kind}'\nhead = 'classifier'"),
        };
        rows.push(Value::Table(toml::from_str(&row).unwrap()));
    }
    experiment.insert("row".to_owned(), Value::Array(rows));
    experiment.to_string()
}

/// Digests of all files of a store but of the accounts of how they came about.
fn content(folder: &Path) -> BTreeMap<String, Key> {
    let mut open = vec![folder.join("v1")];
    let mut found = BTreeMap::new();
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("meta.json") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, Key::of_bytes(&std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// `segad sweep` of every method.
fn sweep(place: &Place, store: &str, threads: &str) -> Command {
    let file = place.path("every.toml");
    std::fs::write(&file, every_method()).unwrap();
    let mut command = place.segad(&["sweep", file.to_str().unwrap(), "--data", "mini"]);
    command.args(["--threads", threads]);
    command.args(["--store", place.path(store).to_str().unwrap()]);
    command.args([
        "--out",
        place.path(&format!("out-{store}")).to_str().unwrap(),
    ]);
    command
}

fn assert_same(one: &BTreeMap<String, Key>, other: &BTreeMap<String, Key>) {
    let differ = other
        .iter()
        .filter(|(name, key)| one.get(*name) != Some(key));
    assert_eq!(differ.map(|(name, _)| name).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(other.len(), one.len());
}

#[test]
fn no_method_depends_on_the_number_of_threads() {
    let place = Place::bare();
    let contents = ["1", "2", "3"].map(|threads| {
        let store = format!("store{threads}");
        expect(sweep(&place, &store, threads), 0);
        content(&place.path(&store))
    });
    let kinds = DETECTORS.len() + CLASSIFIERS.len();
    let models = contents[0]
        .keys()
        .filter(|n| n.ends_with("model.safetensors"));
    assert_eq!(models.count(), kinds, "{:?}", contents[0].keys());
    assert_same(&contents[0], &contents[1]);
    assert_same(&contents[0], &contents[2]);
}

/// A run says how many cells it computed, how many others did, and how many were there.
fn counts(text: &str) -> [usize; 3] {
    let line = text
        .lines()
        .find(|l| l.contains(" cells computed"))
        .unwrap();
    ["cells computed", "by others", "from the store"].map(|what| {
        let Some((before, _)) = line.split_once(&format!(" {what}")) else {
            return 0;
        };
        before.rsplit(' ').next().unwrap().parse().unwrap()
    })
}

/// Starts workers of one thread each on one store.
fn workers(place: &Place, store: &str, count: usize) -> Vec<Child> {
    (0..count)
        .map(|_| {
            let mut command = sweep(place, store, "1");
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect()
}

#[test]
fn processes_share_the_work() {
    let place = Place::bare();
    let [all, ..] = counts(&expect(sweep(&place, "alone", "1"), 0));
    let alone = content(&place.path("alone"));
    for processes in [2, 4] {
        let store = format!("by{processes}");
        let mut computed = Vec::new();
        for child in workers(&place, &store, processes) {
            let output = child.wait_with_output().unwrap();
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(0), "{text}");
            let [here, others, stored] = counts(&text);
            assert_eq!(here + others + stored, all, "{text}");
            computed.push(here);
        }
        // Each cell is computed once and reported once, and none did it all.
        assert_eq!(computed.iter().sum::<usize>(), all, "{computed:?}");
        assert!(
            computed.iter().filter(|&&n| n > 0).count() > 1,
            "{computed:?}"
        );
        assert_same(&alone, &content(&place.path(&store)));
    }
}

#[test]
fn the_work_of_a_killed_process_is_taken_over() {
    let place = Place::bare();
    expect(sweep(&place, "alone", "1"), 0);
    let mut children = workers(&place, "killed", 4);
    // Killed with a lease in its hands, so that the others must take one over.
    let leases = place.path("killed/v1/lease");
    let mut victim = children.remove(0);
    let of_victim = format!("\"pid\":{}", victim.id());
    while !holds(&leases, &of_victim) {
        assert!(victim.try_wait().unwrap().is_none(), "ended without a cell");
        sleep(Duration::from_millis(5));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let [alone, killed] = ["alone", "killed"].map(|store| content(&place.path(store)));
    assert_same(&alone, &killed);
}

/// Whether any lease in the folder has this in it.
fn holds(leases: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(leases) else {
        return false;
    };
    // A lease may be gone before it is read.
    let texts = entries.filter_map(|e| std::fs::read_to_string(e.ok()?.path()).ok());
    texts.into_iter().any(|content| content.contains(text))
}

/// What `segad plan --json` says of every cell.
fn plan(place: &Place, store: &str) -> Vec<serde_json::Value> {
    let mut command = place.segad(&["plan", place.path("every.toml").to_str().unwrap(), "--json"]);
    command.args([
        "--data",
        "mini",
        "--store",
        place.path(store).to_str().unwrap(),
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["cells"].as_array().unwrap().clone()
}

/// `segad cell` of these keys.
fn cell(place: &Place, keys: &[&str]) -> Command {
    let mut command = place.segad(&["cell", place.path("every.toml").to_str().unwrap()]);
    command
        .args(keys)
        .args(["--data", "mini", "--threads", "1"]);
    command.args(["--store", place.path("cells").to_str().unwrap()]);
    command
}

#[test]
fn cells_are_computed_one_by_one_in_the_order_of_their_needs() {
    let place = Place::bare();
    expect(sweep(&place, "alone", "2"), 0);
    let cells = plan(&place, "cells");
    // What is needed by nothing is a result; one of a detector pulls in its maps and its fit.
    let result = cells
        .iter()
        .find(|c| c["kind"] == "evaluate" && c["what"] == "patchcore");
    let result = result.unwrap()["key"].as_str().unwrap();
    let said = expect(cell(&place, &[result]), 0);
    assert_eq!(counts(&said), [3, 0, 0], "{said}");
    let again = expect(cell(&place, &[&result[..12]]), 0);
    assert_eq!(counts(&again), [0, 0, 3], "{again}");
    for planned in cells.iter().filter(|c| c["state"] == "miss") {
        assert_eq!(
            (&planned["device"], &planned["threads"]),
            (&"cpu".into(), &1.into())
        );
        let first = ["fit", "embed"].contains(&planned["kind"].as_str().unwrap());
        assert!(first || !planned["needs"].as_array().unwrap().is_empty());
    }
    let missing: Vec<&str> = cells.iter().map(|c| c["key"].as_str().unwrap()).collect();
    expect(cell(&place, &missing), 0);
    assert!(plan(&place, "cells").iter().all(|c| c["state"] == "hit"));
    assert_same(
        &content(&place.path("alone")),
        &content(&place.path("cells")),
    );
    assert!(!place.path("cells-out").exists());
    let unknown = expect(cell(&place, &["0123456789"]), 4);
    assert!(unknown.contains("has no such cell"), "{unknown}");
}
