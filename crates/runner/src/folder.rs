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

/// Deeper folders are not looked into; links that lead in circles end here.
const DEPTH: usize = 8;

impl ImageFolder {
    /// Lists the folder.
    ///
    /// # Errors
    /// A folder that is not there or holds no PNG or JPEG.
    pub fn open(root: &Path) -> Result<Self, BoxError> {
        let files = image_files(root)?;
        if files.is_empty() {
            return Err(format!(
                "{}: no PNG or JPEG is in it or the folders in it",
                root.display()
            )
            .into());
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

/// All PNG and JPEG files of a folder and the folders in it, sorted by path within each folder.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>, BoxError> {
    let mut files = Vec::new();
    collect(folder, DEPTH, &mut files)?;
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), BoxError> {
    for path in segad_files::list_dir(folder)? {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|e| {
            ["png", "jpg", "jpeg"]
                .iter()
                .any(|k| e.eq_ignore_ascii_case(k))
        }) {
            files.push(path);
        }
    }
    Ok(())
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
                .contains("no PNG")
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
