//! The only place of this crate that touches the disk.
#![expect(
    clippy::disallowed_methods,
    reason = "this crate's result is a folder of files"
)]

use crate::MiniatureError;
use std::path::{Path, PathBuf};

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> MiniatureError + '_ {
    |source| MiniatureError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A folder that grows under a temporary name beside its place and takes it in the end.
pub(crate) struct Tree {
    place: PathBuf,
    temporary: PathBuf,
}

impl Tree {
    /// # Errors
    /// [`MiniatureError::NotEmpty`] if `place` holds something.
    pub fn begin(place: &Path) -> Result<Self, MiniatureError> {
        if place
            .read_dir()
            .is_ok_and(|mut items| items.next().is_some())
        {
            return Err(MiniatureError::NotEmpty {
                path: place.to_owned(),
            });
        }
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let tree = Self {
            place: place.to_owned(),
            temporary: place.with_file_name(name),
        };
        tree.clear()?;
        Ok(tree)
    }

    pub fn root(&self) -> &Path {
        &self.temporary
    }

    /// Writes a file of the tree.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), MiniatureError> {
        let path = self.temporary.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
        }
        std::fs::write(&path, bytes).map_err(io(&path))
    }

    /// Puts the tree in its place.
    pub fn publish(self) -> Result<(), MiniatureError> {
        std::fs::rename(&self.temporary, &self.place).map_err(io(&self.place))
    }

    fn clear(&self) -> Result<(), MiniatureError> {
        match std::fs::remove_dir_all(&self.temporary) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io(&self.temporary)(e)),
            _ => Ok(()),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Gone if it was published; what cannot be removed is in nobody's way.
        drop(self.clear());
    }
}
