//! Where the images of a run come from, the maps of images that are somewhere else, or what a
//! manifest says of images that are not here yet.

use segad_core::{BoxError, Image, ImageId, ImageLoader, Key};
use segad_datasets::{Dataset, Index, Manifest};
use segad_import::MapsFolder;

/// Images, only maps of them, or neither.
pub enum ImageSource {
    /// A data set of images.
    Images(Dataset),
    /// A folder of maps that others computed (`--maps`).
    Maps(MapsFolder),
    /// A data set that is not on this machine: enough to count and estimate cells, not to compute
    /// them or to find their results.
    Declared {
        /// Its description.
        manifest: Manifest,
        /// That it is missing, and how to get it.
        missing: String,
    },
}

impl ImageSource {
    /// What is known about the data set.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Images(dataset) => dataset.manifest(),
            Self::Maps(folder) => folder.manifest(),
            Self::Declared { manifest, .. } => manifest,
        }
    }

    /// The images of a class.
    ///
    /// # Errors
    /// The data set's or folder's: a class that is not there, an unreadable list.
    pub fn index(&self, class: &str) -> Result<Index, BoxError> {
        match self {
            Self::Images(dataset) => Ok(dataset.index(class)?),
            Self::Maps(folder) => Ok(folder.index(class)?),
            Self::Declared { manifest, .. } => Ok(manifest.declared_index(class)?),
        }
    }

    /// The content digest of an image. One that is not here has the same digest as any other:
    /// everything is computed from its maps, whose key holds their content.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn digest(&self, id: &ImageId) -> Result<Key, BoxError> {
        match self {
            Self::Images(dataset) => Ok(dataset.digest(id)?),
            // One constant for all, since nothing that is computed looks at the pixels.
            Self::Maps(_) | Self::Declared { .. } => Ok(Key::of_bytes(b"not here")),
        }
    }

    /// Keeps the digests taken so far for the next run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_digests(&self) -> Result<(), BoxError> {
        match self {
            Self::Images(dataset) => Ok(dataset.save_digests()?),
            Self::Maps(folder) => Ok(folder.save_digests()?),
            Self::Declared { .. } => Ok(()),
        }
    }

    /// Brings the pixels of images.
    pub fn loader(&self) -> Box<dyn ImageLoader> {
        match self {
            Self::Images(dataset) => Box::new(dataset.loader()),
            Self::Maps(_) | Self::Declared { .. } => Box::new(NoImages),
        }
    }

    /// The folder of maps, if this is one.
    pub fn maps(&self) -> Option<&MapsFolder> {
        match self {
            Self::Images(_) | Self::Declared { .. } => None,
            Self::Maps(folder) => Some(folder),
        }
    }

    /// That the data set is not on this machine, and how to get it, if so.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Declared { missing, .. } => Some(missing),
            Self::Images(_) | Self::Maps(_) => None,
        }
    }
}

struct NoImages;

impl ImageLoader for NoImages {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        Err(format!("{id}: the image is not on this machine").into())
    }
}
