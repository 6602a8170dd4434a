use super::{Scan, folders};
use crate::manifest::{Class, Manifest};
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::collections::BTreeSet;
use std::path::Path;

/// VisA as published (`<class>/Data/Images/{Normal,Anomaly}/`, with the manifest's numbers for the
/// test set) or as prepared by others (`<class>/{train,test}/{good,bad}/`). File names are the
/// same, so splits are the same images.
pub(super) fn scan(manifest: &Manifest, base: &Path, class: &Class) -> Result<Scan, DatasetError> {
    let prefix = folders::require_class(manifest, base, class)?;
    let images = format!("{prefix}Data/Images");
    if !base.join(&images).is_dir() {
        return folders::parts(manifest, base, &prefix, |_| false);
    }
    let Some(test_normal) = &class.test_normal else {
        let reason = format!(
            "class {}: the manifest names no test_normal, which this layout needs",
            class.name
        );
        return Err(DatasetError::Layout {
            path: base.join(images),
            layout: manifest.layout.name(),
            reason,
        });
    };
    let [anomaly, normal] = ["Anomaly", "Normal"].map(|name| format!("{images}/{name}"));
    // A missing folder would otherwise look like a class without images.
    for folder in [&anomaly, &normal] {
        folders::require(manifest, base, folder)?;
    }
    let mut scan = Scan::new();
    let bad = class.test.get("bad").copied();
    numbered(&mut scan, base, &anomaly, bad, |_| (Label::Bad, Part::Test))?;
    let good = class.train.get("good").zip(class.test.get("good"));
    let good = good.map(|(train, test)| train + test);
    numbered(&mut scan, base, &normal, good, |number| {
        if test_normal.contains(&number) {
            (Label::Good, Part::Test)
        } else {
            (Label::Good, Part::Train)
        }
    })?;
    Ok(scan.sorted())
}

/// A folder of images numbered from 0 without gaps.
fn numbered(
    scan: &mut Scan,
    base: &Path,
    folder: &str,
    total: Option<usize>,
    kind: impl Fn(usize) -> (Label, Part),
) -> Result<(), DatasetError> {
    let listing = listing::list(&base.join(folder))?;
    let mut found = BTreeSet::new();
    let mut width = 3;
    scan.extra.extend(
        listing
            .folders
            .into_iter()
            .map(|f| format!("{folder}/{f}/")),
    );
    for file in listing.files {
        let path = format!("{folder}/{file}");
        let stem = file
            .rsplit_once('.')
            .map_or(file.as_str(), |(stem, _)| stem);
        // Numbers beyond the manifest's count, and the second file of a number, are extra.
        let number = stem.parse::<usize>().ok().filter(|n| {
            segad_imaging::is_image_name(file.as_ref()) && total.is_none_or(|t| *n < t)
        });
        match number {
            Some(number) if !found.contains(&number) => {
                width = width.max(stem.len());
                let (label, part) = kind(number);
                found.insert(number);
                scan.entries
                    .push(Entry::new(ImageId::new(path), label, part));
            }
            _ => scan.extra.push(path),
        }
    }
    let gaps = (0..total.unwrap_or(0)).filter(|n| !found.contains(n));
    // Written as wide as the names that exist: copies differ in their number of digits.
    scan.missing
        .extend(gaps.map(|n| ImageId::new(format!("{folder}/{n:0width$}.JPG"))));
    Ok(())
}
