//! Files for the rest of the workspace: writes that are whole or absent, reads whose errors name
//! the file.
//!
//! A file is written under a hidden temporary name in the same folder, flushed to the disk, renamed
//! into place, and the folder flushed. A process that is killed leaves at most such a hidden file;
//! [`sweep`] removes the ones whose process is dead. Inside a draft nothing is flushed: its commit
//! flushes all of it at once, which is several times fewer waits for the disk.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that touches files"
)]

use crate::error::{Result, StoreError};
use crate::owner::Owner;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SUFFIX: &str = ".tmp";

/// Writes a file so that readers see either the old content or all of the new one. The folder must
/// exist.
///
/// # Errors
/// [`StoreError::Io`] naming the file; the old content then still stands.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    put(&mut file.file, path, bytes)?;
    file.commit()
}

/// Writes a value as indented JSON with a final line break, as [`write_atomic`] does.
///
/// # Errors
/// [`StoreError::Invalid`] if the value has no JSON form, [`StoreError::Io`].
pub fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::invalid(path, e))?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// A file's bytes.
///
/// # Errors
/// [`StoreError::Io`] naming the file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| StoreError::io("read the file", path, e))
}

/// A file's text.
///
/// # Errors
/// [`StoreError::Io`] naming the file, [`StoreError::Damaged`] unless it is UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|e| StoreError::content(path, e.utf8_error()))
}

/// A value from a JSON file.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Damaged`] with line and column where it does not parse.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?).map_err(|e| StoreError::content(path, e))
}

/// A file open for reading.
///
/// # Errors
/// [`StoreError::Io`] naming the file.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| StoreError::io("open the file", path, e))
}

/// Makes a folder and those above it; one that exists is fine.
///
/// # Errors
/// [`StoreError::Io`] naming the folder.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| StoreError::io("create the folder", path, e))
}

/// The entries of a folder, sorted by name. Hidden temporary files of this module are left out.
///
/// # Errors
/// [`StoreError::Io`] naming the folder.
pub fn list_dir(path: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = all_entries(path)?;
    entries.retain(|p| temporary_owner(&name_of(p)).is_none());
    Ok(entries)
}

/// As [`list_dir`], temporary files included.
pub(crate) fn all_entries(path: &Path) -> Result<Vec<PathBuf>> {
    let list = |e| StoreError::io("list the folder", path, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(list)? {
        entries.push(entry.map_err(list)?.path());
    }
    entries.sort();
    Ok(entries)
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Size in bytes and time of the last change.
///
/// # Errors
/// [`StoreError::Io`] naming the file.
pub fn size_and_time(path: &Path) -> Result<(u64, SystemTime)> {
    let stat = |e| StoreError::io("look at the file", path, e);
    let meta = fs::metadata(path).map_err(stat)?;
    Ok((meta.len(), meta.modified().map_err(stat)?))
}

/// Removes a file, or a folder with all that is in it; one that is not there is fine.
///
/// # Errors
/// [`StoreError::Io`] naming it.
pub fn remove(path: &Path) -> Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove it", path, e)),
        _ => Ok(()),
    }
}

/// Marks a folder as a cache, so that back-up programs leave it out (see bford.info/cachedir).
///
/// # Errors
/// As [`write_atomic`].
pub fn tag_cache_dir(folder: &Path) -> Result<()> {
    let path = folder.join("CACHEDIR.TAG");
    if path.exists() {
        return Ok(());
    }
    let text = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of segad.\n";
    write_atomic(&path, text.as_bytes())
}

/// Removes temporary files that dead processes of this machine left in a folder; returns how many.
///
/// # Errors
/// [`StoreError::Io`] naming the folder or file.
pub fn sweep(folder: &Path) -> Result<usize> {
    let mut removed = 0;
    for path in all_entries(folder)? {
        if temporary_owner(&name_of(&path)).is_some_and(|o| o.is_dead()) {
            remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn temporary_owner(name: &str) -> Option<Owner> {
    let (_, tag) = name
        .strip_prefix('.')?
        .strip_suffix(SUFFIX)?
        .rsplit_once('@')?;
    Owner::from_tag(tag)
}

/// A file being written. [`AtomicFile::commit`] puts it in place; dropped before, it leaves
/// nothing.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    /// Whether it stands in the folder of a draft, which flushes all its files when it is
    /// committed.
    in_draft: bool,
}

impl AtomicFile {
    /// Starts a file that will stand at `path`.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Invalid`] for a path without a file name.
    pub fn create(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| StoreError::invalid(path, "a path without a file name"))?;
        let tag = Owner::current().unique_tag();
        let temporary = path.with_file_name(format!(".{}@{tag}{SUFFIX}", name.to_string_lossy()));
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|e| StoreError::io("create the file", path, e))?;
        let in_draft = Owner::from_tag(&name_of(parent(path))).is_some();
        Ok(Self {
            file,
            temporary,
            target: path.to_owned(),
            in_draft,
        })
    }

    /// Where the file will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Flushes to the disk (but not inside a draft) and renames into place, over whatever stood
    /// there.
    ///
    /// # Errors
    /// [`StoreError::Io`] naming the file.
    pub fn commit(self) -> Result<()> {
        if !self.in_draft {
            self.file
                .sync_all()
                .map_err(|e| StoreError::io("write the file", &self.target, e))?;
        }
        fs::rename(&self.temporary, &self.target)
            .map_err(|e| StoreError::io("put the file in place", &self.target, e))?;
        if self.in_draft {
            Ok(())
        } else {
            sync_dir(parent(&self.target))
        }
        // The drop that follows finds no temporary file any more.
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

pub(crate) fn put(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes)
        .map_err(|e| StoreError::io("write the file", path, e))
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Flushes a folder's entries. File systems that cannot do that say so; there is nothing better
/// then.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    match open(path)?.sync_all() {
        Err(e)
            if !matches!(
                e.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(StoreError::io("flush the folder", path, e))
        }
        _ => Ok(()),
    }
}

/// Size and BLAKE3 digest of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, segad_core::Key)> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(open(path)?)
        .map_err(|e| StoreError::io("read the file", path, e))?;
    Ok((hasher.count(), (*hasher.finalize().as_bytes()).into()))
}

/// Copies a file, flushes it, and gives the size and digest of what was read.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(u64, segad_core::Key)> {
    let mut source = open(from)?;
    let mut target = File::options()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(|e| StoreError::io("create the file", to, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(StoreError::io("read the file", from, e)),
        };
        hasher.update(&buffer[..n]);
        put(&mut target, to, &buffer[..n])?;
    }
    target
        .sync_all()
        .map_err(|e| StoreError::io("write the file", to, e))?;
    Ok((hasher.count(), (*hasher.finalize().as_bytes()).into()))
}

pub(crate) fn sync_file(path: &Path) -> Result<()> {
    open(path)?
        .sync_all()
        .map_err(|e| StoreError::io("write the file", path, e))
}

/// Renames; the raw error is kept for callers that expect one.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Creates a file with its content, or fails with `AlreadyExists`. A hard link makes both one step;
/// where the file system has none, the file is created exclusively and then filled. Not flushed: it
/// is for leases, and whom a power cut deprives of one is not running any more.
pub(crate) fn create_exclusive(path: &Path, bytes: &[u8]) -> Result<bool> {
    let ready = AtomicFile::create(path).and_then(|mut f| {
        put(&mut f.file, path, bytes)?;
        Ok(f)
    })?;
    match fs::hard_link(&ready.temporary, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            create_then_fill(path, bytes)
        }
        Err(e) => Err(StoreError::io("create the file", path, e)),
    }
}

fn create_then_fill(path: &Path, bytes: &[u8]) -> Result<bool> {
    match File::options().write(true).create_new(true).open(path) {
        Ok(mut file) => put(&mut file, path, bytes).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(StoreError::io("create the file", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_write_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.md");
        write_atomic(&path, b"one").unwrap();
        let mut half = AtomicFile::create(&path).unwrap();
        half.write_all(b"tw").unwrap();
        assert_eq!(list_dir(dir.path()).unwrap(), std::slice::from_ref(&path)); // the temporary file is not shown
        drop(half);
        assert_eq!(read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomic(&path, b"two").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "two");
    }

    #[test]
    fn a_full_disk_is_named() {
        let path = Path::new("/dev/full");
        let mut full = File::options().write(true).open(path).unwrap();
        let e = put(&mut full, path, b"x").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NoSpace);
        assert!(
            e.to_string()
                .starts_with("/dev/full: cannot write the file: "),
            "{e}"
        );
    }

    #[test]
    fn refusals_name_the_path() {
        let e = write_atomic(Path::new("/proc/none.txt"), b"x").unwrap_err();
        assert_eq!(e.path(), Some(Path::new("/proc/none.txt")));
        assert!(
            matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Permission),
            "{e}"
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_atomic(&file, b"x").unwrap();
        assert_eq!(
            create_dir(&file.join("below")).unwrap_err().path(),
            Some(file.join("below").as_path())
        );
        assert_eq!(
            read(&dir.path().join("none")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            write_atomic(Path::new("/"), b"x").unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }

    #[test]
    fn bad_text_and_json_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_atomic(&path, b"{\"a\": 1,}").unwrap();
        let e = read_json::<serde_json::Value>(&path).unwrap_err();
        assert!(
            e.kind() == ErrorKind::Damaged && e.to_string().contains("line 1"),
            "{e}"
        );
        write_atomic(&path, &[0xff]).unwrap();
        assert_eq!(
            read_to_string(&path).unwrap_err().kind(),
            ErrorKind::Damaged
        );
        write_json(&path, &[0.1f32, 2.5]).unwrap();
        assert_eq!(read_json::<Vec<f32>>(&path).unwrap(), [0.1, 2.5]);
    }

    #[test]
    fn only_the_first_creates() {
        let dir = tempfile::tempdir().unwrap();
        for (i, create) in [create_exclusive, create_then_fill].into_iter().enumerate() {
            let path = dir.path().join(i.to_string());
            assert!(create(&path, b"a").unwrap());
            assert!(!create(&path, b"b").unwrap());
            assert_eq!(read(&path).unwrap(), b"a");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn sweeping_spares_the_living() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let alive = AtomicFile::create(&path).unwrap();
        let dead = Owner {
            pid: 0x7fff_fff0,
            ..Owner::current().clone()
        };
        fs::write(
            dir.path().join(format!(".a@{}{SUFFIX}", dead.unique_tag())),
            b"x",
        )
        .unwrap();
        fs::write(dir.path().join(".a.tmp"), b"not ours").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        alive.commit().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_cache_is_tagged_once() {
        let dir = tempfile::tempdir().unwrap();
        tag_cache_dir(dir.path()).unwrap();
        tag_cache_dir(dir.path()).unwrap();
        assert!(
            read_to_string(&dir.path().join("CACHEDIR.TAG"))
                .unwrap()
                .starts_with("Signature: 8a477f59")
        );
    }
}
