use super::{Scan, low_shot};
use crate::manifest::{Class, Layout, Manifest};
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The folder of a class below `base`: its own folder, or `base` itself if the manifest has one
/// class only. `None` if neither looks like it.
pub(super) fn class_folder(manifest: &Manifest, base: &Path, class: &Class) -> Option<String> {
    if looks_like_class(manifest, &base.join(&class.name)) {
        return Some(format!("{}/", class.name));
    }
    (manifest.classes.len() == 1 && looks_like_class(manifest, base)).then(String::new)
}

fn looks_like_class(manifest: &Manifest, folder: &Path) -> bool {
    folder.join("train/good").is_dir()
        || manifest.layout == Layout::Visa && folder.join("Data/Images").is_dir()
}

/// As [`class_folder`].
///
/// # Errors
/// [`DatasetError::ClassMissing`].
pub(super) fn require_class(
    manifest: &Manifest,
    base: &Path,
    class: &Class,
) -> Result<String, DatasetError> {
    class_folder(manifest, base, class).ok_or_else(|| DatasetError::ClassMissing {
        path: base.join(&class.name),
        class: class.name.clone(),
    })
}

/// The path of a folder that a class must have.
///
/// # Errors
/// [`DatasetError::Layout`] if it does not exist.
pub(super) fn require(
    manifest: &Manifest,
    base: &Path,
    place: &str,
) -> Result<PathBuf, DatasetError> {
    let path = base.join(place);
    if path.is_dir() {
        return Ok(path);
    }
    let reason = "no such folder, so the data set is incomplete".to_owned();
    Err(DatasetError::Layout {
        path,
        layout: manifest.layout.name(),
        reason,
    })
}

pub(super) fn mvtec(manifest: &Manifest, base: &Path, class: &Class) -> Result<Scan, DatasetError> {
    let prefix = require_class(manifest, base, class)?;
    parts(manifest, base, &prefix, |folder| {
        class.defects.is_empty() || class.defects.iter().any(|d| d == folder)
    })
}

pub(super) fn vad(manifest: &Manifest, base: &Path, _: &Class) -> Result<Scan, DatasetError> {
    let mut scan = parts(manifest, base, "", |_| false)?;
    drop_repeated(&mut scan.entries);
    scan.low_shot = low_shot::read(base, manifest.low_shot.as_ref(), &scan.entries);
    Ok(scan.sorted())
}

/// Some copies of VAD hold the unseen defects in `test/bad` a second time; they count once, as
/// unseen.
fn drop_repeated(entries: &mut Vec<Entry>) {
    let finer: HashSet<String> = entries
        .iter()
        .filter(|e| e.part == Part::Test && e.label.is_bad() && e.group != "bad")
        .map(|e| e.id.file_name().to_owned())
        .collect();
    let before = entries.len();
    // By file name, as the copies are in another folder.
    entries.retain(|e| {
        !(e.part == Part::Test && e.group == "bad" && finer.contains(e.id.file_name()))
    });
    if entries.len() < before {
        tracing::warn!(
            dropped = before - entries.len(),
            "test/bad repeats files of other test folders; they count once"
        );
    }
}

/// `<prefix>{test,train}/<folder>/`, with images at any depth. A folder is a declared group or, in `test`, a defect
/// that `is_defect` knows.
pub(super) fn parts(
    manifest: &Manifest,
    base: &Path,
    prefix: &str,
    is_defect: impl Fn(&str) -> bool,
) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    for part in [Part::Test, Part::Train] {
        let place = format!("{prefix}{}", part.as_str());
        let listing = listing::list(&require(manifest, base, &place)?)?;
        scan.extra
            .extend(listing.files.into_iter().map(|f| format!("{place}/{f}")));
        for folder in listing.folders {
            let declared = manifest.groups.iter().find(|g| g.folder() == folder);
            let (label, group) = match declared {
                Some(group) => (group.label, group.name.clone()),
                // Bad images exist in test folders only; a defect in `train` is a mistake.
                None if part == Part::Test && is_defect(&folder) => (Label::Bad, folder.clone()),
                None => {
                    scan.extra.push(format!("{place}/{folder}/"));
                    continue;
                }
            };
            let found = listing::search(base, &format!("{place}/{folder}"))?;
            for path in scan.take(found) {
                scan.entries
                    .push(Entry::new(ImageId::new(path), label, part).with_group(&group));
            }
        }
    }
    Ok(scan.sorted())
}
