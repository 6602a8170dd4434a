//! Where a store lies: in a folder, or in a bucket of an object store.

#[cfg(feature = "s3")]
use crate::bucket::{Bucket, Settings};
use crate::error::Result;
use crate::store::Store;
#[cfg(feature = "s3")]
use segad_core::Key;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The place of a store.
#[derive(Clone, Debug)]
pub struct Location(Place);

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    #[cfg(feature = "s3")]
    Bucket {
        settings: Settings,
        copies: PathBuf,
    },
}

const FORMS: &str = "expected a folder, file:///FOLDER or s3://BUCKET/PREFIX";

impl Location {
    /// True for what names more than a folder: anything with a scheme.
    pub fn is_address(text: &Path) -> bool {
        text.to_str()
            .is_some_and(|t| t.contains("://") || t.starts_with("s3:"))
    }

    /// Reads a plain path, `file:///FOLDER` or `s3://BUCKET/PREFIX`. Copies of what an object store
    /// has are kept in `copies`. Address and credentials of the service come from the variables
    /// `AWS_*` of `environment` and from the profile that they name.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    pub fn parse(
        text: &Path,
        copies: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        if !Self::is_address(text) {
            return Ok(Self::folder(text));
        }
        let address = text.to_str().and_then(|t| t.split_once("://"));
        let (scheme, rest) = address.ok_or(FORMS)?;
        match scheme {
            // Escapes would be two ways to write one folder.
            "file" if rest.starts_with('/') && !rest.contains('%') => {
                Ok(Self::folder(Path::new(rest)))
            }
            "file" => Err("expected file:///FOLDER, absolute and without escapes".to_owned()),
            "s3" => Self::bucket(rest, copies, environment),
            _ => Err(FORMS.to_owned()),
        }
    }

    /// A folder.
    pub fn folder(root: &Path) -> Self {
        Self(Place::Folder(root.to_owned()))
    }

    #[cfg(feature = "s3")]
    fn bucket(
        place: &str,
        copies: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let settings = Settings::parse(place, environment)?;
        // Buckets of different services may have one name.
        let name = format!("{:?} {:?}", settings.url(), settings.endpoint());
        let copies = copies.join(Key::of_bytes(name.as_bytes()).short());
        Ok(Self(Place::Bucket { settings, copies }))
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(_: &str, _: &Path, _: &BTreeMap<String, String>) -> Result<Self, String> {
        Err("expected a folder: this program was built without object stores".to_owned())
    }

    /// What messages call it.
    pub fn name(&self) -> PathBuf {
        match &self.0 {
            Place::Folder(root) => root.clone(),
            #[cfg(feature = "s3")]
            Place::Bucket { settings, .. } => settings.url(),
        }
    }

    /// As [`Store::open`]. An object store must also do conditional writes, without which workers
    /// cannot share; this is tried.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Service`](crate::StoreError::Service).
    pub fn open(&self) -> Result<Store> {
        self.store(true)?.prepared()
    }

    /// As [`Store::open_read_only`].
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn open_read_only(&self) -> Result<Store> {
        self.store(false)?.existing()
    }

    /// As [`Store::read_only`].
    ///
    /// # Errors
    /// [`StoreError::Invalid`](crate::StoreError::Invalid) for variables that contradict each
    /// other.
    pub fn read_only(&self) -> Result<Store> {
        self.store(false)
    }

    fn store(&self, writable: bool) -> Result<Store> {
        match &self.0 {
            Place::Folder(root) => Ok(Store::in_folder(root, writable)),
            #[cfg(feature = "s3")]
            Place::Bucket { settings, copies } => {
                let bucket = Bucket::new(settings.clone(), copies)?;
                Ok(Store::new(&settings.url(), Box::new(bucket), writable))
            }
        }
    }
}
