//! docs/architecture.md, held against the workspace.

use crate::support::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Package {
    name: String,
    folder: PathBuf,
}

fn metadata() -> serde_json::Value {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn members(metadata: &serde_json::Value) -> Vec<Package> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|p| members.contains(p["id"].as_str().unwrap()))
        .map(|p| Package {
            name: p["name"].as_str().unwrap().to_owned(),
            folder: Path::new(p["manifest_path"].as_str().unwrap())
                .parent()
                .unwrap()
                .to_owned(),
        })
        .collect()
}

/// Names of all packages that each workspace member needs, directly or not; build scripts' and
/// tests' needs left out.
fn needs(metadata: &serde_json::Value) -> BTreeMap<String, BTreeSet<String>> {
    let name: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p["name"].as_str().unwrap()))
        .collect();
    let direct: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let normal = node["deps"].as_array().unwrap().iter().filter(|d| {
                d["dep_kinds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|k| k["kind"].is_null())
            });
            (
                node["id"].as_str().unwrap(),
                normal.map(|d| d["pkg"].as_str().unwrap()).collect(),
            )
        })
        .collect();
    let mut all = BTreeMap::new();
    for member in metadata["workspace_members"].as_array().unwrap() {
        let id = member.as_str().unwrap();
        let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
        while let Some(id) = open.pop() {
            for &next in &direct[id] {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        all.insert(
            name[id].to_owned(),
            seen.into_iter().map(|id| name[id].to_owned()).collect(),
        );
    }
    all
}

#[test]
fn native_libraries_and_polars_stay_where_they_belong() {
    let metadata = metadata();
    let needs = needs(&metadata);
    let users = |of: &str| -> BTreeSet<&str> {
        needs
            .iter()
            .filter(|(_, all)| all.contains(of))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let networks = |name: &&str| {
        *name == "segad-nn"
            || name.starts_with("segad-detector-")
            || name.starts_with("segad-classifier-")
    };
    let others: Vec<&str> = users("tch").into_iter().filter(|n| !networks(n)).collect();
    assert_eq!(
        others,
        ["segad-cli", "segad-product", "segad-runner"],
        "only networks, what puts them to work, the runner and the command line link libtorch"
    );
    assert_eq!(
        users("xgboost-rs"),
        [
            "segad-classifier-frozen",
            "segad-cli",
            "segad-forest",
            "segad-product",
            "segad-runner"
        ]
        .into()
    );
    assert_eq!(
        users("polars"),
        ["segad-cli", "segad-report", "segad-runner"].into()
    );
    assert_eq!(
        users("parquet"),
        ["segad-cli", "segad-import", "segad-runner", "segad-store"].into()
    );
    for light in [
        "segad-core",
        "segad-metrics",
        "segad-features",
        "segad-grid",
        "xtask",
    ] {
        for heavy in ["tch", "xgboost-rs", "polars", "arrow", "parquet"] {
            assert!(!needs[light].contains(heavy), "{light} needs {heavy}");
        }
    }
    for foreign in [
        "tch",
        "xgboost-rs",
        "segad-store",
        "segad-datasets",
        "segad-product",
    ] {
        assert!(
            !needs["segad-serve"].contains(foreign),
            "segad-serve needs {foreign}"
        );
    }
    assert!(
        users("axum").is_subset(&["segad-cli", "segad-serve"].into()),
        "one crate speaks HTTP"
    );
    for pure in [
        "segad-core",
        "segad-metrics",
        "segad-features",
        "segad-grid",
    ] {
        for crate_ in ["segad-store", "segad-datasets", "segad-imaging"] {
            assert!(!needs[pure].contains(crate_), "{pure} needs {crate_}");
        }
    }
    for (name, all) in &needs {
        if name.starts_with("segad-detector-") || name.starts_with("segad-classifier-") {
            for foreign in ["segad-grid", "segad-store", "segad-datasets"] {
                assert!(!all.contains(foreign), "{name} needs {foreign}");
            }
        }
    }
}

#[test]
fn every_crate_has_a_head_the_workspace_lints_and_a_line_in_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for Package { name, folder } in members(&metadata()) {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if name != "xgboost-rs-sys" {
            assert!(
                manifest.contains("[lints]\nworkspace = true"),
                "{name} does not take the workspace's lints"
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
            for file in ["lib", "params", "model", "fit", "score", "error"] {
                let path = folder.join("src").join(format!("{file}.rs"));
                assert!(path.exists(), "{} is not there", path.display());
            }
        }
    }
}
