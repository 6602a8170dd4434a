use crate::atomic::{temporary_owner, write_atomic};
use crate::error::{FileError, Result};
use crate::owner::Owner;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Creates a folder and those above it; an existing one is fine.
///
/// # Errors
/// [`FileError`] naming the folder.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| FileError::new("create the folder", path, e))
}

/// The entries of a folder, sorted by name, without the temporary files of this crate.
///
/// # Errors
/// [`FileError`] naming the folder.
pub fn list_dir(path: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = list_all(path)?;
    entries.retain(|p| temporary_owner(&name_of(p)).is_none());
    Ok(entries)
}

/// The entries of a folder, sorted by name, including temporary files.
///
/// # Errors
/// [`FileError`] naming the folder.
pub fn list_all(path: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|e| Ok(e?.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|e| FileError::new("list the folder", path, e))?;
    entries.sort();
    Ok(entries)
}

/// The file name; parts that are not UTF-8 are replaced.
pub fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The place that a path leads to, without links and `..`.
///
/// # Errors
/// [`FileError`] naming the path.
pub fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|e| FileError::new("find it", path, e))
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Removes a file, or a folder with everything in it; an absent one is fine.
///
/// # Errors
/// [`FileError`] naming it.
pub fn remove(path: &Path) -> Result<()> {
    // A link is removed itself, not what it points to.
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::new("remove it", path, e)),
        _ => Ok(()),
    }
}

/// Renames a file or folder within a disk, without flushing anything; see
/// [`publish`](crate::publish).
///
/// # Errors
/// [`FileError`] naming the new place.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| FileError::new("put it in place", to, e))
}

/// Flushes a file to the disk.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn sync_file(path: &Path) -> Result<()> {
    crate::open(path)?
        .sync_all()
        .map_err(|e| FileError::new("flush the file", path, e))
}

/// Flushes a folder's entries to the disk.
///
/// # Errors
/// [`FileError`] naming the folder.
pub fn sync_dir(path: &Path) -> Result<()> {
    match sync_file(path) {
        // Some file systems cannot flush a folder; there is nothing better to do on them.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// Flushes a file, or a folder with everything in it; links are not followed.
///
/// # Errors
/// [`FileError`] naming the file or folder.
pub fn sync_tree(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path).map_err(|e| FileError::new("inspect it", path, e))?;
    if meta.is_file() {
        return sync_file(path);
    }
    if meta.is_dir() {
        list_all(path)?.iter().try_for_each(|p| sync_tree(p))?;
        return sync_dir(path);
    }
    Ok(())
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

/// Removes the temporary files and staging folders that dead processes of this machine left in a
/// folder; returns their number.
///
/// # Errors
/// [`FileError`] naming the folder or file.
pub fn sweep(folder: &Path) -> Result<usize> {
    let mut removed = 0;
    for path in list_all(folder)? {
        let name = name_of(&path);
        let owner = temporary_owner(&name).or_else(|| Owner::from_tag(&name));
        if owner.is_some_and(|o| o.is_dead()) {
            remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::temporary_name;
    use crate::{AtomicFile, write_with_parents};

    #[test]
    fn sweeping_spares_the_living() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let alive = AtomicFile::create(&path).unwrap();
        let left = dir
            .path()
            .join(temporary_name("a", &Owner::dead().unique_tag()));
        fs::write(left, b"x").unwrap();
        write_with_parents(&dir.path().join(Owner::dead().unique_tag()).join("a"), b"x").unwrap();
        fs::write(dir.path().join(".a.tmp"), b"not ours").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 2);
        alive.commit().unwrap();
        assert_eq!(list_all(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_cache_is_tagged_once() {
        let dir = tempfile::tempdir().unwrap();
        tag_cache_dir(dir.path()).unwrap();
        tag_cache_dir(dir.path()).unwrap();
        let text = crate::read_to_string(&dir.path().join("CACHEDIR.TAG")).unwrap();
        assert!(text.starts_with("Signature: 8a477f59"));
    }

    #[test]
    fn a_tree_is_flushed_and_a_dangling_link_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        create_dir(&dir.path().join("a/b")).unwrap();
        write_atomic(&dir.path().join("a/b/c"), b"x").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("a/link")).unwrap();
        sync_tree(dir.path()).unwrap();
        let error = sync_tree(&dir.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
