use crate::atomic::publish;
use crate::error::Result;
use crate::folder::{create_dir, remove};
use crate::owner::Owner;
use std::path::{Path, PathBuf};

/// A folder in which things are prepared before they are published; removed when dropped.
///
/// Its name says which process it belongs to, so that [`sweep`](crate::sweep) can remove what a
/// killed one left. Files in it are not flushed one by one.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
}

impl Staging {
    /// Creates a staging folder in `folder`, which is created if need be.
    ///
    /// # Errors
    /// [`FileError`](crate::FileError) naming the staging folder.
    pub fn create_in(folder: &Path) -> Result<Self> {
        let path = folder.join(Owner::current().unique_tag());
        create_dir(&path)?;
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes the folder as `place`, on the same disk, where nothing but an empty folder may be.
    ///
    /// # Errors
    /// As [`publish`].
    pub fn publish(self, place: &Path) -> Result<()> {
        publish(&self.path, place)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Once published, the folder is gone from here and there is nothing to remove.
        if let Err(e) = remove(&self.path) {
            tracing::warn!(error = %e, "temporary folder stays until the next sweep");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{list_all, read, sweep, write_with_parents};

    #[test]
    fn a_folder_is_published_whole_and_replaces_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        for (content, published) in [("one", true), ("two", false)] {
            let staging = Staging::create_in(dir.path()).unwrap();
            write_with_parents(&staging.path().join("deep/file"), content.as_bytes()).unwrap();
            assert_eq!(sweep(dir.path()).unwrap(), 0, "its process lives");
            assert_eq!(staging.publish(&place).is_ok(), published);
            assert_eq!(read(&place.join("deep/file")).unwrap(), b"one");
            assert_eq!(list_all(dir.path()).unwrap(), std::slice::from_ref(&place));
        }
    }
}
