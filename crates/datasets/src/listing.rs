use crate::gathered::LeftOut;
use segad_files::{FileError, Result, is_hidden};
use std::io;
use std::path::{Path, PathBuf};

/// The entries of a folder.
pub(crate) struct Listing {
    /// Names of files, sorted bytewise.
    pub files: Vec<String>,
    /// Names of folders, sorted bytewise.
    pub folders: Vec<String>,
}

/// Lists a folder, without hidden and system entries.
pub(crate) fn list(folder: &Path) -> Result<Listing> {
    let mut listing = Listing {
        files: Vec::new(),
        folders: Vec::new(),
    };
    for path in segad_files::list_all(folder)? {
        if is_hidden(path.file_name().unwrap_or_default()) {
            continue;
        }
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            // Ids are text, so such a file could not be named in a split.
            let source = io::Error::new(io::ErrorKind::InvalidData, "not UTF-8; rename it");
            return Err(FileError::new("use the file name", &path, source));
        };
        if path.is_dir() {
            listing.folders.push(name.to_owned());
        } else {
            listing.files.push(name.to_owned());
        }
    }
    Ok(listing)
}

/// What a folder contains at any depth.
#[derive(Default)]
pub(crate) struct Found {
    /// Paths of files, relative to the data set's folder, sorted bytewise.
    pub files: Vec<String>,
    /// What has no usable path, with the reason.
    pub refused: Vec<(String, String)>,
    pub left_out: LeftOut,
}

/// Searches the folder `place` below `base`, to any depth.
pub(crate) fn search(base: &Path, place: &str) -> Result<Found> {
    let tree = segad_files::walk(&base.join(place))?;
    let mut found = Found::default();
    for path in tree.files {
        match id_of(base, &path) {
            Ok(id) => found.files.push(id),
            Err(reason) => found.refused.push((shown(base, &path), reason.to_owned())),
        }
    }
    for fault in tree.faults {
        let path = shown(base, &fault.path);
        found.refused.push((path, fault.source.to_string()));
    }
    let all = |paths: Vec<PathBuf>| paths.iter().map(|p| shown(base, p)).collect();
    found.left_out.hidden = all(tree.hidden);
    found.left_out.links = all(tree.links);
    found.files.sort();
    Ok(found)
}

/// The path relative to the data set's folder as text, which ids are, or why it cannot be an id.
fn id_of(base: &Path, path: &Path) -> std::result::Result<String, &'static str> {
    let below = path.strip_prefix(base).unwrap_or(path);
    match below.to_str() {
        None => Err("its name is not UTF-8; rename it"),
        // In ids, which are the same on every system, it would separate folders.
        Some(text) if text.contains('\\') => Err("a back-slash in its name; rename it"),
        Some(text) => Ok(text.to_owned()),
    }
}

fn shown(base: &Path, path: &Path) -> String {
    path.strip_prefix(base)
        .unwrap_or(path)
        .display()
        .to_string()
}
