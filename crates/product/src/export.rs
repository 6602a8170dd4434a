//! A model's networks as TorchScript, for other programs.

use crate::error::{ProductError, Result};
use crate::inspector::Inspector;
use segad_core::{BoxError, Image};
use segad_forest::Forest;
use segad_nn::{NnError, run_torchscript, to_vec, write_torchscript};
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A network that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its name, without extension.
    pub name: String,
    /// The largest difference between what the file and the model give for the images, relative to
    /// the largest value of an image's output (for a logit, to 1 if that is more).
    pub apart: f32,
}

type Fallible<T> = std::result::Result<T, BoxError>;

impl Inspector {
    /// Writes the network of each detector (from network input, 1×3×S×S, to the map, 1×M×M) and of
    /// the classifier (to the logit, 1; where trees make the logit, to their columns, 1×C) as
    /// TorchScript to `path(name)`, and runs each on the images. The classifier is called
    /// `classifier`, the network of patch tokens (to the layers side by side, 1×places×C) `tokens`.
    ///
    /// # Errors
    /// libtorch's, or [`ProductError::Damaged`] without an image.
    pub fn export(
        &self,
        images: &[Image],
        path: impl Fn(&str) -> PathBuf,
    ) -> Result<Vec<Recorded>> {
        let mut recorded = Vec::new();
        for (settings, detector) in self.settings.iter().zip(&self.detectors) {
            let name = settings.kind();
            let part = Part {
                input: &|image| detector.input(image),
                network: &|x| detector.network(x),
                reference: &|image| {
                    let maps = detector.maps(std::slice::from_ref(image))?;
                    Ok(maps.into_iter().flat_map(|m| m.values().to_vec()).collect())
                },
            };
            let apart = part
                .record(name, &path(name), images)
                .map_err(|e| ProductError::detector(name, e))?;
            recorded.push(Recorded {
                name: name.to_owned(),
                apart,
            });
        }
        if let Some(tokens) = &self.tokens {
            let name = "tokens";
            let part = Part {
                input: &|image| Ok(tokens.network.input(image)?),
                network: &|x| Ok(tokens.network.network(x)?),
                reference: &|image| {
                    let x = tokens.network.input(std::slice::from_ref(image))?;
                    Ok(to_vec(&tokens.network.network(&x)?)?)
                },
            };
            let apart = part.record(name, &path(name), images);
            let apart = apart.map_err(|e| ProductError::detector(name, e))?;
            recorded.push(Recorded {
                name: name.to_owned(),
                apart,
            });
        }
        if let Some(c) = &self.classifier {
            let name = "classifier";
            let head = c.head.network()?;
            let part = Part {
                input: &|image| Ok(c.embedder.input(image)?),
                network: &|x| Ok(head(&c.embedder.network(x)?)?),
                reference: &|image| match c.head.trees() {
                    Some(_) => Ok(c.embedder.rows(std::slice::from_ref(image))?),
                    None => Ok(vec![c.logit(image)?]),
                },
            };
            let apart = part.record(name, &path(name), images);
            let apart = apart.map_err(|e| ProductError::detector(name, e))?;
            recorded.push(Recorded {
                name: name.to_owned(),
                apart,
            });
        }
        Ok(recorded)
    }

    /// The trees that make the classifier's logit out of its network's columns, where there are
    /// any.
    pub fn classifier_trees(&self) -> Option<&Forest> {
        self.classifier.as_ref()?.head.trees()
    }
}

/// What is written as one file.
struct Part<'a> {
    input: &'a dyn Fn(&[Image]) -> Fallible<Tensor>,
    network: &'a dyn Fn(&Tensor) -> Fallible<Tensor>,
    /// What the model itself gives for an image.
    reference: &'a dyn Fn(&Image) -> Fallible<Vec<f32>>,
}

impl Part<'_> {
    /// Writes it, and says how far its output lies from the reference; see [`Recorded::apart`].
    fn record(&self, name: &str, path: &Path, images: &[Image]) -> Fallible<f32> {
        let first = images
            .first()
            .ok_or("the model has no sample image to check the export with")?;
        let network = |x: &Tensor| {
            (self.network)(x).map_err(|e| NnError::Saved(format!("{name} cannot be recorded: {e}")))
        };
        write_torchscript(
            path,
            name,
            &(self.input)(std::slice::from_ref(first))?,
            &network,
        )?;
        let mut worst = 0f32;
        for image in images {
            // Read back from the file: a recording may hold constants of the image it was made
            // with.
            let theirs = to_vec(&run_torchscript(
                path,
                &(self.input)(std::slice::from_ref(image))?,
            )?)?;
            let ours = (self.reference)(image)?;
            if theirs.len() != ours.len() {
                return Err(format!(
                    "the recording gives {} values, not {}",
                    theirs.len(),
                    ours.len()
                )
                .into());
            }
            // A logit near 0 has no scale of its own; values of a map share one.
            let floor = if ours.len() == 1 {
                1.0
            } else {
                f32::MIN_POSITIVE
            };
            let largest = ours.iter().fold(floor, |m, v| m.max(v.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                let apart = (a - b).abs() / largest;
                // `max` would leave out NaN, the farthest of all.
                worst = if apart.is_nan() {
                    f32::INFINITY
                } else {
                    worst.max(apart)
                };
            }
        }
        Ok(worst)
    }
}
