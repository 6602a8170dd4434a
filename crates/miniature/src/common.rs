//! What the writers of the sets share.

use crate::MiniatureError;
use segad_core::{Image, Seed};
use segad_datasets::Manifest;
use segad_files::{Staging, parent};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The parameters of the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Height of the images in pixels, 32 to 512.
    pub size: usize,
    /// Random seed of every pixel, and of VisA's split.
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

/// The sets, written to a staging folder next to their place.
pub(crate) struct Tree {
    place: PathBuf,
    staging: Staging,
}

impl Tree {
    /// # Errors
    /// [`MiniatureError::NotEmpty`] if `place` is not an empty folder or absent.
    pub(crate) fn begin(place: &Path) -> Result<Self, MiniatureError> {
        if segad_files::list_all(place).is_ok_and(|items| !items.is_empty()) {
            return Err(MiniatureError::NotEmpty {
                path: place.to_owned(),
            });
        }
        Ok(Self {
            place: place.to_owned(),
            // Next to its place, so that publishing is a rename and nobody sees half a set.
            staging: Staging::create_in(parent(place))?,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        self.staging.path()
    }

    /// Writes a file of the tree.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<(), MiniatureError> {
        segad_files::write_with_parents(&self.root().join(path), bytes)?;
        Ok(())
    }

    /// Puts the tree in its place.
    pub(crate) fn publish(self) -> Result<(), MiniatureError> {
        self.staging.publish(&self.place)?;
        Ok(())
    }
}

/// The real data set's manifest, marked as synthetic and without its sources. The counts are still
/// the real ones.
pub(crate) fn derived(dataset: &'static str) -> Result<Manifest, MiniatureError> {
    let mut manifest = Manifest::shipped(dataset).map_err(|e| invalid_manifest(dataset, &e))?;
    manifest.name = format!("{dataset}-mini");
    manifest.title = format!("{}: a synthetic miniature", manifest.title);
    // Whatever is printed of these numbers then says that they mean nothing.
    manifest.made_up = true;
    manifest.homepage = None;
    manifest.licence_note = None;
    manifest.licence = Some("MIT OR Apache-2.0".to_owned());
    manifest.citation.clear();
    manifest.sources.clear();
    Ok(manifest)
}

pub(crate) fn write_manifest(
    tree: &Tree,
    dataset: &'static str,
    manifest: &Manifest,
) -> Result<(), MiniatureError> {
    let text = toml::to_string(manifest).map_err(|e| invalid_manifest(dataset, &e))?;
    tree.put(&format!("{dataset}.toml"), text.as_bytes())
}

fn invalid_manifest(dataset: &'static str, e: &dyn std::error::Error) -> MiniatureError {
    MiniatureError::Manifest {
        dataset,
        reason: e.to_string(),
    }
}

/// Images per group, as manifests count them.
pub(crate) fn counts<'a>(
    images: impl IntoIterator<Item = (&'a str, usize)>,
) -> BTreeMap<String, usize> {
    images
        .into_iter()
        .map(|(group, n)| (group.to_owned(), n))
        .collect()
}

/// Adds the file's name to an error of its image.
pub(crate) fn in_file<T, E: ToString>(
    path: &str,
    result: Result<T, E>,
) -> Result<T, MiniatureError> {
    result.map_err(|e| MiniatureError::Image {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

pub(crate) fn png(path: &str, image: &Image) -> Result<Vec<u8>, MiniatureError> {
    in_file(path, segad_imaging::encode_png(image))
}

/// A grey PNG with `value` where the mask holds.
pub(crate) fn mask_png(
    path: &str,
    mask: &[bool],
    (height, width): (usize, usize),
    value: u8,
) -> Result<Vec<u8>, MiniatureError> {
    let grey: Vec<u8> = mask.iter().map(|&m| if m { value } else { 0 }).collect();
    let image = in_file(path, Image::from_grey(height, width, &grey))?;
    png(path, &image)
}
