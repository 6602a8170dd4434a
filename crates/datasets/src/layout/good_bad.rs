use super::Scan;
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::path::Path;

/// `good/` and `bad/`, each with images or one level of sub-folders; a sub-folder of `bad` is a
/// kind of defect. The order is that of the file names, regardless of the folder, so that
/// numbered pictures keep their sequence.
pub(super) fn scan(base: &Path) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    for label in [Label::Bad, Label::Good] {
        let folder = label.as_str();
        // Good images are enough for a detector and for generated defects.
        if label.is_bad() && !base.join(folder).is_dir() {
            continue;
        }
        let listing = listing::list(&base.join(folder))?;
        add(&mut scan, folder, listing.files, label, folder);
        for sub in listing.folders {
            let place = format!("{folder}/{sub}");
            let listing = listing::list(&base.join(&place))?;
            scan.extra
                .extend(listing.folders.into_iter().map(|f| format!("{place}/{f}/")));
            let group = if label.is_bad() { &sub } else { folder };
            add(&mut scan, &place, listing.files, label, group);
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

fn add(scan: &mut Scan, place: &str, names: Vec<String>, label: Label, group: &str) {
    for file in names {
        let path = format!("{place}/{file}");
        if listing::is_image(&file) {
            scan.entries
                .push(Entry::new(ImageId::new(path), label, Part::All).with_group(group));
        } else {
            scan.extra.push(path);
        }
    }
}
