//! Data sets of images: downloaded or given, unpacked, counted, published.

use std::path::{Path, PathBuf};

use segad_core::NoProgress;
use segad_datasets::{Dataset, Distribution, Layout, Manifest};
use segad_provision::digest::Pin;
use segad_provision::{Cache, ProvisionError, Provisioner, Stage, archive, visa};
use serde_json::json;

use crate::error::FetchError;

/// Manifests whose sources are archives.
pub const NAMES: [&str; 4] = ["vad", "visa", "mvtec", "imagenette"];
/// More than any of them needs; an archive that unpacks to more is a bomb.
const MAX_BYTES: u64 = 40_000_000_000;
/// Marks a folder that this program made, and records its source.
const RECORD: &str = ".segad.json";

/// What is wrong with a data set in the cache, or `None`: every class must hold the images that the
/// manifest counts. `segad data verify` looks into them as well.
///
/// # Errors
/// There is no such manifest.
pub fn problem(cache: &Cache, name: &str) -> Result<Option<String>, FetchError> {
    let manifest = Manifest::shipped(name)?;
    let folder = cache.data(name);
    if !folder.exists() {
        return Ok(Some("not fetched".to_owned()));
    }
    Ok(counted(manifest, &folder).err().map(|e| e.to_string()))
}

/// Lists every class.
fn counted(manifest: Manifest, folder: &Path) -> Result<(), FetchError> {
    let dataset = Dataset::open(manifest, folder)?;
    for class in dataset.classes() {
        dataset.index(class)?;
    }
    Ok(())
}

/// Fetches a data set to `<cache>/data/<name>` unless it is there and complete; returns the folder.
pub(super) fn provide(
    p: &Provisioner<'_>,
    name: &str,
    from: Option<&str>,
) -> Result<PathBuf, FetchError> {
    provide_as(p, Manifest::shipped(name)?, from)
}

fn provide_as(
    p: &Provisioner<'_>,
    manifest: Manifest,
    from: Option<&str>,
) -> Result<PathBuf, FetchError> {
    let folder = p.cache.data(&manifest.name);
    if folder.exists() {
        match counted(manifest.clone(), &folder) {
            Ok(()) => return Ok(folder),
            // The user's own folder is never replaced.
            Err(error) if !folder.join(RECORD).exists() => {
                let advice = "complete it, or move it away and run this again";
                return Err(FetchError::Input(format!(
                    "{}: {error}; {advice}",
                    folder.display()
                )));
            }
            Err(error) => (p.say)(&format!("{}: {error}; fetching it again", folder.display())),
        }
    }
    let stage = p.stage()?;
    let (archive, pin) = obtain(p, &stage, &manifest, from)?;
    (p.say)(&format!("unpacking {}", archive.display()));
    let out = stage.path().join(&manifest.name);
    archive::unpack(&archive, &out, MAX_BYTES, place)?;
    if manifest.layout == Layout::Visa {
        arrange_visa(p, &manifest, &out)?;
    }
    (p.say)(&format!("checking {}", manifest.title));
    match pin {
        // No digest says what the file must be, so every image is decoded.
        Pin::Unknown => looked_at(&manifest, &out)?,
        _ => counted(manifest.clone(), &out)?,
    }
    // Recorded also where none was published, so that two machines can be compared.
    let sha256 = segad_provision::digest::sha256_file(&archive)?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let record = json!({ "archive": name, "sha256": sha256, "licence": manifest.licence });
    segad_files::write_with_parents(&out.join(RECORD), format!("{record:#}\n").as_bytes())?;
    stage.publish(&out, &folder)?;
    // The user's own file stays; a downloaded one can be downloaded again.
    if from.is_none_or(|from| from.contains("://")) {
        p.discard(&archive)?;
    }
    Ok(folder)
}

/// Where an entry of an archive goes; nowhere for litter of file managers.
fn place(name: &str) -> Option<PathBuf> {
    let name = name.trim_start_matches("./");
    let last = name.rsplit('/').next().unwrap_or(name);
    // What operating systems add to archives is no image.
    let left = last.starts_with("._")
        || matches!(last, ".DS_Store" | "Thumbs.db" | "desktop.ini")
        || name.starts_with("__MACOSX/");
    (!left).then(|| PathBuf::from(name))
}

/// The archive: the given one, one in the downloads, or the first source that can be fetched.
fn obtain<'m>(
    p: &Provisioner<'_>,
    stage: &Stage,
    manifest: &'m Manifest,
    from: Option<&str>,
) -> Result<(PathBuf, Pin<'m>), FetchError> {
    if let Some(from) = from {
        let file = if from.contains("://") {
            p.url(from, Pin::Unknown, stage)?
        } else {
            PathBuf::from(from)
        };
        return Ok((file.clone(), recognised(p, manifest, &file)?));
    }
    // Before any download: somebody may have put the file there because none works.
    let by_hand = manifest
        .sources
        .iter()
        .map(|s| p.cache.download(&s.file))
        .find(|file| file.exists());
    if let Some(file) = by_hand {
        return Ok((file.clone(), recognised(p, manifest, &file)?));
    }
    if p.offline {
        let what = format!("the data set {}", manifest.name);
        return Err(ProvisionError::Offline {
            what,
            path: p.cache.data(&manifest.name),
        }
        .into());
    }
    let mut failure = None;
    for source in manifest.sources.iter().filter(|s| !s.manual) {
        let (Some(url), Some(sha256)) = (&source.url, &source.sha256) else {
            continue;
        };
        let pin = Pin::Sha256(sha256);
        match p.url(url, pin, stage) {
            Ok(file) => return Ok((file, pin)),
            Err(error) => failure = Some(error.to_string()),
        }
    }
    let said = failure.unwrap_or_else(|| "no URL to download it from".to_owned());
    Err(FetchError::Input(format!(
        "{}: {said}\n{}",
        manifest.name,
        advice(&p.cache, manifest)
    )))
}

/// How to get the archive by hand.
fn advice(cache: &Cache, manifest: &Manifest) -> String {
    let line = |source: &Distribution| {
        let url = source.url.as_deref().unwrap_or_default();
        let note = source
            .note
            .as_deref()
            .map_or(String::new(), |n| format!(" ({n})"));
        format!(
            "  {url}{note}\n  save it as {}\n",
            cache.download(&source.file).display()
        )
    };
    let lines: String = manifest.sources.iter().map(line).collect();
    format!(
        "to get it by hand:\n{lines}then run the same command again, or name the file with --from"
    )
}

/// The published digest that a user's file has, if any.
fn recognised<'m>(
    p: &Provisioner<'_>,
    manifest: &'m Manifest,
    file: &Path,
) -> Result<Pin<'m>, FetchError> {
    for sha256 in manifest.sources.iter().filter_map(|s| s.sha256.as_deref()) {
        match Pin::Sha256(sha256).check(file) {
            Ok(()) => return Ok(Pin::Sha256(sha256)),
            Err(ProvisionError::Digest { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let name = file.display();
    (p.say)(&format!(
        "{name}: its digest is not a published one, so every image in it is checked"
    ));
    Ok(Pin::Unknown)
}

/// Turns the archive's layout into the prepared one, if the list for it is there; both are read.
fn arrange_visa(p: &Provisioner<'_>, manifest: &Manifest, out: &Path) -> Result<(), FetchError> {
    let base = Dataset::open(manifest.clone(), out)?.base().to_owned();
    if base.join(visa::SPLIT).exists() {
        let images = visa::prepare(&base)?;
        (p.say)(&format!("{images} images arranged as {} says", visa::SPLIT));
    } else {
        (p.say)(&format!(
            "{} is not in the archive, so its layout stays as it is",
            visa::SPLIT
        ));
    }
    Ok(())
}

/// Decodes every image.
fn looked_at(manifest: &Manifest, out: &Path) -> Result<(), FetchError> {
    let dataset = Dataset::open(manifest.clone(), out)?;
    for class in dataset.classes() {
        dataset.index(class)?;
        let report = dataset.verify(class, &NoProgress)?;
        if let Some((id, why)) = report.unreadable.first() {
            let n = report.unreadable.len();
            return Err(FetchError::Input(format!(
                "{class}: {n} image(s) cannot be read, first {id}: {why}"
            )));
        }
        if let Some(fault) = report.faults.first() {
            return Err(FetchError::Input(format!("{class}: {fault}")));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
