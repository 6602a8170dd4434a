use crate::error::{FileError, Result};
use serde::de::DeserializeOwned;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
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

/// Opens a regular file for reading; its size as well. Anything else is refused without waiting for
/// it: a pipe may never answer, and a device may never end.
///
/// # Errors
/// [`FileError`] naming the file; of kind [`io::ErrorKind::InvalidInput`] if it is not a regular
/// file.
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    let failed = |e| FileError::new("open the file", path, e);
    // Asked first, since opening a device may have effects; asked again of what was opened.
    check_regular(&fs::metadata(path).map_err(failed)?).map_err(failed)?;
    let file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    check_regular(&meta).map_err(failed)?;
    Ok((file, meta.len()))
}

fn check_regular(meta: &Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    let message = format!("it is {what}; expected a file");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
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

/// What the disk says of a file. It changes whenever the content does, even if whoever writes sets
/// the time of the last modification back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// When the content changed last, in nanoseconds after 1970.
    pub modified: i128,
    /// When the content, the name or the permissions changed last, in nanoseconds after 1970.
    pub changed: i128,
    /// The file's number on its disk.
    pub inode: u64,
}

impl Stamp {
    /// That of the file which a path leads to, or of a link that leads nowhere.
    ///
    /// # Errors
    /// [`FileError`] naming the file.
    pub fn of(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path)
            .or_else(|_| fs::symlink_metadata(path))
            .map_err(|e| FileError::new("inspect the file", path, e))?;
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Ok(Self {
            size: meta.len(),
            modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        })
    }
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
    fn no_change_escapes_a_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_atomic(&path, b"one").unwrap();
        let (stamp, (_, time)) = (Stamp::of(&path).unwrap(), size_and_time(&path).unwrap());
        assert_eq!(Stamp::of(&path).unwrap(), stamp);
        // In place, of the same size, with the time set back.
        let mut file = File::options().write(true).open(&path).unwrap();
        io::Write::write_all(&mut file, b"two").unwrap();
        file.set_modified(time).unwrap();
        let after = Stamp::of(&path).unwrap();
        assert_eq!((after.size, after.modified), (stamp.size, stamp.modified));
        assert_ne!(after, stamp);
        assert!(
            Stamp::of(&dir.path().join("gone"))
                .unwrap_err()
                .is_not_found()
        );
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_atomic(&path, b"text").unwrap();
        assert_eq!(open_regular(&path).unwrap().1, 4);
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (dir.path(), "a folder"),
            (&pipe, "a pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = open_regular(path).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(
            open_regular(&dir.path().join("gone"))
                .unwrap_err()
                .is_not_found()
        );
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
