use rayon::prelude::*;
use segad_core::Key;
use segad_store::{Result, atomic};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

/// Size and time of last change of a file when its digest was taken.
type Stamp = (u64, u128);

/// What is known about the files of a folder between runs: digests of their content, taken once as
/// long as size and time stay, and keys of what was found in order.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<String, (Stamp, Key)>,
    checked: BTreeSet<Key>,
    changed: bool,
}

const CHECKED: &str = "checked";

impl Digests {
    /// Starts with what an earlier run left in `file`, if anything; lines that make no sense are
    /// left out.
    pub fn kept_in(file: &Path) -> Result<Self> {
        let mut known = Known::default();
        if file.is_file() {
            for line in atomic::read_to_string(file)?.lines() {
                known.read(line);
            }
        }
        Ok(Self {
            file: Some(file.to_owned()),
            known: Mutex::new(known),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every entry is whole at any time, so a panic elsewhere leaves nothing half-made.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digests of these files below `base`, several read at a time.
    pub fn of(&self, base: &Path, names: &[String]) -> Result<Vec<Key>> {
        names.par_iter().map(|name| self.one(base, name)).collect()
    }

    fn one(&self, base: &Path, name: &str) -> Result<Key> {
        let path = base.join(name);
        let (size, time) = atomic::size_and_time(&path)?;
        let stamp = (
            size,
            time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos()),
        );
        if let Some((_, key)) = self.known().files.get(name).filter(|(s, _)| *s == stamp) {
            return Ok(*key);
        }
        let key = Key::of_bytes(&atomic::read(&path)?);
        let mut known = self.known();
        known.files.insert(name.to_owned(), (stamp, key));
        known.changed = true;
        Ok(key)
    }

    /// True if [`Digests::set_checked`] was called with this key, now or in an earlier run.
    pub fn is_checked(&self, key: &Key) -> bool {
        self.known().checked.contains(key)
    }

    /// Remembers that what the key stands for is in order.
    pub fn set_checked(&self, key: Key) {
        let mut known = self.known();
        known.changed |= known.checked.insert(key);
    }

    /// Writes what is known, if there is a file for it and anything new.
    pub fn save(&self) -> Result<()> {
        let mut known = self.known();
        let Some(file) = self.file.as_ref().filter(|_| known.changed) else {
            return Ok(());
        };
        let mut text = String::new();
        for (name, ((size, time), key)) in &known.files {
            text.push_str(&format!("{key} {size} {time} {name}\n"));
        }
        for key in &known.checked {
            text.push_str(&format!("{key} {CHECKED}\n"));
        }
        if let Some(folder) = file.parent() {
            atomic::create_dir(folder)?;
        }
        atomic::write_atomic(file, text.as_bytes())?;
        known.changed = false;
        Ok(())
    }
}

impl Known {
    fn read(&mut self, line: &str) -> Option<()> {
        let mut fields = line.splitn(4, ' ');
        let (key, second) = (fields.next()?.parse().ok()?, fields.next()?);
        if second == CHECKED {
            self.checked.insert(key);
            return Some(());
        }
        let stamp = (second.parse().ok()?, fields.next()?.parse().ok()?);
        self.files.insert(fields.next()?.to_owned(), (stamp, key));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let (base, cache) = (dir.path(), dir.path().join("below/cache"));
        atomic::write_atomic(&base.join("a b"), b"one").unwrap();
        let digests = Digests::kept_in(&cache).unwrap();
        let names = ["a b".to_owned()];
        assert_eq!(digests.of(base, &names).unwrap(), [Key::of_bytes(b"one")]);
        digests.set_checked(Key::of_bytes(b"fine"));
        digests.save().unwrap();
        // A forged line is believed as long as size and time fit: proof that the file is not read.
        let text = atomic::read_to_string(&cache).unwrap();
        let forged = text.replace(
            &Key::of_bytes(b"one").to_string(),
            &Key::of_bytes(b"two").to_string(),
        );
        atomic::write_atomic(&cache, format!("nonsense\n{forged}").as_bytes()).unwrap();
        let digests = Digests::kept_in(&cache).unwrap();
        assert_eq!(digests.of(base, &names).unwrap(), [Key::of_bytes(b"two")]);
        assert!(
            digests.is_checked(&Key::of_bytes(b"fine"))
                && !digests.is_checked(&Key::of_bytes(b"other"))
        );
        atomic::write_atomic(&base.join("a b"), b"three").unwrap();
        assert_eq!(digests.of(base, &names).unwrap(), [Key::of_bytes(b"three")]);
        assert!(digests.of(base, &["gone".to_owned()]).is_err());
    }
}
