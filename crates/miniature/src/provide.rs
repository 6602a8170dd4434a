use crate::common::{Params, Tree, derived};
use crate::{MiniatureError, REVISION, elpv, maps, mvtec, vad, visa};
use segad_core::{KeyHasher, Progress};
use std::path::{Path, PathBuf};

/// The data sets, each with its manifest `<name>.toml`. `maps/` next to them belongs to `visa`.
pub const DATASETS: [&str; 4] = ["elpv-sample", "mvtec", "vad", "visa"];

/// Writes all sets below `root`, which must be empty or absent; afterwards it is complete, or as it
/// was.
///
/// # Errors
/// [`MiniatureError`] for a size out of range, and for a folder that is not empty or cannot be
/// written to.
pub fn write(root: &Path, params: &Params, progress: &dyn Progress) -> Result<(), MiniatureError> {
    if !(32..=512).contains(&params.size) {
        return Err(MiniatureError::Size(params.size));
    }
    let tree = Tree::begin(root)?;
    let images = vad::images()
        + visa::images(derived("visa")?.classes.len())
        + mvtec::images(derived("mvtec")?.classes.len())
        + elpv::images();
    let task = progress.start("miniature sets", Some(images as u64));
    vad::write(&tree, params, &*task)?;
    visa::write(&tree, params, &*task)?;
    mvtec::write(&tree, params, &*task)?;
    elpv::write(&tree, params, &*task)?;
    let folder = tree.root().join("maps");
    maps::write(&folder, params.size as u32, &maps::MINIATURE)?;
    tree.publish()
}

/// The folder of the sets of these parameters below a cache folder; written if it does not exist.
///
/// # Errors
/// As [`write()`].
pub fn provide(
    cache: &Path,
    params: &Params,
    progress: &dyn Progress,
) -> Result<PathBuf, MiniatureError> {
    let mut hasher = KeyHasher::new("miniature", REVISION);
    let key = hasher
        .field("size", &params.size)
        .field("seed", &params.seed)
        .finish();
    let place = cache.join("miniature").join(key.short());
    if place.is_dir() {
        return Ok(place);
    }
    match write(&place, params, progress) {
        // Another process was faster; it wrote the same.
        Err(_) if place.is_dir() => Ok(place),
        written => written.map(|()| place),
    }
}
