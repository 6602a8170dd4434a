//! What EfficientAD takes from this machine beside its parameters: weights of a teacher or of the
//! backbone that one is distilled from, and the images of the penalty.

use crate::folder::ImageFolder;
use crate::workbench::Workbench;
use segad_core::{BoxError, Key, KeyHasher};
use segad_datasets::{Layout, Manifest};
use segad_detector_efficientad::{EfficientAdParams, PdnSize};
use segad_nn::Weights;
use std::path::{Path, PathBuf};

/// Where a teacher's weights lie.
pub fn teacher_path(cache: &Path, size: PdnSize) -> PathBuf {
    cache
        .join("weights")
        .join(format!("{}.safetensors", size.weights_name()))
}

fn teacher(bench: &Workbench, size: PdnSize) -> Result<Vec<u8>, BoxError> {
    let path = teacher_path(&bench.settings.cache, size);
    if !path.exists() {
        let advice = "import the published one, or make one with `segad fit efficientad-teacher`";
        let file = path.display();
        return Err(format!(
            "{file}: the weights of EfficientAD's {size} teacher are not there; {advice}"
        )
        .into());
    }
    Ok(segad_files::read(&path)?)
}

/// The weights that the parameters ask for.
///
/// # Errors
/// If they are not there or damaged.
pub(crate) fn weights(bench: &Workbench, params: &EfficientAdParams) -> Result<Weights, BoxError> {
    match params.distill() {
        Some(distill) => bench.weights(distill.backbone()),
        None => Ok(Weights::from_safetensors(&teacher(bench, params.size())?)?),
    }
}

/// The images of the penalty, if it is on: those of a declared data set of general images, else of
/// a folder. A relative folder begins where the experiment's paths do.
///
/// # Errors
/// If they are not there, with how to get them.
pub(crate) fn penalty(
    bench: &Workbench,
    params: &EfficientAdParams,
) -> Result<Option<ImageFolder>, BoxError> {
    let Some(name) = params.settings().penalty.as_ref() else {
        return Ok(None);
    };
    let declared = Manifest::shipped(name).is_ok_and(|m| m.layout == Layout::Images);
    let (folder, advice) = if declared {
        let advice =
            format!("`cargo xtask fetch {name}` brings the penalty's images, or leave penalty out");
        (bench.settings.cache.join("data").join(name), advice)
    } else {
        let advice = "penalty wants the name of a data set of general images, e.g. imagenette, or a folder of such \
                      images; or leave it out";
        (bench.settings.base.join(name), advice.to_owned())
    };
    let opened = if folder.is_dir() {
        ImageFolder::open(&folder)
    } else {
        Err(format!("{}: the folder is not there", folder.display()).into())
    };
    Ok(Some(opened.map_err(|e| format!("{e}; {advice}"))?))
}

/// Digest of weights and penalty images, for keys.
///
/// # Errors
/// What is missing.
pub(crate) fn inputs(bench: &Workbench, params: &EfficientAdParams) -> Result<Key, BoxError> {
    let weights = match params.distill() {
        Some(distill) => bench.weights_digest(distill.backbone())?,
        None => Key::of_bytes(&teacher(bench, params.size())?),
    };
    let mut hasher = KeyHasher::new("efficientad inputs", 1);
    hasher
        .field("weights", &weights)
        .field("penalty", &penalty(bench, params)?.map(|p| p.digest()));
    Ok(hasher.finish())
}
