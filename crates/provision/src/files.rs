//! The few file operations that set-up needs; every write is atomic.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is where this crate touches the disk"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::ProvisionError;

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be opened; the error names it.
pub fn open(path: &Path) -> Result<File, ProvisionError> {
    File::open(path).map_err(|e| ProvisionError::io("reading", path, e))
}

/// Reads a whole file.
///
/// # Errors
/// The file cannot be read; the error names it.
pub fn read(path: &Path) -> Result<Vec<u8>, ProvisionError> {
    fs::read(path).map_err(|e| ProvisionError::io("reading", path, e))
}

/// Reads a text file; `None` if it does not exist.
///
/// # Errors
/// The file exists and cannot be read as UTF-8.
pub fn read_text(path: &Path) -> Result<Option<String>, ProvisionError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ProvisionError::io("reading", path, e)),
    }
}

/// Creates a folder and its parents.
///
/// # Errors
/// The folder cannot be created; the error names it.
pub fn create_dir(path: &Path) -> Result<(), ProvisionError> {
    fs::create_dir_all(path).map_err(|e| ProvisionError::io("creating", path, e))
}

/// Creates a file for writing, in a folder that is published later.
pub(crate) fn create(path: &Path) -> Result<File, ProvisionError> {
    File::create(path).map_err(|e| ProvisionError::io("writing", path, e))
}

/// Writes a file under a temporary name beside it, then renames: readers see the old file or the
/// whole new one.
///
/// # Errors
/// The folder cannot be written to or the disk is full; an old file then stays as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), ProvisionError> {
    let wrap = |e| ProvisionError::io("writing", path, e);
    let folder = parent(path);
    create_dir(&folder)?;
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; what is published has the usual rights.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder
        .prefix(".partial-")
        .tempfile_in(&folder)
        .map_err(wrap)?;
    file.write_all(bytes).map_err(wrap)?;
    file.as_file().sync_all().map_err(wrap)?;
    file.persist(path).map_err(|e| wrap(e.error))?;
    Ok(())
}

/// [`write_atomic`] only if the content changes, so that the file's time stays and nothing is
/// rebuilt for it. Returns whether it was written.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_if_changed(path: &Path, text: &str) -> Result<bool, ProvisionError> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    write_atomic(path, text.as_bytes())?;
    Ok(true)
}

/// The path with something appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Size of a file; 0 if it is not there.
pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

/// Removes a file, if it is there.
///
/// # Errors
/// It cannot be removed; the error names it.
pub fn remove(path: &Path) -> Result<(), ProvisionError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ProvisionError::io("removing", path, e))
        }
        _ => Ok(()),
    }
}

/// Any file in a folder or the folders in it; `None` if there is none, or no such folder.
///
/// # Errors
/// A folder cannot be read; the error names it.
pub(crate) fn first_file(folder: &Path) -> Result<Option<PathBuf>, ProvisionError> {
    let wrap = |e| ProvisionError::io("reading", folder, e);
    if !folder.is_dir() {
        return Ok(None);
    }
    for item in fs::read_dir(folder).map_err(wrap)? {
        let path = item.map_err(wrap)?.path();
        let found = if path.is_dir() {
            first_file(&path)?
        } else {
            Some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Removes a folder with everything in it, if it is there.
///
/// # Errors
/// It cannot be removed; the error names it.
pub(crate) fn remove_dir(folder: &Path) -> Result<(), ProvisionError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ProvisionError::io("removing", folder, e))
        }
        _ => Ok(()),
    }
}

/// Renames a file or folder within a disk; the folder that it goes to is made.
///
/// # Errors
/// It cannot be renamed; the error names the new place.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), ProvisionError> {
    create_dir(&parent(to))?;
    fs::rename(from, to).map_err(|e| ProvisionError::io("moving to", to, e))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_leaves_one_file_and_keeps_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        assert!(write_if_changed(&path, "one").unwrap());
        let old = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, "one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), old);
        assert!(write_if_changed(&path, "two").unwrap());
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_where_a_folder_should_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_atomic(&file, b"").unwrap();
        let error = write_atomic(&file.join("x"), b"").unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_and_a_read_only_place_are_named() {
        // The kernel's /dev/full refuses every write with "no space left"; /proc takes no new
        // files.
        let mut full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let error = ProvisionError::io(
            "writing",
            Path::new("cache/x"),
            full.write_all(b"x").unwrap_err(),
        );
        assert!(matches!(error, ProvisionError::NoSpace { .. }), "{error:?}");
        assert!(error.to_string().contains("cache/x"), "{error}");
        let denied = std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        let error = ProvisionError::io("writing", Path::new("cache/x"), denied).to_string();
        assert!(error.contains("SEGAD_CACHE_DIR"), "{error}");
    }
}
