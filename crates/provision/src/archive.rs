//! Unpacking of archives into a staging folder: zip (including wheels), tar, tar.gz, tar.xz, told
//! apart by content.
//!
//! An archive is not trusted: no link is made, nothing is written outside the folder, nothing
//! twice, and no more than the caller allows, whatever sizes the archive claims.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use segad_files::FileError;
use tar::EntryType;
use zip::ZipArchive;

use crate::error::ProvisionError;

/// Memory that an xz archive may ask for, in KiB; the strongest preset asks for 64 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// Unpacks the entries that `select` gives a place for, relative to `into`; returns their number.
///
/// At most `max_bytes` are written in all, whatever the archive's directory says, so that a bomb
/// cannot fill the disk.
///
/// # Errors
/// The archive is damaged or of another kind, a selected entry is a link, a device or encrypted, a
/// place is outside `into` or already taken, the limit is passed, or the disk is full.
pub fn unpack(
    archive: &Path,
    into: &Path,
    max_bytes: u64,
    select: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, ProvisionError> {
    let mut out = Unpacker {
        archive,
        into,
        max_bytes,
        left: max_bytes,
        taken: HashSet::new(),
    };
    let mut reader = BufReader::with_capacity(1 << 20, segad_files::open(archive)?);
    let mut magic = [0; 6];
    let n =
        fill(&mut reader, &mut magic).map_err(|e| FileError::new("read the file", archive, e))?;
    reader
        .seek(SeekFrom::Start(0))
        .map_err(|e| FileError::new("read the file", archive, e))?;
    match &magic[..n] {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => out.zip(reader, select)?,
        [0x1f, 0x8b, ..] => out.tar(MultiGzDecoder::new(reader), select)?,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            out.tar(XzReader::new_mem_limit(reader, true, XZ_MEMORY), select)?
        }
        _ => out.tar(reader, select)?,
    }
    Ok(out.taken.len())
}

/// One archive and what has come out of it.
struct Unpacker<'a> {
    archive: &'a Path,
    into: &'a Path,
    max_bytes: u64,
    left: u64,
    taken: HashSet<PathBuf>,
}

impl Unpacker<'_> {
    fn wrong(&self, problem: String) -> ProvisionError {
        ProvisionError::Archive {
            path: self.archive.to_path_buf(),
            problem,
        }
    }

    fn unreadable_tar(&self, e: &io::Error) -> ProvisionError {
        self.wrong(format!("not a readable tar archive ({e}); get it again"))
    }

    fn zip(
        &mut self,
        reader: BufReader<std::fs::File>,
        select: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<(), ProvisionError> {
        let mut zip = ZipArchive::new(reader)
            .map_err(|e| self.wrong(format!("no readable zip archive ({e}); get it again")))?;
        for index in 0..zip.len() {
            let mut entry = zip
                .by_index(index)
                .map_err(|e| self.wrong(format!("entry {index}: {e}")))?;
            let name = entry
                .name()
                .map_err(|e| self.wrong(format!("entry {index}: {e}")))?
                .into_owned();
            if entry.is_dir() {
                continue;
            }
            let Some(place) = select(&name) else { continue };
            if entry.is_symlink() {
                return Err(self.wrong(format!("entry {name:?} is a link, which is not unpacked")));
            }
            self.write(&name, place, &mut entry)?;
        }
        Ok(())
    }

    fn tar(
        &mut self,
        reader: impl Read,
        select: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<(), ProvisionError> {
        let mut tar = tar::Archive::new(reader);
        let mut found = false;
        for entry in tar.entries().map_err(|e| self.unreadable_tar(&e))? {
            let mut entry = entry.map_err(|e| self.unreadable_tar(&e))?;
            found = true;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
                continue;
            }
            let Some(place) = select(&name) else { continue };
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    self.write(&name, place, &mut entry)?
                }
                EntryType::Symlink | EntryType::Link => {
                    return Err(
                        self.wrong(format!("entry {name:?} is a link, which is not unpacked"))
                    );
                }
                _ => return Err(self.wrong(format!("entry {name:?} is not a regular file"))),
            }
        }
        if !found {
            return Err(self.wrong("neither zip nor tar, or empty; get it again".to_owned()));
        }
        Ok(())
    }

    fn write(
        &mut self,
        name: &str,
        place: PathBuf,
        from: &mut impl Read,
    ) -> Result<(), ProvisionError> {
        // `..` and absolute paths would lead outside.
        if !place
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
            || place.as_os_str().is_empty()
        {
            return Err(self.wrong(format!("entry {name:?} is outside the archive")));
        }
        let path = self.into.join(&place);
        if !self.taken.insert(place) {
            return Err(self.wrong(format!("entry {name:?} occurs twice")));
        }
        if let Some(folder) = path.parent() {
            segad_files::create_dir(folder)?;
        }
        let mut file = segad_files::create(&path)?;
        // One byte more than allowed shows that there is more.
        let mut limited = from.take(self.left.saturating_add(1));
        let written = copy(&mut limited, &mut file).map_err(|e| match e {
            CopyError::Read(e) => self.wrong(format!("entry {name:?}: {e}; get the archive again")),
            CopyError::Write(e) => FileError::new("write the file", &path, e).into(),
        })?;
        // Counted as written, since sizes in an archive's directory can lie.
        self.left = self.left.checked_sub(written).ok_or_else(|| {
            self.wrong(format!(
                "entry {name:?} passes the limit of {} bytes",
                self.max_bytes
            ))
        })?;
        Ok(())
    }
}

/// Reads as many of the first bytes as there are.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match reader.read(&mut buffer[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
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
        let mut zip = ZipWriter::new(segad_files::create(&path).unwrap());
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

    fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, data) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            tar.append_data(&mut header, name, *data).unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// `printf a > a.txt; mkdir d; printf bb > d/b.txt; tar --owner=0 --group=0 --mtime=@0 -c a.txt d | xz -9`,
    /// with GNU tar 1.34 and xz 5.4.1.
    const XZ: &[u8] = include_bytes!("../tests/fixtures/small.tar.xz");

    #[test]
    fn tar_archives_are_told_apart_by_content() {
        let plain = tar(&[("a.txt", b"a"), ("d/b.txt", b"bb")]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&plain).unwrap();
        for bytes in [plain, gz.finish().unwrap(), XZ.to_vec()] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("archive");
            segad_files::write_with_parents(&path, &bytes).unwrap();
            assert_eq!(unpack(&path, &dir.path().join("out"), 3, all).unwrap(), 2);
            assert_eq!(
                segad_files::read(&dir.path().join("out/d/b.txt")).unwrap(),
                b"bb"
            );
            let error = unpack(&path, &dir.path().join("less"), 2, all)
                .unwrap_err()
                .to_string();
            assert!(error.contains("limit of 2 bytes"), "{error}");
            let half = &bytes[..bytes.len() / 2];
            segad_files::write_with_parents(&path, half).unwrap();
            // Half a plain archive may end between two entries; then what is missing is found by
            // counting.
            let unpacked = unpack(&path, &dir.path().join("half"), 10, all);
            assert!(
                unpacked.as_ref().is_ok_and(|&n| n < 2) || unpacked.is_err(),
                "{unpacked:?}"
            );
            segad_files::write_with_parents(&path, b"neither").unwrap();
            let error = unpack(&path, dir.path(), 10, all).unwrap_err().to_string();
            assert!(error.contains("get it again"), "{error}");
        }
    }

    #[test]
    fn selects_and_renames() {
        let (dir, path) = archive(&[("p/a.txt", b"a"), ("p/b.txt", b"b"), ("q/c.txt", b"c")]);
        let into = dir.path().join("out");
        let n = unpack(&path, &into, 10, |name| {
            name.strip_prefix("p/").map(PathBuf::from)
        });
        assert_eq!(n.unwrap(), 2);
        assert_eq!(segad_files::read(&into.join("b.txt")).unwrap(), b"b");
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
        let mut zip = ZipWriter::new(segad_files::create(&path).unwrap());
        zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default())
            .unwrap();
        zip.finish().unwrap();
        let error = unpack(&path, dir.path(), 100, all).unwrap_err().to_string();
        assert!(error.contains("link"), "{error}");

        let (dir, path) = archive(&[("zeros", &[0; 100_000])]);
        assert!(segad_files::size_and_time(&path).unwrap().0 < 1000);
        let error = unpack(&path, dir.path(), 99_999, all)
            .unwrap_err()
            .to_string();
        assert!(error.contains("limit of 99999"), "{error}");
        assert_eq!(unpack(&path, dir.path(), 100_000, all).unwrap(), 1);

        let whole = segad_files::read(&path).unwrap();
        for end in 0..whole.len() {
            segad_files::write_with_parents(&path, &whole[..end]).unwrap();
            assert!(unpack(&path, dir.path(), 1 << 20, all).is_err());
        }
    }
}
