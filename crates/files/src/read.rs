use crate::error::{FileError, Result};
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Reads a file.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| FileError::new("read the file", path, e))
}

/// Reads a text file.
///
/// # Errors
/// [`FileError`] naming the file; of kind [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| FileError::new("read the file", path, e))
}

/// [`read`]; `None` if there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    if_present(read(path))
}

/// [`read_to_string`]; `None` if there is no such file.
///
/// # Errors
/// As [`read_to_string`].
pub fn read_to_string_if_present(path: &Path) -> Result<Option<String>> {
    if_present(read_to_string(path))
}

fn if_present<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(e) if e.is_not_found() => Ok(None),
        read => read.map(Some),
    }
}

/// Reads a value from a JSON file.
///
/// # Errors
/// [`FileError`] naming the file; of kind [`io::ErrorKind::InvalidData`], with line and column,
/// where the content does not parse.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?).map_err(|e| {
        let source = io::Error::new(io::ErrorKind::InvalidData, e);
        FileError::new("parse the file", path, source)
    })
}

/// Opens a file for reading.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| FileError::new("open the file", path, e))
}

/// Size in bytes and time of the last modification.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn size_and_time(path: &Path) -> Result<(u64, SystemTime)> {
    fs::metadata(path)
        .and_then(|meta| Ok((meta.len(), meta.modified()?)))
        .map_err(|e| FileError::new("inspect the file", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{write_atomic, write_json};

    #[test]
    fn undecodable_content_has_a_kind_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_atomic(&path, b"{\"a\": 1,}").unwrap();
        let error = read_json::<serde_json::Value>(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("line 1"), "{error}");
        write_atomic(&path, &[0xff]).unwrap();
        let error = read_to_string(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        write_json(&path, &[0.1f32, 2.5]).unwrap();
        assert_eq!(read_json::<Vec<f32>>(&path).unwrap(), [0.1, 2.5]);
    }

    #[test]
    fn an_absent_file_can_be_expected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert_eq!(read_if_present(&path).unwrap(), None);
        write_atomic(&path, b"text").unwrap();
        let text = read_to_string_if_present(&path).unwrap();
        assert_eq!(text.as_deref(), Some("text"));
        assert_eq!(read_if_present(&path.join("below a file")).unwrap(), None);
        assert!(read_if_present(dir.path()).is_err());
    }
}
