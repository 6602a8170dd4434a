use crate::{DatasetError, files};
use segad_core::{ImageId, Key};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Size and time of last change of the file when its digest was taken.
type Stamp = (u64, u128);

/// Content digests, each taken once as long as the file's size and time stay.
#[derive(Default)]
pub(crate) struct Digests {
    file: Option<PathBuf>,
    known: Mutex<BTreeMap<ImageId, (Stamp, Key)>>,
}

impl Digests {
    /// Starts with what an earlier run left in `file`, if anything.
    pub fn kept_in(file: &Path) -> Result<Self, DatasetError> {
        let text = if file.is_file() {
            files::text(file)?
        } else {
            String::new()
        };
        let known: BTreeMap<_, _> = text.lines().filter_map(line).collect();
        if known.len() < text.lines().count() {
            tracing::warn!(file = %file.display(), "some lines are no digests; those files are read again");
        }
        Ok(Self {
            file: Some(file.to_owned()),
            known: Mutex::new(known),
        })
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ImageId, (Stamp, Key)>> {
        // Every entry is whole at any time, so a panic elsewhere leaves nothing half-made.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of an image at `path`.
    pub fn of(&self, id: &ImageId, path: &Path) -> Result<Key, DatasetError> {
        let stamp = files::stamp(path)?;
        if let Some((_, key)) = self.known().get(id).filter(|(s, _)| *s == stamp) {
            return Ok(*key);
        }
        let key = Key::of_bytes(&files::bytes(path)?);
        self.known().insert(id.clone(), (stamp, key));
        Ok(key)
    }

    /// Writes all digests to the file.
    pub fn save(&self) -> Result<(), DatasetError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let lines: String = self
            .known()
            .iter()
            .map(|(id, ((size, time), key))| format!("{key} {size} {time} {id}\n"))
            .collect();
        files::replace(file, lines.as_bytes())
    }
}

fn line(text: &str) -> Option<(ImageId, (Stamp, Key))> {
    let mut fields = text.splitn(4, ' ');
    let key = fields.next()?.parse().ok()?;
    let stamp = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((ImageId::new(fields.next()?), (stamp, key)))
}
