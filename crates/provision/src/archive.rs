//! Unpacking of zip archives (wheels are such) into a staging folder.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;

use crate::error::ProvisionError;
use crate::files;

/// Unpacks the entries that `select` gives a place for, relative to `into`; returns their number.
///
/// At most `max_bytes` are written in all, whatever the archive's directory says, so that a bomb cannot fill the disk.
///
/// # Errors
/// The archive is damaged, a selected entry is a link or encrypted, a place lies outside `into`, the limit is passed,
/// or the disk is full.
pub fn unpack(
    archive: &Path,
    into: &Path,
    max_bytes: u64,
    select: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, ProvisionError> {
    let wrap = |problem: String| ProvisionError::Archive { path: archive.to_path_buf(), problem };
    let reader = io::BufReader::with_capacity(1 << 20, files::open(archive)?);
    let mut zip =
        ZipArchive::new(reader).map_err(|e| wrap(format!("no readable zip archive ({e}); get it again")))?;
    let mut left = max_bytes;
    let mut unpacked = 0;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|e| wrap(format!("entry {index}: {e}")))?;
        let name = entry.name().map_err(|e| wrap(format!("entry {index}: {e}")))?.into_owned();
        if entry.is_dir() {
            continue;
        }
        let Some(place) = select(&name) else { continue };
        if entry.is_symlink() {
            return Err(wrap(format!("entry {name:?} is a link, which is not unpacked")));
        }
        if !place.components().all(|c| matches!(c, Component::Normal(_))) || place.as_os_str().is_empty() {
            return Err(wrap(format!("entry {name:?} lies outside the archive")));
        }
        let place = into.join(place);
        if let Some(folder) = place.parent() {
            files::create_dir(folder)?;
        }
        let mut file = files::create(&place)?;
        // One byte more than allowed tells that there is more.
        let mut limited = (&mut entry).take(left.saturating_add(1));
        let written = copy(&mut limited, &mut file).map_err(|e| match e {
            CopyError::Read(e) => wrap(format!("entry {name:?}: {e}; get the archive again")),
            CopyError::Write(e) => ProvisionError::io("writing", &place, e),
        })?;
        left = left
            .checked_sub(written)
            .ok_or_else(|| wrap(format!("entry {name:?} passes the limit of {max_bytes} bytes")))?;
        unpacked += 1;
    }
    Ok(unpacked)
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// `io::copy`, but a damaged archive and a full disk stay apart.
fn copy(from: &mut impl Read, to: &mut impl io::Write) -> Result<u64, CopyError> {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        let n = from.read(&mut buffer).map_err(CopyError::Read)?;
        if n == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..n]).map_err(CopyError::Write)?;
        total += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.whl");
        let mut zip = ZipWriter::new(files::create(&path).unwrap());
        for (name, data) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap();
        (dir, path)
    }

    fn all(name: &str) -> Option<PathBuf> {
        Some(PathBuf::from(name))
    }

    #[test]
    fn selects_and_renames() {
        let (dir, path) = archive(&[("p/a.txt", b"a"), ("p/b.txt", b"b"), ("q/c.txt", b"c")]);
        let into = dir.path().join("out");
        let n = unpack(&path, &into, 10, |name| name.strip_prefix("p/").map(PathBuf::from));
        assert_eq!(n.unwrap(), 2);
        assert_eq!(files::read(&into.join("b.txt")).unwrap(), b"b");
        assert!(!into.join("q").exists());
    }

    #[test]
    fn refuses_what_leaves_the_folder() {
        for name in ["../evil", "/tmp/evil", "a/../../evil"] {
            let (dir, path) = archive(&[(name, b"x")]);
            let into = dir.path().join("out/deep");
            let error = unpack(&path, &into, 10, all).unwrap_err().to_string();
            assert!(error.contains("outside"), "{name}: {error}");
            assert!(!dir.path().join("out/evil").exists());
        }
    }

    #[test]
    fn refuses_links_bombs_and_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link.zip");
        let mut zip = ZipWriter::new(files::create(&path).unwrap());
        zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        let error = unpack(&path, dir.path(), 100, all).unwrap_err().to_string();
        assert!(error.contains("link"), "{error}");

        let (dir, path) = archive(&[("zeros", &[0; 100_000])]);
        assert!(path.metadata().unwrap().len() < 1000);
        let error = unpack(&path, dir.path(), 99_999, all).unwrap_err().to_string();
        assert!(error.contains("limit of 99999"), "{error}");
        assert_eq!(unpack(&path, dir.path(), 100_000, all).unwrap(), 1);

        let whole = files::read(&path).unwrap();
        for end in 0..whole.len() {
            files::write_atomic(&path, &whole[..end]).unwrap();
            assert!(unpack(&path, dir.path(), 1 << 20, all).is_err());
        }
    }
}
