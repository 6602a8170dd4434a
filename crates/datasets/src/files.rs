//! The only functions of this crate that touch the disk.
#![expect(
    clippy::disallowed_methods,
    reason = "data sets are files; this module is where they are read"
)]

use crate::DatasetError;
use std::path::Path;

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> DatasetError + '_ {
    |source| DatasetError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The bytes of a file.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, DatasetError> {
    std::fs::read(path).map_err(io(path))
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, DatasetError> {
    std::fs::read_to_string(path).map_err(io(path))
}

/// Writes a file under a temporary name and renames it, so that it is there whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    std::fs::write(&temporary, bytes).map_err(io(&temporary))?;
    std::fs::rename(&temporary, path).map_err(io(path))
}

/// What lies in a folder.
pub(crate) struct Listing {
    /// Names of files, sorted bytewise.
    pub files: Vec<String>,
    /// Names of folders, sorted bytewise.
    pub folders: Vec<String>,
}

/// Lists a folder, without names that begin with a dot.
pub(crate) fn list(folder: &Path) -> Result<Listing, DatasetError> {
    let mut listing = Listing {
        files: Vec::new(),
        folders: Vec::new(),
    };
    for item in std::fs::read_dir(folder).map_err(io(folder))? {
        let item = item.map_err(io(folder))?;
        let Ok(name) = item.file_name().into_string() else {
            let source = std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the name is not UTF-8; rename it",
            );
            return Err(DatasetError::Io {
                path: item.path(),
                source,
            });
        };
        if name.starts_with('.') {
            continue;
        }
        if item.path().is_dir() {
            listing.folders.push(name)
        } else {
            listing.files.push(name)
        }
    }
    listing.files.sort();
    listing.folders.sort();
    Ok(listing)
}

/// Size and time of last change of a file, to tell whether it may have changed.
pub(crate) fn stamp(path: &Path) -> Result<(u64, u128), DatasetError> {
    let meta = std::fs::metadata(path).map_err(io(path))?;
    let changed = meta.modified().map_err(io(path))?;
    let nanos = changed
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    Ok((meta.len(), nanos))
}

/// True for a file name that can be an image: PNG or JPEG in any spelling (VisA has `.JPG`).
pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ext)| {
        ["png", "jpg", "jpeg"]
            .iter()
            .any(|e| ext.eq_ignore_ascii_case(e))
    })
}
