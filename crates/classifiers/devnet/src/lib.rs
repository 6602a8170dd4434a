//! DevNet for images (Pang et al., "Explainable Deep Few-shot Anomaly Detection with Deviation
//! Networks", 2021; the loss is that of "Deep Anomaly Detection with Deviation Networks", KDD
//! 2019), one of the supervised baselines of the SegAD paper.
//!
//! A backbone and a 1×1 convolution turn an image into a map of scores. The score y is the mean of
//! the tenth of places with the largest absolute values, averaged over the image at full and at
//! half size. Training keeps good images within the scores of a Gaussian prior and drives bad ones
//! at least a = 5 of its deviations away:
//!
//! d = (y − μ)/σ,  L = mean over images of |d| for good and max(0, a − d) for bad ones,
//!
//! with μ and σ from 5000 draws of N(0, 1), fresh at every step.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: y, one f32 per image,
//!   0 or more; larger is more anomalous. It is roughly a number of prior deviations, not a
//!   probability.
//! - Each batch is half good and half bad, each half from endless random orders of its own. The
//!   whole network is trained, by Adam with L2 penalty, gradients clipped to norm 1, a tenth of the
//!   rate every 10 epochs of 20 steps.
//! - Training is that of [`segad_nn::train`]: the same seed gives the same bytes, a killed
//!   process loses only the steps since the last checkpoint.
//!
//! ```
//! use segad_classifier_devnet::{DevNet, DevNetSettings, FittedDevNet};
//! use segad_core::{BoxError, FitClassifier, FitContext, Image, ImageClassifier, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_nn::method::FittedClassifier;
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! struct Grey;
//! impl ImageLoader for Grey {
//!     fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
//!         let value = if id.as_str().starts_with("bad") { 250 } else { 100 };
//!         Ok(Image::from_grey(64, 64, &[value; 4096])?)
//!     }
//! }
//!
//! let backbone = BackboneKind::Miniature;
//! let settings = DevNetSettings { backbone, image_size: 64, epochs: 1, steps_per_epoch: 2, batch: 4, ..Default::default() };
//! let weights = Weights::random(backbone, None, Seed(0))?; // or Weights::from_safetensors
//! let images = ["a.png", "b.png", "bad.png"]
//!     .map(|n| Sample::new(ImageId::new(n), if n.starts_with("bad") { Label::Bad } else { Label::Good }));
//! let ctx = FitContext::default();
//! let devnet = DevNet::new(settings.checked()?, weights)?;
//! let fitted = devnet.fit(&TrainSplit::new(images.to_vec())?.labelled(&Grey), Seed(1), &ctx)?;
//! let scores = fitted.scores(&[Grey.load(&ImageId::new("c.png"))?])?;
//! assert!(scores[0] >= 0.0);
//! let again = FittedDevNet::load(&fitted.save()?, ctx.device, ctx.batch)?;
//! assert_eq!(again.scores(&[Grey.load(&ImageId::new("c.png"))?])?, scores);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from the official code:
//! - 256 instead of 448 pixels and no rotation by default, as in the SegAD paper; both are
//!   settings.
//! - Which images train is the caller's choice (the official loader takes them from the test
//!   folder, in an order that depends on the file system, and skips files called `.JPG`). All
//!   random numbers are segad's, from the seed; the official ones are seeded in part.
//! - Without bad images there is an error, not a training on good ones only.
//!
//! Extensions: other backbones (up to their last stage), a prior of exactly N(0, 1).

mod fit;
mod method;
mod model;
mod params;
mod score;

pub use fit::DevNet;
pub use model::FittedDevNet;
pub use params::{DevNetParams, DevNetSettings};

/// Raised when training gives another network for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 1;

/// Raised when a fitted model gives another score for the same image; part of the key of scores.
pub const SCORES_REVISION: u32 = 1;
