//! The folder for downloads and what is made from them.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use segad_files::FileError;

use crate::error::ProvisionError;
use crate::installed::{share, shipped};
use crate::versions;

/// The cache folder and the places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
    /// What came with the program, where it is installed.
    share: Option<PathBuf>,
}

impl Cache {
    /// The cache below a folder of the caller's choice.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root, share: None }
    }

    /// The folder that the environment names: `SEGAD_CACHE_DIR`, else `$XDG_CACHE_HOME/segad`, else
    /// `~/.cache/segad`. What came with the program ([`share`]) is at hand as well. For binaries
    /// only; libraries get a cache as a parameter.
    ///
    /// # Errors
    /// None of the three variables is set.
    pub fn from_env() -> Result<Self, ProvisionError> {
        let cache = Self::from_values(
            std::env::var_os("SEGAD_CACHE_DIR"),
            std::env::var_os("XDG_CACHE_HOME"),
            std::env::var_os("HOME"),
        )?;
        Ok(Self {
            share: share(),
            ..cache
        })
    }

    fn from_values(
        own: Option<OsString>,
        xdg: Option<OsString>,
        home: Option<OsString>,
    ) -> Result<Self, ProvisionError> {
        let [own, xdg, home] =
            [own, xdg, home].map(|v| v.filter(|v| !v.is_empty()).map(PathBuf::from));
        if let Some(root) = own {
            let root = std::path::absolute(&root)
                .map_err(|e| FileError::new("locate the folder", &root, e))?;
            return Ok(Self::at(root));
        }
        // The XDG rules ignore a relative path.
        let base = xdg
            .filter(|p| p.is_absolute())
            .or_else(|| home.map(|home| home.join(".cache")));
        base.map(|base| Self::at(base.join("segad")))
            .ok_or(ProvisionError::NoHome)
    }

    /// The cache folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// libtorch: a folder with `include`, `lib` and `build-version`.
    #[must_use]
    pub fn libtorch(&self) -> PathBuf {
        self.root
            .join(format!("native/libtorch-{}", versions::LIBTORCH))
    }

    /// The same for CUDA, in the folder `torch` beside NVIDIA's libraries.
    #[must_use]
    pub fn libtorch_cuda(&self) -> PathBuf {
        let place = format!("native/libtorch-{}-cuda/torch", versions::LIBTORCH);
        self.root.join(place)
    }

    /// Where XGBoost's wheel is unpacked. Its layout is kept: the library finds its OpenMP library
    /// by a relative path.
    #[must_use]
    pub fn xgboost(&self) -> PathBuf {
        self.root
            .join(format!("native/xgboost-{}", versions::XGBOOST))
    }

    /// The folder of `libxgboost.so`.
    #[must_use]
    pub fn xgboost_lib(&self) -> PathBuf {
        self.xgboost().join("xgboost/lib")
    }

    /// The folder of a data set.
    #[must_use]
    pub fn data(&self, dataset: &str) -> PathBuf {
        self.root.join("data").join(dataset)
    }

    /// Downloads that are not unpacked yet.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// The download of this name; also where a file that was downloaded by hand is looked
    /// for.
    #[must_use]
    pub fn download(&self, name: &str) -> PathBuf {
        self.downloads().join(name)
    }

    /// The safetensors file of pretrained weights (see [`versions::WEIGHTS`] for the names).
    #[must_use]
    pub fn weights(&self, name: &str) -> PathBuf {
        self.root.join(format!("weights/{name}.safetensors"))
    }

    /// The same file where it is to be read: here, or else where it came with the program.
    #[must_use]
    pub fn weights_at_hand(&self, name: &str) -> PathBuf {
        let own = self.weights(name);
        if own.exists() {
            return own;
        }
        let shipped = self.share.as_ref().map(|share| share.join(shipped(name)));
        shipped.filter(|file| file.exists()).unwrap_or(own)
    }

    /// What is recorded about pretrained weights: source, licence, digests.
    #[must_use]
    pub fn weights_record(&self, name: &str) -> PathBuf {
        self.root.join(format!("weights/{name}.json"))
    }

    /// Creates the folder and its tag.
    ///
    /// # Errors
    /// The folder cannot be created or written to.
    pub fn prepare(&self) -> Result<(), ProvisionError> {
        segad_files::create_dir(&self.root)?;
        Ok(segad_files::tag_cache_dir(&self.root)?)
    }

    /// A folder to make things in before they are published. One process at a time has it: another
    /// one waits, after `waiting` was called. What an interrupted run left is removed first.
    ///
    /// # Errors
    /// The cache cannot be written to or locked.
    pub fn stage(&self, waiting: impl FnOnce()) -> Result<Stage, ProvisionError> {
        self.prepare()?;
        let lock_path = self.root.join("partial.lock");
        // The system frees the lock when its holder ends, however it ends.
        let lock = segad_files::create(&lock_path)?;
        let locked = match lock.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
        };
        locked.map_err(|e| FileError::new("lock the file", &lock_path, e))?;
        let dir = self.root.join("partial");
        // What an interrupted run left; nobody else can be using it while the lock is held.
        segad_files::remove(&dir)?;
        segad_files::create_dir(&dir)?;
        Ok(Stage { dir, _lock: lock })
    }
}

/// A folder on the cache's disk for unfinished files; removed when dropped.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    _lock: File,
}

impl Stage {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Moves a finished file or folder from here to its place, replacing whatever is there.
    ///
    /// # Errors
    /// The place cannot be written to.
    pub fn publish(&self, from: &Path, to: &Path) -> Result<(), ProvisionError> {
        segad_files::create_dir(segad_files::parent(to))?;
        // A file replaces a file by renaming; a folder must first make way.
        if to.is_dir() {
            let aside = self.dir.join("replaced");
            segad_files::remove(&aside)?;
            segad_files::rename(to, &aside)?;
        }
        Ok(segad_files::publish(from, to)?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        drop(segad_files::remove(&self.dir));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_wins() {
        let get = |own: &str, xdg: &str, home: &str| {
            Cache::from_values(Some(own.into()), Some(xdg.into()), Some(home.into()))
                .map(|c| c.root)
        };
        assert_eq!(get("/own", "/xdg", "/home").unwrap(), Path::new("/own"));
        assert_eq!(get("", "/xdg", "/home").unwrap(), Path::new("/xdg/segad"));
        assert_eq!(
            get("", "relative", "/home").unwrap(),
            Path::new("/home/.cache/segad")
        );
        assert!(get("relative", "", "").unwrap().is_absolute());
        let error = get("", "", "").unwrap_err().to_string();
        assert!(error.contains("SEGAD_CACHE_DIR"), "{error}");
    }

    #[test]
    fn what_came_with_the_program_is_at_hand_until_fetched() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache {
            share: Some(dir.path().join("share")),
            ..Cache::at(dir.path().join("cache"))
        };
        let own = cache.weights("resnet18");
        assert_eq!(cache.weights_at_hand("resnet18"), own);
        let shipped = dir.path().join("share/weights/resnet18.safetensors");
        for place in [shipped, own] {
            segad_files::write_with_parents(&place, b"x").unwrap();
            assert_eq!(cache.weights_at_hand("resnet18"), place);
        }
    }

    #[test]
    fn leftovers_are_removed_and_publishing_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        segad_files::write_with_parents(&cache.root.join("partial/torch.whl"), b"half").unwrap();
        let stage = cache.stage(|| panic!("nobody else is here")).unwrap();
        assert!(segad_files::list_all(stage.path()).unwrap().is_empty());
        let tag = segad_files::read_to_string_if_present(&cache.root.join("CACHEDIR.TAG")).unwrap();
        assert!(tag.unwrap().starts_with("Signature: 8a477f59"));

        let place = cache.data("x");
        for content in [b"one", b"two"] {
            let made = stage.path().join("made");
            segad_files::write_with_parents(&made.join("file"), content).unwrap();
            stage.publish(&made, &place).unwrap();
            assert_eq!(segad_files::read(&place.join("file")).unwrap(), content);
        }
        let partial = stage.path().to_path_buf();
        drop(stage);
        assert!(!partial.exists());
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().to_path_buf());
        let stage = cache.stage(|| ()).unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = cache.stage(|| send.send("waits").unwrap()).unwrap();
                send.send("has it").unwrap();
                drop(second);
            });
            assert_eq!(receive.recv().unwrap(), "waits");
            assert!(receive.try_recv().is_err());
            drop(stage);
            assert_eq!(receive.recv().unwrap(), "has it");
        });
    }
}
