//! Pictures of inspected images, which never replace an image or each other.

use super::super::outputs::{keep_apart, resolve};
use super::inputs::Pixels;
use segad_args::Inspect;
use segad_core::BoxError;
use segad_runner::Failure;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(super) struct Pictures {
    folder: PathBuf,
    /// Pictures of this run, with the image of each.
    written: Mutex<HashMap<PathBuf, String>>,
}

impl Pictures {
    /// Those that the arguments ask for, if any.
    pub(super) fn open(args: &Inspect) -> Result<Option<Self>, Failure> {
        let Some(folder) = &args.pictures else {
            return Ok(None);
        };
        for root in &args.paths {
            // Pictures there would be inspected next, or replace the photographs themselves.
            keep_apart("--pictures", folder, root)?;
        }
        Ok(Some(Self {
            folder: folder.clone(),
            written: Mutex::default(),
        }))
    }

    /// Where the picture of an image goes.
    pub(super) fn place(
        &self,
        name: &str,
        place: &Path,
        pixels: &Pixels,
    ) -> Result<PathBuf, BoxError> {
        // Appended, not replaced: `a.b` becomes `a.b.png`.
        let mut path = self.folder.join(place).into_os_string();
        path.push(".png");
        let path = PathBuf::from(path);
        if let Pixels::File(source) = pixels
            && resolve(segad_files::parent(&path)) == resolve(segad_files::parent(source))
        {
            let path = path.display();
            return Err(format!("{path} would be among the inspected images").into());
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Two roots, or two formats, may hold images of one name.
        if let Some(other) = written.get(&path).filter(|other| *other != name) {
            return Err(format!("{} is already the picture of {other}", path.display()).into());
        }
        written.insert(path.clone(), name.to_owned());
        Ok(path)
    }
}
