//! Checks docs/architecture.md against the workspace.

use crate::support::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate of this workspace.
struct Package {
    name: String,
    folder: PathBuf,
    /// What it needs to run: neither what only its tests nor what only its build script needs.
    direct: BTreeSet<String>,
}

/// The crates of this workspace, by their manifests alone. With the resolved graph, cargo would ask
/// for the crates of every platform, which a new machine has not downloaded.
fn members() -> Vec<Package> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(Package::read).collect()
}

impl Package {
    fn read(package: &serde_json::Value) -> Self {
        let dependencies = package["dependencies"].as_array().unwrap();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        Self {
            name: package["name"].as_str().unwrap().to_owned(),
            folder: manifest.parent().unwrap().to_owned(),
            direct: dependencies
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(|d| d["name"].as_str().unwrap().to_owned())
                .collect(),
        }
    }
}

/// What each package in Cargo.lock depends on, on any platform. Versions are merged, which can only
/// make a rule stricter.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = text.parse().unwrap();
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let needs = all
            .entry(package["name"].as_str().unwrap().to_owned())
            .or_default();
        let listed = package.get("dependencies").and_then(toml::Value::as_array);
        for dependency in listed.into_iter().flatten() {
            // "name", or "name version" where there are several.
            let name = dependency.as_str().unwrap().split(' ').next().unwrap();
            needs.insert(name.to_owned());
        }
    }
    all
}

/// Names of all packages that each workspace member needs, directly or not.
fn needs() -> BTreeMap<String, BTreeSet<String>> {
    let members = members();
    let mut direct = locked();
    // Cargo.lock mixes a member's tests with what it needs to run.
    direct.extend(members.iter().map(|m| (m.name.clone(), m.direct.clone())));
    let closure = |member: &Package| {
        let mut seen = BTreeSet::new();
        let mut open = vec![&member.name];
        while let Some(name) = open.pop() {
            open.extend(direct[name].iter().filter(|n| seen.insert((*n).clone())));
        }
        seen
    };
    members
        .iter()
        .map(|m| (m.name.clone(), closure(m)))
        .collect()
}

fn is_method(name: &str) -> bool {
    name.starts_with("segad-detector-") || name.starts_with("segad-classifier-")
}

/// What puts methods to work, and so needs all that they need.
const ABOVE_METHODS: [&str; 6] = [
    "segad-bench",
    "segad-methods",
    "segad-product",
    "segad-python-model",
    "segad-runner",
    "segad-cli",
];

#[test]
fn heavy_libraries_stay_where_they_belong() {
    let needs = needs();
    let users = |library: &str| -> Vec<&str> {
        let users = needs.iter().filter(|(_, all)| all.contains(library));
        let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
        assert!(!users.is_empty(), "no crate needs {library}");
        users
    };
    for name in users("tch") {
        assert!(
            name == "segad-nn" || is_method(name) || ABOVE_METHODS.contains(&name),
            "{name} links libtorch"
        );
    }
    for name in users("xgboost-rs") {
        assert!(
            ["segad-forest", "segad-classifier-frozen", "segad-python"].contains(&name)
                || ABOVE_METHODS.contains(&name),
            "{name} links XGBoost"
        );
    }
    let others: [(&str, &[&str]); 3] = [
        ("polars", &["segad-report", "segad-runner", "segad-cli"]),
        (
            "parquet",
            &["segad-import", "segad-store", "segad-runner", "segad-cli"],
        ),
        ("axum", &["segad-serve", "segad-cli"]),
    ];
    for (library, allowed) in others {
        for name in users(library) {
            assert!(allowed.contains(&name), "{name} needs {library}");
        }
    }
}

#[test]
fn crates_do_not_know_what_they_need_not() {
    let needs = needs();
    let pure = [
        "segad-core",
        "segad-metrics",
        "segad-features",
        "segad-grid",
    ];
    let heavy = ["tch", "xgboost-rs", "polars", "arrow", "parquet", "tokio"];
    for light in pure.iter().chain(&["xtask"]) {
        for library in heavy {
            assert!(!needs[*light].contains(library), "{light} needs {library}");
        }
    }
    for pure in pure {
        for foreign in ["segad-store", "segad-datasets", "segad-imaging"] {
            assert!(!needs[pure].contains(foreign), "{pure} needs {foreign}");
        }
    }
    for foreign in ["segad-store", "segad-datasets", "segad-product"] {
        assert!(
            !needs["segad-serve"].contains(foreign),
            "segad-serve needs {foreign}"
        );
    }
    for (name, all) in needs.iter().filter(|(name, _)| is_method(name)) {
        for foreign in ["segad-grid", "segad-store", "segad-datasets"] {
            assert!(!all.contains(foreign), "{name} needs {foreign}");
        }
    }
}

#[test]
fn methods_are_reached_through_their_registry() {
    for member in members() {
        let methods: Vec<&String> = member.direct.iter().filter(|n| is_method(n)).collect();
        let may = ["segad-methods", "segad-bench"].contains(&member.name.as_str());
        assert!(
            may || methods.is_empty(),
            "{} needs {methods:?}",
            member.name
        );
    }
}

#[test]
fn every_crate_has_a_head_the_workspace_lints_and_a_line_in_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for Package { name, folder, .. } in members() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if name != "xgboost-rs-sys" {
            assert!(
                manifest.contains("[lints]\nworkspace = true"),
                "{name} does not use the workspace's lints"
            );
        }
        let head = ["src/lib.rs", "src/main.rs"]
            .iter()
            .find_map(|f| std::fs::read_to_string(folder.join(f)).ok());
        assert!(
            head.unwrap().starts_with("//!"),
            "{name} does not say what it is"
        );
        let below = folder.strip_prefix(root()).unwrap();
        let below = below
            .strip_prefix("crates")
            .unwrap_or(below)
            .to_str()
            .unwrap();
        let family = below.split('/').next().unwrap();
        let listed =
            docs.contains(&format!("| `{below}` |")) || docs.contains(&format!("| `{family}/*` |"));
        assert!(listed, "docs/architecture.md does not list {below}");
    }
}

#[test]
fn detectors_and_classifiers_have_the_same_files() {
    for family in ["detectors", "classifiers"] {
        let Ok(crates) = std::fs::read_dir(root().join("crates").join(family)) else {
            continue;
        };
        for folder in crates.map(|c| c.unwrap().path()) {
            for file in ["lib", "params", "model", "fit", "method"] {
                let path = folder.join("src").join(format!("{file}.rs"));
                assert!(path.exists(), "{} does not exist", path.display());
            }
        }
    }
}

const RULE: &str = "Only `files` touches the disk";

/// The calls that clippy.toml leaves to `files`, as code writes them: `fs::read(`, `File::open(`,
/// ….
fn calls_of_files() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let methods = settings["disallowed-methods"].as_array().unwrap();
    let disk = methods.iter().filter_map(|method| {
        let path = method["path"].as_str().unwrap();
        let (start, name) = path.rsplit_once("::").unwrap();
        start.starts_with("std::fs").then(|| {
            assert_eq!(method["reason"].as_str().unwrap(), RULE.replace('O', "o"));
            format!("{}::{name}(", start.rsplit("::").next().unwrap())
        })
    });
    disk.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_files_touches_the_disk() {
    let docs = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    assert!(docs.contains(RULE));
    let calls = calls_of_files();
    assert!(calls.contains(&"fs::read(".to_owned()) && calls.contains(&"File::open(".to_owned()));
    for Package { name, folder, .. } in members() {
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        // A benchmark is a developer's, and keeps its models wherever it is told.
        let exempt = ["segad-files", "segad-bench"].contains(&name.as_str());
        for file in files.iter().filter(|_| !exempt) {
            let text = std::fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
                let touches = calls.iter().any(|call| {
                    // `AtomicFile::create(` is another crate's.
                    line.split_once(call.as_str())
                        .is_some_and(|(before, _)| !before.ends_with(char::is_alphanumeric))
                });
                assert!(!touches, "{}: {line}", file.display());
            }
        }
    }
}
