//! The journal of a watch: which files have their record, so that a restart neither loses nor
//! repeats any.
//!
//! One line per file: digest of its content (or `-`), size, times and number of the file, its path.
//! A line without the middle part says that the file is gone. The last line of a path counts.

use segad_core::{Key, KeyHasher};
use segad_files::Stamp;
use segad_runner::{Bars, Failure};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the journal says of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Note {
    pub stamp: Stamp,
    /// Digest of what was judged; absent for a file that was left out or could not be read.
    pub content: Option<Key>,
}

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// What earlier runs wrote.
    notes: HashMap<PathBuf, Note>,
    bars: Bars,
    is_broken: bool,
}

impl Journal {
    /// The journal of this model and these folders.
    pub(super) fn open(
        cache: &Path,
        model: &Path,
        roots: &[PathBuf],
        bars: &Bars,
    ) -> Result<Self, Failure> {
        let mut hasher = KeyHasher::new("watch journal", 1);
        hasher.field("model", &segad_files::digest(model)?.1);
        for root in roots {
            let place = std::path::absolute(root)?;
            hasher.field("root", &Key::of_bytes(place.as_os_str().as_bytes()));
        }
        let name = format!("{}.txt", hasher.finish().short());
        let path = cache.join("watch").join(name);
        let bytes = segad_files::read_if_present(&path)?.unwrap_or_default();
        let mut notes = HashMap::new();
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            match read_line(line) {
                Some((path, Some(note))) => notes.insert(path, note),
                Some((path, None)) => notes.remove(&path),
                // Half a line of a crash: that file is judged again.
                None => None,
            };
        }
        // A file of the same name that comes later is another one. Where the whole folder is away,
        // it may come back.
        notes.retain(|path, _| path.exists() || !segad_files::parent(path).exists());
        let mut text: Vec<u8> = Vec::new();
        for (path, note) in &notes {
            text.extend(line_of(path, Some(*note)));
        }
        segad_files::write_with_parents(&path, &text)?;
        Ok(Self {
            file: segad_files::append(&path)?,
            path,
            notes,
            bars: bars.clone(),
            is_broken: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Files that earlier runs noted.
    pub(super) fn len(&self) -> usize {
        self.notes.len()
    }

    /// Starts anew.
    pub(super) fn ignore_earlier(&mut self) {
        self.notes.clear();
    }

    /// What earlier runs noted of a file; asked once.
    pub(super) fn take(&mut self, path: &Path) -> Option<Note> {
        self.notes.remove(path)
    }

    pub(super) fn add(&mut self, path: &Path, note: Note) {
        self.write(&line_of(path, Some(note)));
    }

    /// Whatever comes under this name later is new.
    pub(super) fn forget(&mut self, path: &Path) {
        self.write(&line_of(path, None));
    }

    /// A journal that cannot be written must not cost a verdict.
    fn write(&mut self, line: &[u8]) {
        if self.is_broken {
            return;
        }
        if let Err(e) = self.file.write_all(line) {
            self.is_broken = true;
            self.bars.line(&format!(
                "{}: cannot be written ({e}); the next start judges again what is judged from now on",
                self.path.display()
            ));
        }
    }
}

fn line_of(path: &Path, note: Option<Note>) -> Vec<u8> {
    let content = note.and_then(|n| n.content);
    let content = content.map_or_else(|| "-".to_owned(), |key| key.to_string());
    let middle = note.map_or_else(String::new, |Note { stamp, .. }| {
        let Stamp {
            size,
            modified,
            changed,
            inode,
        } = stamp;
        format!("{size} {modified} {changed} {inode}")
    });
    format!("{content} {middle} {}\n", encode(path)).into_bytes()
}

fn read_line(line: &[u8]) -> Option<(PathBuf, Option<Note>)> {
    let fields: Vec<&str> = str::from_utf8(line).ok()?.split(' ').collect();
    match fields[..] {
        ["-", "", path] => Some((decode(path)?, None)),
        [content, size, modified, changed, inode, path] => {
            let content = match content {
                "-" => None,
                key => Some(key.parse().ok()?),
            };
            let stamp = Stamp {
                size: size.parse().ok()?,
                modified: modified.parse().ok()?,
                changed: changed.parse().ok()?,
                inode: inode.parse().ok()?,
            };
            Some((decode(path)?, Some(Note { stamp, content })))
        }
        _ => None,
    }
}

/// A path as ASCII without spaces: every other byte is `%` and two hexadecimal digits.
fn encode(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' => text.push_str("%25"),
            byte if byte.is_ascii_graphic() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

fn decode(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    Some(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_journal_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.segad");
        segad_files::write_atomic(&model, b"model").unwrap();
        let folder = dir.path().join("in");
        let roots = [folder.clone()];
        let open = || Journal::open(dir.path(), &model, &roots, &Bars::new(true)).unwrap();
        let odd = folder.join(OsStr::from_bytes(b"caf\xe9 50%\n.png"));
        let names = [
            odd.clone(),
            folder.join("b"),
            folder.join("c"),
            folder.join("d"),
        ];
        segad_files::create_dir(&folder).unwrap();
        for path in &names {
            segad_files::write_atomic(path, b"x").unwrap();
        }
        let note = |path: &Path, content| Note {
            stamp: Stamp::of(path).unwrap(),
            content,
        };
        let [first, second, third] = [0, 1, 2].map(|i| note(&names[i], None));
        let judged = note(&odd, Some(Key::of_bytes(b"x")));
        let mut journal = open();
        assert_eq!(journal.len(), 0);
        for (path, note) in names.iter().zip([first, second, third, third]) {
            journal.add(path, note);
        }
        journal.add(&odd, judged);
        journal.forget(&names[2]);
        // As a crash leaves it.
        journal.file.write_all(b"- 1 2 3").unwrap();
        segad_files::remove(&names[3]).unwrap();
        let mut journal = open();
        assert_eq!(journal.len(), 2);
        assert_eq!(journal.take(&odd), Some(judged));
        assert_eq!(journal.take(&odd), None);
        assert_eq!(journal.take(&names[1]), Some(second));

        // Another model has seen nothing; a folder that is away may come back.
        segad_files::write_atomic(&model, b"other").unwrap();
        assert_eq!(open().len(), 0);
        segad_files::write_atomic(&model, b"model").unwrap();
        segad_files::rename(&folder, &dir.path().join("away")).unwrap();
        assert_eq!(open().len(), 2);
    }
}
