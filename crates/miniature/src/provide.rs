use crate::files::Tree;
use crate::{MiniatureError, REVISION, elpv, maps, mvtec, vad, visa};
use segad_core::{Image, KeyHasher, Progress, Seed};
use segad_datasets::Manifest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The data sets, each with its manifest `<name>.toml`. `maps/` beside them belongs to `visa`.
pub const DATASETS: [&str; 4] = ["elpv-sample", "mvtec", "vad", "visa"];

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Height of the images in pixels, 32 to 512.
    pub size: usize,
    /// Decides every pixel, and which of VisA's images test.
    pub seed: Seed,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            size: 64,
            seed: Seed(0),
        }
    }
}

/// Makes all sets below `root`, which must be empty or not there; it is there whole or not at all.
///
/// # Errors
/// A size out of range, a folder that holds something or cannot be written.
pub fn write(root: &Path, params: &Params, progress: &dyn Progress) -> Result<(), MiniatureError> {
    if !(32..=512).contains(&params.size) {
        return Err(MiniatureError::Size(params.size));
    }
    let tree = Tree::begin(root)?;
    let classes = |name| Ok::<_, MiniatureError>(derived(name)?.classes.len());
    let images = vad::images()
        + visa::images(classes("visa")?)
        + mvtec::images(classes("mvtec")?)
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

/// The sets of these parameters below a cache folder, made if they are not there yet.
///
/// # Errors
/// As [`write`].
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
        // Another process was faster; what it made is the same.
        Err(_) if place.is_dir() => Ok(place),
        made => made.map(|()| place),
    }
}

/// The real data set's manifest, marked as made up; its counts are still to be changed.
pub(crate) fn derived(dataset: &'static str) -> Result<Manifest, MiniatureError> {
    let failed = |e: segad_datasets::DatasetError| MiniatureError::Manifest {
        dataset,
        reason: e.to_string(),
    };
    let mut manifest = Manifest::shipped(dataset).map_err(failed)?;
    manifest.name = format!("{dataset}-mini");
    manifest.title = format!("{}: a made-up miniature", manifest.title);
    manifest.made_up = true;
    (manifest.homepage, manifest.licence_note) = (None, None);
    manifest.licence = Some("MIT OR Apache-2.0".to_owned());
    manifest.citation.clear();
    manifest.sources.clear();
    Ok(manifest)
}

pub(crate) fn manifest_file(
    tree: &Tree,
    dataset: &'static str,
    manifest: &Manifest,
) -> Result<(), MiniatureError> {
    let failed = |e: toml::ser::Error| MiniatureError::Manifest {
        dataset,
        reason: e.to_string(),
    };
    tree.put(
        &format!("{dataset}.toml"),
        toml::to_string(manifest).map_err(failed)?.as_bytes(),
    )
}

/// Images per group.
pub(crate) type Counts<'a> = Vec<(&'a str, usize)>;

pub(crate) fn counts(list: &[(&str, usize)]) -> BTreeMap<String, usize> {
    list.iter()
        .map(|&(group, n)| (group.to_owned(), n))
        .collect()
}

/// Names the file in whatever went wrong with its image.
pub(crate) fn encode<T, E: ToString>(path: &str, made: Result<T, E>) -> Result<T, MiniatureError> {
    made.map_err(|e| MiniatureError::Image {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

/// A grey PNG with `value` where the mask holds.
pub(crate) fn mask_png(
    path: &str,
    mask: &[bool],
    (height, width): (usize, usize),
    value: u8,
) -> Result<Vec<u8>, MiniatureError> {
    let grey: Vec<u8> = mask.iter().map(|&m| if m { value } else { 0 }).collect();
    let image = encode(path, Image::from_grey(height, width, &grey))?;
    encode(path, segad_imaging::encode_png(&image))
}
