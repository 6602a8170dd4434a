//! DRA (Ding et al., "Catching Both Gray and Black Swans: Open-set Supervised Anomaly Detection",
//! CVPR 2022), one of the supervised baselines of the SegAD paper: four heads on one backbone, so
//! that it also finds defects of kinds that were never labelled.
//!
//! | head | what it scores | high for | sees in training |
//! |---|---|---|---|
//! | seen | a map by 1×1 convolution | labelled defects | good, labelled |
//! | pseudo | the same, its own weights | artificial defects | good, artificial |
//! | composite | (mean feature of 5 good images − feature), 3×3 convolution, batch normalisation, ReLU, map | all defects | all |
//! | holistic | average over places, two linear layers | good images | all |
//!
//! Maps become scores by the mean of the tenth of places with the largest absolute values; every
//! head's score is averaged over the image at full and at half size. A(x) = −holistic + seen +
//! pseudo + composite. Each head is trained with DevNet's deviation loss
//! ([`segad_nn::train::deviation`]), the losses are added up.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: A(x), one f32 per
//!   image of any sign; larger is more anomalous.
//! - A batch of 48 is 32 places for good images and 16 for bad ones, from endless random orders.
//!   Each good place holds, with probability ½, another good image with an artificial defect: a
//!   rectangle of 2–15 % of the area, colours changed a little, pasted elsewhere. Five more good
//!   images are the references.
//! - The whole network is trained by Adam with L2 penalty, gradients clipped to norm 1, a tenth of
//!   the rate every 10 epochs of 20 steps. Training is that of [`segad_nn::train`]: the same seed
//!   gives the same bytes, a killed process loses only the steps since the last checkpoint.
//!
//! ```
//! use segad_classifier_dra::{Dra, DraSettings, FittedDra};
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
//! let settings = DraSettings { backbone, image_size: 64, epochs: 1, steps_per_epoch: 2, batch: 6, ..Default::default() };
//! let weights = Weights::random(backbone, None, Seed(0))?; // or Weights::from_safetensors
//! let images = ["a.png", "b.png", "bad.png"]
//!     .map(|n| Sample::new(ImageId::new(n), if n.starts_with("bad") { Label::Bad } else { Label::Good }));
//! let ctx = FitContext::default();
//! let dra = Dra::new(settings.checked()?, weights)?;
//! let fitted = dra.fit(&TrainSplit::new(images.to_vec())?.labelled(&Grey), Seed(1), &ctx)?;
//! assert_eq!(fitted.origin().references.len(), 2); // all the good images there are
//! let test = [Grey.load(&ImageId::new("c.png"))?];
//! let again = FittedDra::load(&fitted.save()?, ctx.device, ctx.batch)?;
//! assert_eq!(again.scores(&test)?, fitted.scores(&test)?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from the official code:
//! - At scoring, the references are drawn once, by the seed, and their mean features are part of
//!   the model. The official code draws five for every test batch, so that a score depends on the
//!   images around it.
//! - References are good images as they are. The official code takes them from its augmented
//!   training set, where one in two carries an artificial defect; its scheduler steps before an
//!   epoch, so that the rate falls one early. `strict_official` does both.
//! - 256 instead of 448 pixels and no rotation by default, as in the SegAD paper; both are
//!   settings.
//! - Which images train is the caller's choice, all random numbers follow from the seed, and
//!   without bad images there is an error. The criterion `CE`, whose loss over one output is always
//!   0, and images of other data sets as artificial defects are left out.
//!
//! Extensions: other backbones (up to their last stage; 512 channels become the backbone's), a
//! prior of exactly N(0, 1).

mod augment;
mod fit;
mod heads;
mod method;
mod model;
mod params;
mod pictures;
mod score;

pub use fit::Dra;
pub use model::FittedDra;
pub use params::{DraParams, DraSettings};

/// Raised when training gives another network for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 1;

/// Raised when a fitted model gives another score for the same image; part of the key of scores.
pub const SCORES_REVISION: u32 = 1;
