//! Masks of defects that lie beside the images. Taken for bad products, they would make any model
//! look excellent.

use crate::Entry;
use crate::layout::Scan;
use segad_core::{Image, ImageId};
use std::collections::HashMap;
use std::path::Path;

/// The folder of masks in the layout of MVTec AD.
const FOLDER: &str = "ground_truth";
/// How names of masks end.
const SUFFIX: &str = "_mask";

/// True for the name of a folder that holds masks.
pub(crate) fn is_folder(name: &str) -> bool {
    name.eq_ignore_ascii_case(FOLDER)
}

/// Moves masks from the images to what is left out: files in `ground_truth/`, `*_mask.*`, and
/// black-and-white images beside an image of the same size whose name theirs begins with.
pub(crate) fn take_out(base: &Path, scan: &mut Scan) {
    let entries = std::mem::take(&mut scan.entries);
    let mut stems: Stems<'_> = HashMap::new();
    for entry in &entries {
        let place = (folder(&entry.id), entry.id.stem());
        stems.entry(place).or_default().push(&entry.id);
    }
    let is_mask: Vec<bool> = entries.iter().map(|e| is_mask(base, e, &stems)).collect();
    for (entry, is_mask) in entries.into_iter().zip(is_mask) {
        if is_mask {
            scan.left_out.masks.push(entry.id.to_string());
        } else {
            scan.entries.push(entry);
        }
    }
}

fn folder(id: &ImageId) -> &str {
    id.as_str()
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder)
}

/// Images by folder and stem.
type Stems<'a> = HashMap<(&'a str, &'a str), Vec<&'a ImageId>>;

fn is_mask(base: &Path, entry: &Entry, stems: &Stems<'_>) -> bool {
    let id = &entry.id;
    if folder(id).split('/').any(is_folder) {
        return true;
    }
    let stem = id.stem();
    let own = folder(id);
    let cut = stem.len().saturating_sub(SUFFIX.len());
    let named = stem.is_char_boundary(cut) && stem[cut..].eq_ignore_ascii_case(SUFFIX);
    if named && stems.contains_key(&(own, &stem[..cut])) {
        return true;
    }
    // `a-gt`, `a.label`, `a_1` beside `a`, or another format of the same name.
    let ends = stem.char_indices().filter(|(_, c)| !c.is_alphanumeric());
    let ends = ends.map(|(at, _)| at).chain([stem.len()]);
    let partners = ends.filter_map(|at| stems.get(&(own, &stem[..at])));
    let beside: Vec<&ImageId> = partners.flatten().copied().filter(|p| *p != id).collect();
    if beside.is_empty() && !named {
        return false;
    }
    // Looked at only where the names suggest it. What cannot be read is reported later.
    let open = |id: &ImageId| segad_imaging::open(&base.join(id.as_str())).ok();
    let Some(image) = open(id).filter(is_black_and_white) else {
        return false;
    };
    let size = (image.height(), image.width());
    let is_shown_by = |partner: Image| {
        (partner.height(), partner.width()) == size && !is_black_and_white(&partner)
    };
    beside.is_empty() || beside.into_iter().filter_map(open).any(is_shown_by)
}

/// Black and at most one other grey. No camera gives that, not even in the dark.
fn is_black_and_white(image: &Image) -> bool {
    let mut light = 0;
    image.rgb().chunks_exact(3).all(|pixel| {
        let grey = pixel[0];
        if light == 0 {
            light = grey;
        }
        pixel == [grey; 3] && (grey == 0 || grey == light)
    })
}
