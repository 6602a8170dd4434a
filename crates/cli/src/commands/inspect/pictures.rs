//! Pictures of inspected images, which never replace an image or each other.

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
        let place = resolve(folder);
        for root in args.paths.iter().filter(|path| path.is_dir()) {
            // Pictures there would be inspected next, or replace the photographs themselves.
            if place.starts_with(resolve(root)) {
                return Err(Failure::Configuration(format!(
                    "--pictures = {}: expected a folder outside {}, which is inspected",
                    folder.display(),
                    root.display()
                )));
            }
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

/// The real place of a path whose last folders may not exist yet.
fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        let real = if known.as_os_str().is_empty() {
            Path::new(".").canonicalize()
        } else {
            known.canonicalize()
        };
        if let Ok(real) = real {
            return missing.iter().rev().fold(real, |all, part| all.join(part));
        }
        let (Some(name), Some(parent)) = (known.file_name(), known.parent()) else {
            return path.to_owned();
        };
        missing.push(name);
        known = parent;
    }
}
