use super::Scan;
use crate::{DatasetError, Entry, Part, listing};
use segad_core::{ImageId, Label};
use std::path::Path;

/// How deep folders are searched; this also ends links that lead in circles.
const DEPTH: usize = 8;

/// All images of a folder and the folders in it, whatever they show: each is good and none is a
/// test image. Other files are ignored, since such collections come with lists of their own.
pub(super) fn scan(base: &Path) -> Result<Scan, DatasetError> {
    let mut scan = Scan::new();
    add(&mut scan, base, "", DEPTH)?;
    Ok(scan.sorted())
}

fn add(scan: &mut Scan, base: &Path, place: &str, depth: usize) -> Result<(), DatasetError> {
    let listing = listing::list(&base.join(place))?;
    for file in listing.files.iter().filter(|f| listing::is_image(f)) {
        let id = ImageId::new(format!("{place}{file}"));
        scan.entries
            .push(Entry::new(id, Label::Good, Part::All).with_group(Label::Good.as_str()));
    }
    if depth > 0 {
        for folder in listing.folders {
            add(scan, base, &format!("{place}{folder}/"), depth - 1)?;
        }
    }
    Ok(())
}
