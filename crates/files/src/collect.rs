use crate::atomic::copy;
use crate::error::{FileError, Result};
use crate::folder::{create_dir, parent};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Opens a file to add lines at its end; creates it, and its folder, if it is absent. Half a line
/// that a crash left there is ended, so that the next one is whole.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn append(path: &Path) -> Result<File> {
    create_dir(parent(path))?;
    let failed = |e| FileError::new("open the file for writing", path, e);
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).map_err(failed)?;
        file.read_exact(&mut last).map_err(failed)?;
        if last != *b"\n" {
            file.write_all(b"\n").map_err(failed)?;
        }
    }
    Ok(file)
}

/// Moves a file, also to another disk, and creates the folder where it goes. Nothing is replaced:
/// where the name is taken, a number is added to it. Gives the new place.
///
/// # Errors
/// [`FileError`] naming what could not be done; the file is then where it was.
pub fn move_aside(from: &Path, to: &Path) -> Result<PathBuf> {
    create_dir(parent(to))?;
    let mut place = to.to_owned();
    let mut number = 0;
    while let Err(e) = link_or_copy(from, &place) {
        if e.kind() != io::ErrorKind::AlreadyExists {
            return Err(FileError::new("put the file in place", &place, e));
        }
        number += 1;
        place = numbered(to, number);
    }
    fs::remove_file(from).map_err(|e| FileError::new("remove it", from, e))?;
    Ok(place)
}

/// Unlike a rename, neither replaces anything.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(e)
            if !matches!(
                e.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
            ) => {}
        linked => return linked,
    }
    // Another disk, or one without links.
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    copy(from, to).map(drop).map_err(|e| {
        // Half a copy would keep the name.
        let _ = fs::remove_file(to);
        e.source
    })
}

/// `a.png`, `a.1.png`, `a.2.png`, …
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{read_to_string, write_atomic};

    #[test]
    fn lines_are_added_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/journal");
        for line in ["one\n", "half"] {
            append(&path).unwrap().write_all(line.as_bytes()).unwrap();
        }
        append(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "one\nhalf\ntwo\n");
        assert!(append(dir.path()).is_err());
    }

    #[test]
    fn a_move_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut places = Vec::new();
        for content in ["one", "two", "three"] {
            let from = dir.path().join("a.png");
            write_atomic(&from, content.as_bytes()).unwrap();
            let to = dir.path().join("done/a.png");
            places.push(move_aside(&from, &to).unwrap());
            assert!(!from.exists());
        }
        for (place, (name, content)) in
            places
                .iter()
                .zip([("a.png", "one"), ("a.1.png", "two"), ("a.2.png", "three")])
        {
            assert_eq!(place, &dir.path().join("done").join(name));
            assert_eq!(read_to_string(place).unwrap(), content);
        }
        assert!(move_aside(&dir.path().join("gone"), &places[0]).is_err());
        assert_eq!(read_to_string(&places[0]).unwrap(), "one");
    }
}
