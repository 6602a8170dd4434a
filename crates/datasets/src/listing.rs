use segad_files::{FileError, Result};
use std::io;
use std::path::Path;

/// The entries of a folder.
pub(crate) struct Listing {
    /// Names of files, sorted bytewise.
    pub files: Vec<String>,
    /// Names of folders, sorted bytewise.
    pub folders: Vec<String>,
}

/// Lists a folder, without names that begin with a dot.
pub(crate) fn list(folder: &Path) -> Result<Listing> {
    let mut listing = Listing {
        files: Vec::new(),
        folders: Vec::new(),
    };
    for path in segad_files::list_all(folder)? {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            // Ids are text, so such a file could not be named in a split.
            let source = io::Error::new(io::ErrorKind::InvalidData, "not UTF-8; rename it");
            return Err(FileError::new("use the file name", &path, source));
        };
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            listing.folders.push(name.to_owned());
        } else {
            listing.files.push(name.to_owned());
        }
    }
    Ok(listing)
}

/// True for a file name that can be an image: PNG or JPEG in any spelling (VisA has `.JPG`).
pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ext)| {
        ["png", "jpg", "jpeg"]
            .iter()
            .any(|e| ext.eq_ignore_ascii_case(e))
    })
}
