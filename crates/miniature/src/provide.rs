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

/// The folder of the sets of these parameters below a cache folder; written if it does not exist or
/// has lost or changed files.
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
    let record = place.with_extension("sizes");
    if place.is_dir() {
        match segad_files::read_to_string_if_present(&record)? {
            Some(recorded) if recorded == sizes(&place)? => return Ok(place),
            // A cache, so nothing in it is anybody's own.
            Some(_) => segad_files::remove(&place)?,
            // Just written, and another process is about to record it.
            None => {}
        }
    }
    match write(&place, params, progress) {
        // Another process was faster; it wrote the same.
        Err(_) if place.is_dir() => {}
        written => written?,
    }
    segad_files::write_atomic(&record, sizes(&place)?.as_bytes())?;
    Ok(place)
}

/// A line with path and size for each file: files are only ever written whole, so one that is absent
/// or of another size was damaged later.
fn sizes(root: &Path) -> Result<String, MiniatureError> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in segad_files::list_all(&folder)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (size, _) = segad_files::size_and_time(&path)?;
            let below = path.strip_prefix(root).unwrap_or(&path);
            lines.push(format!("{} {size}\n", below.display()));
        }
    }
    lines.sort();
    Ok(lines.concat())
}
