//! Folders of images, whatever they show.

use segad_core::{
    BoxError, Image, ImageId, ImageLoader, Key, KeyHasher, Label, Sample, TrainGood, TrainSplit,
};
use segad_methods::ImageSet;
use std::path::{Path, PathBuf};

/// All images of a folder and the folders in it, whatever they show.
pub struct ImageFolder {
    root: PathBuf,
    split: TrainSplit,
    digest: Key,
}

impl ImageFolder {
    /// Lists the folder.
    ///
    /// # Errors
    /// A folder that is not there or holds no image.
    pub fn open(root: &Path) -> Result<Self, BoxError> {
        let files = image_files(root)?;
        if files.is_empty() {
            return Err(
                format!("{}: no image is in it or the folders in it", root.display()).into(),
            );
        }
        let mut hasher = KeyHasher::new("image folder", 1);
        let mut samples = Vec::with_capacity(files.len());
        for path in files {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            // Sizes instead of contents: such folders hold gigabytes and are never edited in place.
            hasher.field(&name, &segad_files::size_and_time(&path)?.0);
            samples.push(Sample::new(ImageId::new(name), Label::Good));
        }
        Ok(Self {
            root: root.to_owned(),
            split: TrainSplit::new(samples)?,
            digest: hasher.finish(),
        })
    }
}

impl ImageSet for ImageFolder {
    fn images(&self) -> TrainGood<'_> {
        self.split.good(self)
    }

    /// Of names and sizes: collections of tens of thousands of photographs are not read for a plan.
    fn digest(&self) -> Key {
        self.digest
    }
}

/// The files of a folder and the folders in it, to any depth, that are named as images; sorted by
/// path within each folder.
///
/// # Errors
/// A folder that cannot be listed.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let tree = segad_files::walk(folder)?;
    if let Some(fault) = tree.faults.into_iter().next() {
        return Err(fault.into());
    }
    let files = tree.files.into_iter();
    Ok(files.filter(|f| segad_imaging::is_image_name(f)).collect())
}

impl ImageLoader for ImageFolder {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        Ok(segad_imaging::open(&self.root.join(id.as_str()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched() {
        let dir = tempfile::tempdir().unwrap();
        let e = ImageFolder::open(&dir.path().join("gone"))
            .err()
            .unwrap()
            .to_string();
        assert!(e.contains("gone"), "{e}");
        assert!(
            ImageFolder::open(dir.path())
                .err()
                .unwrap()
                .to_string()
                .contains("no image")
        );
        let png = segad_imaging::encode_png(&Image::from_grey(2, 2, &[7; 4]).unwrap()).unwrap();
        for name in ["n01", "n02"] {
            segad_files::create_dir(&dir.path().join(name)).unwrap();
        }
        for name in ["n02/b.PNG", "n01/a.png", "n01/notes.txt"] {
            segad_files::write_atomic(&dir.path().join(name), &png).unwrap();
        }
        let folder = ImageFolder::open(dir.path()).unwrap();
        let names: Vec<String> = folder
            .images()
            .ids()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["n01/a.png", "n02/b.PNG"]);
        assert_eq!(folder.images().load(0).unwrap().rgb(), [7; 12]);
        let before = folder.digest();
        segad_files::write_atomic(&dir.path().join("n01/c.png"), &png).unwrap();
        assert_ne!(ImageFolder::open(dir.path()).unwrap().digest(), before);
    }
}
