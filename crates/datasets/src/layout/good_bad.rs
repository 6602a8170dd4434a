use super::Scan;
use crate::manifest::Manifest;
use crate::{DatasetError, Entry, Part, listing};
use segad_core::ImageId;
use std::path::Path;

/// A folder for each group of the manifest, with images at any depth. The only folder of bad images
/// has sub-folders for kinds of defect; of several, each is a kind. The order is that of the file
/// names, regardless of the folder, so that numbered pictures keep their sequence.
pub(super) fn scan(manifest: &Manifest, base: &Path) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    let bad = manifest.groups.iter().filter(|g| g.label.is_bad()).count();
    for group in &manifest.groups {
        // Good images are enough for a detector and for generated defects.
        if group.label.is_bad() && !base.join(group.folder()).is_dir() {
            continue;
        }
        let found = listing::search(base, group.folder())?;
        for path in scan.take(found) {
            let kind = path
                .split('/')
                .nth(1)
                .filter(|_| path.matches('/').count() > 1);
            let kind = kind.filter(|_| group.label.is_bad() && bad == 1);
            let kind = kind.unwrap_or(&group.name).to_owned();
            let entry = Entry::new(ImageId::new(path), group.label, Part::All);
            scan.entries.push(entry.with_group(kind));
        }
    }
    scan.entries.sort_by(|a, b| a.id.cmp(&b.id));
    // Ties between folders are broken by id, so that the order is the same everywhere.
    let mut by_name: Vec<usize> = (0..scan.entries.len()).collect();
    by_name.sort_by_key(|&i| (scan.entries[i].id.stem().to_owned(), i));
    for (rank, i) in by_name.into_iter().enumerate() {
        scan.entries[i].order = rank;
    }
    Ok(scan)
}
