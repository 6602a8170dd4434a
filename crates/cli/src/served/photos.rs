use segad_core::{BoxError, Image};
use segad_imaging::Reading;
use std::path::{Component, Path, PathBuf};

/// A folder of photographs; no name leads out of it.
pub(crate) struct Photos {
    root: PathBuf,
    /// As whoever computed the maps read them.
    reading: Reading,
}

impl Photos {
    /// # Errors
    /// If it is not a folder.
    pub(crate) fn open(folder: &Path, reading: Reading) -> Result<Self, BoxError> {
        let root = segad_files::real_path(folder)?;
        if root.is_dir() {
            Ok(Self { root, reading })
        } else {
            Err(format!("{}: not a folder", folder.display()).into())
        }
    }

    /// The photograph of that name.
    ///
    /// # Errors
    /// For a name that leads out of the folder, by itself or by a link, and an image that cannot be
    /// read.
    pub(crate) fn load(&self, name: &str) -> Result<Image, BoxError> {
        let below = Path::new(name);
        if name.is_empty()
            || !below
                .components()
                .all(|c| matches!(c, Component::Normal(_)))
        {
            return Err(format!("{name}: not the name of a file in the folder of images").into());
        }
        // The message names the image, not the folder.
        let path = segad_files::real_path(&self.root.join(below))
            .map_err(|e| format!("{name}: {}", e.source))?;
        // Names come from a browser: anyone who reaches the port may ask for any.
        if !path.starts_with(&self.root) {
            return Err(format!("{name}: a link that leads out of the folder of images").into());
        }
        let bytes =
            segad_imaging::read_image(&path).map_err(|_| format!("{name}: cannot be read"))?;
        let decoded = segad_imaging::read(&bytes, &self.reading);
        Ok(decoded.map_err(|e| format!("{name}: {e}"))?.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_folder_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let png = segad_imaging::encode_png(&Image::from_grey(2, 3, &[7; 6]).unwrap()).unwrap();
        for name in ["photos/good/a.png", "outside.png", "photos-too/a.png"] {
            let path = dir.path().join(name);
            segad_files::create_dir(path.parent().unwrap()).unwrap();
            segad_files::write_atomic(&path, &png).unwrap();
        }
        let root = dir.path().join("photos");
        std::os::unix::fs::symlink(dir.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("good"), root.join("within")).unwrap();
        let photos = Photos::open(&root, Reading::AS_STORED).unwrap();
        assert_eq!(photos.load("good/a.png").unwrap().width(), 3);
        assert_eq!(photos.load("within/a.png").unwrap().width(), 3);
        let absolute = dir.path().join("outside.png");
        for name in [
            "../outside.png",
            "good/../../outside.png",
            "out/outside.png",
            absolute.to_str().unwrap(),
            "",
            "./good/a.png",
            "../photos-too/a.png",
            "out/photos-too/a.png",
            "good",
        ] {
            let e = photos.load(name).map(|_| ()).unwrap_err().to_string();
            assert!(e.starts_with(name) && !e.contains("pixels"), "{name}: {e}");
        }
        assert!(Photos::open(&dir.path().join("outside.png"), Reading::AS_STORED).is_err());
    }
}
