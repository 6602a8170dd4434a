use crate::MiniatureError;
use segad_files::{Staging, parent};
use std::path::{Path, PathBuf};

/// A folder that grows in a staging folder next to its place and takes its place in the end.
pub(crate) struct Tree {
    place: PathBuf,
    staging: Staging,
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
        Ok(Self {
            place: place.to_owned(),
            staging: Staging::create_in(parent(place))?,
        })
    }

    pub fn root(&self) -> &Path {
        self.staging.path()
    }

    /// Writes a file of the tree.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), MiniatureError> {
        segad_files::write_with_parents(&self.root().join(path), bytes)?;
        Ok(())
    }

    /// Puts the tree in its place.
    pub fn publish(self) -> Result<(), MiniatureError> {
        self.staging.publish(&self.place)?;
        Ok(())
    }
}
