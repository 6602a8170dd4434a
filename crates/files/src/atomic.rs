use crate::error::{FileError, Result};
use crate::folder::{create_dir, name_of, parent, rename, sync_dir, sync_tree};
use crate::owner::Owner;
use segad_core::Key;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".tmp";

/// Writes a file so that readers see either the old content or all of the new one. The folder must
/// exist.
///
/// # Errors
/// [`FileError`] naming the file, which then has its old content.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    put(&mut file.file, path, bytes)?;
    file.commit()
}

/// Fails unless a file could be written there, for those who write it after long work. Changes
/// nothing.
///
/// # Errors
/// As [`write_atomic`].
pub fn check_file(path: &Path) -> Result<()> {
    AtomicFile::create(path).map(drop)
}

/// Fails unless files could be written to a folder, which need not exist yet. Changes nothing.
///
/// # Errors
/// [`FileError`] naming the folder, or that above it which exists.
pub fn check_folder(path: &Path) -> Result<()> {
    let fail = |e| FileError::new("create the folder", path, e);
    let mut existing = path;
    loop {
        match fs::metadata(existing) {
            Ok(meta) if meta.is_dir() => break,
            Ok(_) => return Err(fail(io::ErrorKind::NotADirectory.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => existing = parent(existing),
            Err(e) => return Err(fail(e)),
        }
    }
    check_file(&existing.join("probe")).map_err(|e| FileError {
        path: existing.to_owned(),
        action: "write to the folder",
        ..e
    })
}

/// [`write_atomic`], creating the folder if need be.
///
/// # Errors
/// As [`write_atomic`], and [`FileError`] naming the folder.
pub fn write_with_parents(path: &Path, bytes: &[u8]) -> Result<()> {
    create_dir(parent(path))?;
    write_atomic(path, bytes)
}

/// [`write_with_parents`] only if the content changes, so that the file's time stays and nothing is
/// rebuilt for it. Returns whether it was written.
///
/// # Errors
/// As [`write_with_parents`].
pub fn write_if_changed(path: &Path, text: &str) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    write_with_parents(path, text.as_bytes())?;
    Ok(true)
}

/// Writes a value as indented JSON with a final line break, as [`write_atomic`] does.
///
/// # Errors
/// As [`write_atomic`]; of kind [`io::ErrorKind::InvalidInput`] if the value has no JSON form.
pub fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, e);
        FileError::new("write the value as JSON", path, source)
    })?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

/// Creates or empties a file in a folder that is published as a whole later.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| FileError::new("create the file", path, e))
}

/// Puts a finished file or folder in its place on the same disk: flushes all of it, renames it and
/// flushes the folder it is now in. A file replaces a file; a folder only an empty folder.
///
/// # Errors
/// [`FileError`] naming what could not be flushed or the new place.
pub fn publish(from: &Path, to: &Path) -> Result<()> {
    sync_tree(from)?;
    rename(from, to)?;
    sync_dir(parent(to))
}

/// A file being written. [`AtomicFile::commit`] puts it in place; dropped before that, it leaves
/// nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    /// Whether it lies in a staging folder, which is flushed as a whole when it is published.
    staged: bool,
}

impl AtomicFile {
    /// Starts the file that will be at `path`.
    ///
    /// # Errors
    /// [`FileError`] naming the file; of kind [`io::ErrorKind::InvalidFilename`] for a path without
    /// a file name, [`io::ErrorKind::IsADirectory`] for a folder.
    pub fn create(path: &Path) -> Result<Self> {
        let refuse = |kind: io::ErrorKind| FileError::new("create the file", path, kind.into());
        let name = path
            .file_name()
            .ok_or_else(|| refuse(io::ErrorKind::InvalidFilename))?;
        // Otherwise found out by the rename, after everything was written.
        if path.is_dir() {
            return Err(refuse(io::ErrorKind::IsADirectory));
        }
        // Unique per call: two threads may write the same file.
        let tag = Owner::current().unique_tag();
        let temporary = path.with_file_name(temporary_name(&name.to_string_lossy(), &tag));
        let file =
            create_new(&temporary).map_err(|e| FileError::new("create the file", path, e))?;
        Ok(Self {
            file,
            temporary,
            target: path.to_owned(),
            staged: (path.ancestors().skip(1)).any(|p| Owner::from_tag(&name_of(p)).is_some()),
        })
    }

    /// Where the file will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// [`AtomicFile::commit`] under another name in the same folder.
    ///
    /// # Errors
    /// [`FileError`] naming the file.
    pub fn commit_as(mut self, path: &Path) -> Result<()> {
        path.clone_into(&mut self.target);
        self.commit()
    }

    /// Flushes the file to the disk (except in a staging folder) and renames it into place,
    /// replacing what was there.
    ///
    /// # Errors
    /// [`FileError`] naming the file.
    pub fn commit(self) -> Result<()> {
        if !self.staged {
            self.file
                .sync_all()
                .map_err(|e| FileError::new("write the file", &self.target, e))?;
        }
        rename(&self.temporary, &self.target)?;
        // The rename itself is only durable once the folder is.
        if self.staged {
            Ok(())
        } else {
            sync_dir(parent(&self.target))
        }
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
        // After a commit there is nothing under this name any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The hidden name of a file that the process of `tag` is writing.
pub(crate) fn temporary_name(name: &str, tag: &str) -> String {
    format!(".{name}@{tag}{SUFFIX}")
}

/// The process that writes the file of this name, if it is a temporary name.
pub(crate) fn temporary_owner(name: &str) -> Option<Owner> {
    let (_, tag) = name
        .strip_prefix('.')?
        .strip_suffix(SUFFIX)?
        .rsplit_once('@')?;
    Owner::from_tag(tag)
}

fn create_new(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

fn put(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes)
        .map_err(|e| FileError::new("write the file", path, e))
}

/// Lets everybody run a file, as programs and the dynamic loader need.
///
/// # Errors
/// [`FileError`] naming the file.
#[cfg(unix)]
pub fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|e| FileError::new("make it executable", path, e))
}

/// Gives a file a second name on the same disk, where none may be yet.
///
/// # Errors
/// [`FileError`] naming the new place.
pub fn hard_link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).map_err(|e| FileError::new("link the file", to, e))
}

/// Copies a file to a new one and flushes it; returns the size and digest of what was read.
///
/// # Errors
/// [`FileError`] naming the file that could not be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<(u64, Key)> {
    let mut source = crate::open(from)?;
    let mut target = create_new(to).map_err(|e| FileError::new("create the file", to, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(FileError::new("read the file", from, e)),
        };
        hasher.update(&buffer[..n]);
        put(&mut target, to, &buffer[..n])?;
    }
    target
        .sync_all()
        .map_err(|e| FileError::new("write the file", to, e))?;
    Ok((hasher.count(), (*hasher.finalize().as_bytes()).into()))
}

/// Creates a file with its content; `false`, changing nothing, if there is one already. Of several
/// callers exactly one creates it.
///
/// The file is not flushed: it serves as a lease, and a power cut that loses the lease has stopped
/// its holder too.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn create_exclusive(path: &Path, bytes: &[u8]) -> Result<bool> {
    let mut ready = AtomicFile::create(path)?;
    put(&mut ready.file, path, bytes)?;
    // A hard link fails if the name is taken, unlike a rename, and shows the file only once it is
    // filled, unlike exclusive creation.
    match fs::hard_link(&ready.temporary, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // The file system has no hard links.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            create_then_fill(path, bytes)
        }
        Err(e) => Err(FileError::new("create the file", path, e)),
    }
}

fn create_then_fill(path: &Path, bytes: &[u8]) -> Result<bool> {
    match create_new(path) {
        Ok(mut file) => put(&mut file, path, bytes).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(FileError::new("create the file", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::is_disk_full;
    use crate::{list_all, list_dir, read, read_to_string, sweep};

    #[test]
    fn a_write_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.md");
        write_atomic(&path, b"one").unwrap();
        let mut half = AtomicFile::create(&path).unwrap();
        half.write_all(b"tw").unwrap();
        assert_eq!(list_dir(dir.path()).unwrap(), std::slice::from_ref(&path));
        drop(half);
        assert_eq!(read(&path).unwrap(), b"one");
        assert_eq!(list_all(dir.path()).unwrap().len(), 1);
        write_atomic(&path, b"two").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "two");
    }

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_file_and_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.md");
        write_atomic(&path, b"old").unwrap();
        let mut half = AtomicFile::create(&path).unwrap();
        half.write_all(b"new").unwrap();
        // As a kill leaves it: nothing is dropped, and the owner is dead.
        let left = dir
            .path()
            .join(temporary_name("table.md", &Owner::dead().unique_tag()));
        fs::rename(&half.temporary, &left).unwrap();
        std::mem::forget(half);
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert_eq!(list_all(dir.path()).unwrap(), [path]);
    }

    #[test]
    fn of_two_writers_one_wins_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let contents = [vec![b'a'; 100_000], vec![b'b'; 50_000]];
        write_atomic(&path, &contents[0]).unwrap();
        std::thread::scope(|scope| {
            let (path, contents) = (&path, &contents);
            for content in contents {
                scope.spawn(move || (0..20).for_each(|_| write_atomic(path, content).unwrap()));
            }
            for _ in 0..200 {
                assert!(contents.contains(&read(path).unwrap()));
            }
        });
        assert_eq!(list_all(dir.path()).unwrap(), [path]);
    }

    #[test]
    fn only_the_first_creates() {
        let dir = tempfile::tempdir().unwrap();
        for (i, create) in [create_exclusive, create_then_fill].into_iter().enumerate() {
            let path = dir.path().join(i.to_string());
            let created = std::thread::scope(|scope| {
                let threads = [b"a", b"b", b"c", b"d"].map(|content| {
                    let path = &path;
                    scope.spawn(move || create(path, content).unwrap())
                });
                threads.map(|t| t.join().unwrap())
            });
            assert_eq!(created.iter().filter(|c| **c).count(), 1);
            let winner = created.iter().position(|c| *c).unwrap();
            assert_eq!(read(&path).unwrap(), [b'a' + winner as u8]);
            assert!(!create(&path, b"late").unwrap());
        }
        assert_eq!(list_all(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_full_disk_keeps_its_kind() {
        let path = Path::new("/dev/full");
        let mut full = File::options().write(true).open(path).unwrap();
        let error = put(&mut full, path, b"x").unwrap_err();
        assert!(is_disk_full(error.kind()), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("/dev/full: cannot write the file: "),
            "{text}"
        );
    }

    #[test]
    fn refusals_keep_their_kind_and_name_the_path() {
        // Nobody may create files here, not even root.
        let path = Path::new("/sys/segad");
        let error = write_atomic(path, b"x").unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ),
            "{error:?}"
        );
        assert_eq!(error.path, path);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write_atomic(&file, b"x").unwrap();
        let below = file.join("below");
        assert_eq!(create_dir(&below).unwrap_err().path, below);
        let error = write_with_parents(&below.join("x"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = write_atomic(&dir.path().join("none/x"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = write_atomic(Path::new("/"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }

    #[test]
    fn an_unchanged_file_keeps_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        assert!(write_if_changed(&path, "one").unwrap());
        let before = crate::size_and_time(&path).unwrap();
        assert!(!write_if_changed(&path, "one").unwrap());
        assert_eq!(crate::size_and_time(&path).unwrap(), before);
        assert!(write_if_changed(&path, "two").unwrap());
        assert_eq!(read(&path).unwrap(), b"two");
    }
}
