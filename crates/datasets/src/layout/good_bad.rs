use super::Scan;
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::path::Path;

/// `good/` and `bad/`, each with images at any depth; a sub-folder of `bad` is a kind of defect. The
/// order is that of the file names, regardless of the folder, so that numbered pictures keep their
/// sequence.
pub(super) fn scan(base: &Path) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    for label in [Label::Bad, Label::Good] {
        let folder = label.as_str();
        // Good images are enough for a detector and for generated defects.
        if label.is_bad() && !base.join(folder).is_dir() {
            continue;
        }
        let found = listing::search(base, folder)?;
        for path in scan.take(found) {
            let kind = path
                .split('/')
                .nth(1)
                .filter(|_| path.matches('/').count() > 1);
            let group = kind.filter(|_| label.is_bad()).unwrap_or(folder).to_owned();
            let entry = Entry::new(ImageId::new(path), label, Part::All);
            scan.entries.push(entry.with_group(group));
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
