//! A model's networks and trees for other programs, as TorchScript or ONNX.

use crate::error::{ProductError, Result};
use crate::inspector::Inspector;
use segad_core::{BoxError, Image};
use segad_features::Scratch;
use segad_forest::{Forest, TreeNode};
use segad_nn::{NnError, run_torchscript, to_vec, write_torchscript};
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A network that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its name, without extension.
    pub name: String,
    /// How far what the file gives for the images is from what the model gives, as in
    /// [`Converted::apart`].
    pub apart: f32,
}

/// A file in ONNX, and what it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// Its name, without extension.
    pub name: String,
    /// The file: one input and one output, `f32`.
    pub file: Vec<u8>,
    /// Whether it is trees, which not every runtime has, rather than a network.
    pub is_trees: bool,
    /// For each image, the values of the input, in the order of its shape.
    pub inputs: Vec<Vec<f32>>,
    /// For each image, what the model itself gives.
    pub expected: Vec<Vec<f32>>,
}

impl Converted {
    /// How far outputs lie from what the model gives: the largest difference, relative to the
    /// largest value of an image's output (for a single value, to 1 if that is more). Infinite for
    /// NaN, and for another number of values.
    pub fn apart(&self, outputs: &[Vec<f32>]) -> f32 {
        if outputs.len() != self.expected.len() {
            return f32::INFINITY;
        }
        let pairs = self.expected.iter().zip(outputs);
        pairs
            .map(|(ours, theirs)| apart(ours, theirs))
            .fold(0.0, f32::max)
    }
}

/// See [`Converted::apart`].
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    if ours.len() != theirs.len() {
        return f32::INFINITY;
    }
    // A logit near 0 has no scale of its own; values of a map share one.
    let floor = if ours.len() == 1 {
        1.0
    } else {
        f32::MIN_POSITIVE
    };
    let largest = ours.iter().fold(floor, |m, v| m.max(v.abs()));
    let mut worst = 0f32;
    for (a, b) in ours.iter().zip(theirs) {
        let apart = (a - b).abs() / largest;
        // `max` would leave out NaN, the farthest of all: no output is ever missing.
        worst = if apart.is_nan() {
            f32::INFINITY
        } else {
            worst.max(apart)
        };
    }
    worst
}

type Fallible<T> = std::result::Result<T, BoxError>;

/// A function that may fail.
type Function<'a, X, Y> = Box<dyn Fn(&X) -> Fallible<Y> + 'a>;

/// A part that is written as one file.
struct Network<'a> {
    name: &'a str,
    /// 1×3×S×S.
    input: Function<'a, [Image], Tensor>,
    network: Function<'a, Tensor, Tensor>,
    /// What the model itself gives for an image.
    reference: Function<'a, [Image], Vec<f32>>,
}

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
        for network in self.networks()? {
            let apart = network.check(&path(network.name), images);
            recorded.push(Recorded {
                name: network.name.to_owned(),
                apart: apart.map_err(|e| ProductError::detector(network.name, e))?,
            });
        }
        Ok(recorded)
    }

    /// The same networks in ONNX, and `forest` and `classifier-trees`, from columns, 1×C, to the
    /// margin, 1×1. Nothing is run but the model itself; [`Converted::apart`] compares. Each network
    /// is recorded to `path` on the way, where the last recording stays.
    ///
    /// # Errors
    /// As [`Inspector::export`]; an operation that has no ONNX.
    pub fn export_onnx(&self, images: &[Image], path: &Path) -> Result<Vec<Converted>> {
        let mut converted = Vec::new();
        for network in self.networks()? {
            let one = network.convert(path, images);
            converted.push(one.map_err(|e| ProductError::detector(network.name, e))?);
        }
        if let Some(forest) = &self.forest {
            let mut rows = Vec::new();
            for image in images {
                let observation = self.observe(image)?;
                let gauged = self.features(image, &observation, &mut Scratch::default())?;
                rows.push(gauged.features);
            }
            converted.push(trees("forest", forest, rows)?);
        }
        if let (Some(c), Some(forest)) = (&self.classifier, self.classifier_trees()) {
            let mut rows = Vec::new();
            for image in images {
                rows.push(c.embedder.rows(std::slice::from_ref(image))?);
            }
            converted.push(trees("classifier-trees", forest, rows)?);
        }
        Ok(converted)
    }

    /// The trees that make the classifier's logit out of its network's columns, where there are
    /// any.
    pub fn classifier_trees(&self) -> Option<&Forest> {
        self.classifier.as_ref()?.head.trees()
    }

    fn networks(&self) -> Result<Vec<Network<'_>>> {
        let mut networks = Vec::new();
        for (settings, detector) in self.settings.iter().zip(&self.detectors) {
            networks.push(Network {
                name: settings.kind(),
                input: Box::new(|images| detector.input(images)),
                network: Box::new(|x| detector.network(x)),
                reference: Box::new(|images| {
                    let maps = detector.maps(images)?;
                    Ok(maps.into_iter().flat_map(|m| m.values().to_vec()).collect())
                }),
            });
        }
        if let Some(tokens) = &self.tokens {
            let tokens = &tokens.network;
            networks.push(Network {
                name: "tokens",
                input: Box::new(|images| Ok(tokens.input(images)?)),
                network: Box::new(|x| Ok(tokens.network(x)?)),
                reference: Box::new(|images| Ok(to_vec(&tokens.network(&tokens.input(images)?)?)?)),
            });
        }
        if let Some(c) = &self.classifier {
            let head = c.head.network()?;
            networks.push(Network {
                name: "classifier",
                input: Box::new(|images| Ok(c.embedder.input(images)?)),
                network: Box::new(move |x| Ok(head(&c.embedder.network(x)?)?)),
                reference: Box::new(|images| match (c.head.trees(), images) {
                    (None, [image]) => Ok(vec![c.logit(image)?]),
                    _ => Ok(c.embedder.rows(images)?),
                }),
            });
        }
        Ok(networks)
    }
}

/// Trees in ONNX, with the rows of some images, and these rows with every second value missing:
/// missing values take paths of their own, and the images may have none.
fn trees(name: &str, forest: &Forest, rows: Vec<Vec<f32>>) -> Result<Converted> {
    let mut inputs = Vec::new();
    for row in rows {
        let values = row.iter().enumerate();
        let gaps = [0, 1].map(|kept| {
            let keep = |(i, &v): (usize, &f32)| if i % 2 == kept { v } else { f32::NAN };
            values.clone().map(keep).collect()
        });
        inputs.extend(gaps);
        inputs.push(row);
    }
    let mut expected = Vec::new();
    for row in &inputs {
        expected.push(vec![forest.margin(row)?]);
    }
    let node = |node| match node {
        TreeNode::Split {
            column,
            threshold,
            missing_left,
            left,
        } => segad_onnx::TreeNode::Split {
            column,
            threshold,
            missing_left,
            left,
            right: left + 1,
        },
        TreeNode::Leaf(value) => segad_onnx::TreeNode::Leaf(value),
    };
    let nodes = forest.tree_nodes().into_iter();
    let nodes: Vec<Vec<_>> = nodes
        .map(|tree| tree.into_iter().map(node).collect())
        .collect();
    let (columns, base) = (forest.columns().len(), forest.base_score());
    Ok(Converted {
        name: name.to_owned(),
        file: segad_onnx::forest(name, columns, base, &nodes),
        is_trees: true,
        inputs,
        expected,
    })
}

impl Network<'_> {
    /// Writes TorchScript, recorded with the first image.
    fn record(&self, path: &Path, images: &[Image]) -> Fallible<()> {
        let first = images
            .first()
            .ok_or("the model has no sample image to check the export with")?;
        let network = |x: &Tensor| {
            let failed = |e| NnError::Saved(format!("{} cannot be recorded: {e}", self.name));
            (self.network)(x).map_err(failed)
        };
        let input = (self.input)(std::slice::from_ref(first))?;
        Ok(write_torchscript(path, self.name, &input, &network)?)
    }

    /// Writes TorchScript, and says how far its output lies from the reference.
    fn check(&self, path: &Path, images: &[Image]) -> Fallible<f32> {
        self.record(path, images)?;
        let mut worst = 0f32;
        for image in images.chunks(1) {
            // Read back from the file: a recording may hold constants of the image it was made
            // with.
            let theirs = to_vec(&run_torchscript(path, &(self.input)(image)?)?)?;
            worst = worst.max(apart(&(self.reference)(image)?, &theirs));
        }
        Ok(worst)
    }

    fn convert(&self, path: &Path, images: &[Image]) -> Fallible<Converted> {
        self.record(path, images)?;
        let torchscript = segad_imaging::read_file(path)?;
        let (mut shape, mut inputs, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for image in images.chunks(1) {
            let input = (self.input)(image)?;
            shape = input.size();
            inputs.push(to_vec(&input)?);
            expected.push((self.reference)(image)?);
        }
        Ok(Converted {
            name: self.name.to_owned(),
            file: segad_onnx::network(self.name, &torchscript, &shape)?,
            is_trees: false,
            inputs,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_farther_apart_than_what_is_missing() {
        let nan = f32::NAN;
        assert_eq!(apart(&[1.0, -4.0], &[1.5, -4.0]), 0.125);
        // A single value near 0 has no scale of its own.
        assert_eq!(apart(&[0.25], &[0.5]), 0.25);
        for theirs in [&[nan, 1.0][..], &[1.0, nan], &[1.0]] {
            assert_eq!(apart(&[1.0, 1.0], theirs), f32::INFINITY);
        }
        assert_eq!(apart(&[1.0, nan], &[1.0, nan]), f32::INFINITY);
    }
}
