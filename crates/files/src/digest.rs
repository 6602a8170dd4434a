use crate::error::{FileError, Result};
use crate::read::{open, read_if_present, size_and_time};
use segad_core::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

/// Size in bytes and BLAKE3 digest of a file, read in pieces.
///
/// # Errors
/// [`FileError`] naming the file.
pub fn digest(path: &Path) -> Result<(u64, Key)> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(open(path)?)
        .map_err(|e| FileError::new("read the file", path, e))?;
    Ok((hasher.count(), (*hasher.finalize().as_bytes()).into()))
}

/// Size in bytes, and modification time in nanoseconds after 1970, of a file when its digest was
/// taken.
type Stamp = (u64, u128);

/// What is known about files between runs: the digests of their contents, each valid as long as the
/// file's size and modification time stay the same, and the keys of whatever was verified.
///
/// Kept in a text file with one line per digest (`<digest> <size> <time> <name>`) or key
/// (`<key> checked`). Lines that cannot be read are skipped: those files are read again.
#[derive(Debug, Default)]
pub struct DigestCache {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<String, (Stamp, Key)>,
    verified: BTreeSet<Key>,
    changed: bool,
}

const VERIFIED: &str = "checked";

impl DigestCache {
    /// A cache that starts with what an earlier run saved in `file`, if anything.
    ///
    /// # Errors
    /// [`FileError`] if the file exists but cannot be read.
    pub fn load(file: &Path) -> Result<Self> {
        let mut known = Known::default();
        let bytes = read_if_present(file)?.unwrap_or_default();
        let lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let skipped = lines.filter(|l| known.add(l).is_none()).count();
        if skipped > 0 {
            tracing::warn!(file = %file.display(), skipped, "unreadable lines in a digest cache");
        }
        Ok(Self {
            file: Some(file.to_owned()),
            known: Mutex::new(known),
        })
    }

    /// The BLAKE3 digest of the file at `path`, which the cache knows as `name`.
    ///
    /// # Errors
    /// [`FileError`] naming the file.
    pub fn digest(&self, name: &str, path: &Path) -> Result<Key> {
        // Taken before the content is read: a file that changes in between has another stamp next
        // time.
        let stamp = stamp(path)?;
        if let Some((_, key)) = self.known().files.get(name).filter(|(s, _)| *s == stamp) {
            return Ok(*key);
        }
        // Without the lock, so that several files can be read at once.
        let (_, key) = digest(path)?;
        let mut known = self.known();
        known.files.insert(name.to_owned(), (stamp, key));
        known.changed = true;
        Ok(key)
    }

    /// True if [`DigestCache::mark_verified`] was called with this key, now or in an earlier run.
    pub fn is_verified(&self, key: &Key) -> bool {
        self.known().verified.contains(key)
    }

    /// Remembers that what the key stands for was verified.
    pub fn mark_verified(&self, key: Key) {
        let mut known = self.known();
        known.changed |= known.verified.insert(key);
    }

    /// Writes the cache to its file, if it has one and anything is new.
    ///
    /// # Errors
    /// [`FileError`] naming the file.
    pub fn save(&self) -> Result<()> {
        let mut known = self.known();
        let Some(file) = self.file.as_ref().filter(|_| known.changed) else {
            return Ok(());
        };
        let mut text = String::new();
        // A name with a line break would read back as another file's.
        for (name, ((size, time), key)) in known.files.iter().filter(|(n, _)| !n.contains('\n')) {
            text.push_str(&format!("{key} {size} {time} {name}\n"));
        }
        for key in &known.verified {
            text.push_str(&format!("{key} {VERIFIED}\n"));
        }
        crate::write_with_parents(file, text.as_bytes())?;
        known.changed = false;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every entry is whole at any time, so a panic elsewhere leaves nothing half-made.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = str::from_utf8(line).ok()?.splitn(4, ' ');
        let key = fields.next()?.parse().ok()?;
        let second = fields.next()?;
        if second == VERIFIED {
            self.verified.insert(key);
            return Some(());
        }
        let stamp = (second.parse().ok()?, fields.next()?.parse().ok()?);
        self.files.insert(fields.next()?.to_owned(), (stamp, key));
        Some(())
    }
}

fn stamp(path: &Path) -> Result<Stamp> {
    let (size, time) = size_and_time(path)?;
    let nanoseconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    Ok((size, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{read_to_string, write_atomic};
    use std::time::Duration;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b");
        let cache = dir.path().join("below/cache");
        write_atomic(&path, b"one").unwrap();
        let digests = DigestCache::load(&cache).unwrap();
        assert_eq!(digests.digest("a b", &path).unwrap(), Key::of_bytes(b"one"));
        digests.mark_verified(Key::of_bytes(b"fine"));
        digests.save().unwrap();

        // A forged line is believed as long as size and time fit: proof that the file is not read.
        let old = Key::of_bytes(b"one").to_string();
        let new = Key::of_bytes(b"two").to_string();
        let forged = read_to_string(&cache).unwrap().replace(&old, &new);
        write_atomic(&cache, forged.as_bytes()).unwrap();
        let digests = DigestCache::load(&cache).unwrap();
        assert_eq!(digests.digest("a b", &path).unwrap(), Key::of_bytes(b"two"));
        assert!(digests.is_verified(&Key::of_bytes(b"fine")));
        assert!(!digests.is_verified(&Key::of_bytes(b"other")));

        // Same size, another time.
        let (_, time) = size_and_time(&path).unwrap();
        write_atomic(&path, b"six").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time + Duration::from_nanos(1)).unwrap();
        assert_eq!(digests.digest("a b", &path).unwrap(), Key::of_bytes(b"six"));
        // Same time, another size.
        write_atomic(&path, b"three").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time + Duration::from_nanos(1)).unwrap();
        assert_eq!(
            digests.digest("a b", &path).unwrap(),
            Key::of_bytes(b"three")
        );
        assert!(digests.digest("gone", &dir.path().join("gone")).is_err());
    }

    #[test]
    fn damaged_lines_are_skipped_and_the_others_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let path = dir.path().join("a");
        write_atomic(&path, b"one").unwrap();
        let stamp = stamp(&path).unwrap();
        let key = Key::of_bytes(b"kept");
        let mut text = b"nonsense\n\n12 34\n\xff\xfe 1 2 b\n".to_vec();
        text.extend(format!("{key} checked\n{key} {} {} a\n{key} 1", stamp.0, stamp.1).bytes());
        write_atomic(&cache, &text).unwrap();
        let digests = DigestCache::load(&cache).unwrap();
        assert_eq!(digests.digest("a", &path).unwrap(), key);
        assert!(digests.is_verified(&key));
        assert!(DigestCache::load(dir.path()).is_err());
    }

    #[test]
    fn a_line_break_in_a_name_is_not_taken_for_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let path = dir.path().join("a\nb");
        write_atomic(&path, b"one").unwrap();
        let digests = DigestCache::load(&cache).unwrap();
        digests.digest("a\nb", &path).unwrap();
        digests.save().unwrap();
        assert_eq!(read_to_string(&cache).unwrap(), "");
    }
}
