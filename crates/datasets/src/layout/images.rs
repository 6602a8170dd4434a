use super::Scan;
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::path::Path;

/// All images of a folder and the folders in it, whatever they show: each is good and none is a
/// test image. Files that are not named as images are ignored, since such collections come with
/// lists of their own.
pub(super) fn scan(base: &Path) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    let found = listing::search(base, "")?;
    for path in scan.take(found) {
        if segad_imaging::is_image_name(path.as_ref()) {
            scan.entries
                .push(Entry::new(ImageId::new(path), Label::Good, Part::All));
        }
    }
    Ok(scan.sorted())
}
