use super::ModelError;
use crate::Weights;
use segad_core::{
    CacheKey, FitContext, Image, Key, KeyHasher, Label, Seed, TrainGood, TrainLabelled,
};

/// What a checkpoint of a training belongs to: all that decides its weights. `images` is the list
/// of ids or samples.
pub fn training_identity(
    method: &str,
    revision: u32,
    params: &impl CacheKey,
    weights: &Weights,
    images: &(impl CacheKey + ?Sized),
    seed: Seed,
) -> Key {
    KeyHasher::new(method, revision)
        .field("params", params)
        .field("weights", &weights.digest())
        .field("images", images)
        .field("seed", &seed)
        .finish()
}

/// Checks that there are enough images; `what` names them, e.g. `good training images`.
///
/// # Errors
/// [`ModelError::TooFewImages`].
pub fn expect_images(
    method: &'static str,
    what: &'static str,
    actual: usize,
    expected: usize,
) -> Result<(), ModelError> {
    if actual < expected {
        return Err(ModelError::TooFewImages {
            method,
            what,
            actual,
            expected,
        });
    }
    Ok(())
}

/// The numbers of good and of bad images; `needed` of the former and one of the latter must be
/// there.
///
/// # Errors
/// [`ModelError::TooFewLabelled`].
pub fn expect_labels(
    method: &'static str,
    labels: &[Label],
    needed: usize,
) -> Result<(usize, usize), ModelError> {
    let bad = labels.iter().filter(|l| l.is_bad()).count();
    let good = labels.len() - bad;
    if good < needed || bad == 0 {
        return Err(ModelError::TooFewLabelled {
            method,
            good,
            bad,
            needed,
        });
    }
    Ok((good, bad))
}

/// Positions of the images of a label, ascending.
pub fn positions(labels: &[Label], label: Label) -> Vec<usize> {
    (0..labels.len()).filter(|&i| labels[i] == label).collect()
}

/// The `i`-th good image; `role` says what for in an error, e.g. `training`.
///
/// # Errors
/// [`ModelError::Load`].
pub fn load_good(
    role: &'static str,
    images: &TrainGood<'_>,
    i: usize,
) -> Result<Image, ModelError> {
    images.load(i).map_err(|source| ModelError::Load {
        role,
        id: images.ids()[i].to_string(),
        source,
    })
}

/// The `i`-th labelled training image.
///
/// # Errors
/// [`ModelError::Load`].
pub fn load_labelled(images: &TrainLabelled<'_>, i: usize) -> Result<Image, ModelError> {
    images.load(i).map_err(|source| ModelError::Load {
        role: "training",
        id: images.samples()[i].id.to_string(),
        source,
    })
}

/// Stops a fit that somebody asked to stop.
///
/// # Errors
/// [`ModelError::Cancelled`].
pub fn check_cancelled(method: &str, ctx: &FitContext) -> Result<(), ModelError> {
    // Between images, not within one: a forward pass cannot be stopped half-way.
    if ctx.cancel.is_cancelled() {
        return Err(ModelError::Cancelled {
            method: method.to_owned(),
            step: None,
        });
    }
    Ok(())
}
