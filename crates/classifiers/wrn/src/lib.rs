//! WRN, the supervised classifier g(I) of SegAD (CVPR 2024, section 5.1 and appendix B): a
//! WideResNet-50-2 with ImageNet weights whose last layer is replaced by one logit, all of it
//! trained with focal loss.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared, with labels for training.
//!   Out: one f32 per image, the raw logit; larger is more anomalous. No sigmoid: its saturation
//!   would make ties.
//! - Loss (Lin et al., ICCV 2017): −αₜ(1 − pₜ)^γ·ln pₜ, mean over the batch, with pₜ = p for bad
//!   images, 1 − p for good ones, p = σ(logit), and αₜ = α or 1 − α.
//! - Training: SGD with momentum, no augmentation, no early stopping, batches of 4, on 80 % of the
//!   training images of each label; the AUROC on the others is kept with the model. It
//!   is that of [`segad_nn::train`]: the same seed gives the same bytes, a killed process loses
//!   only the steps since the last checkpoint, a loss that is not finite stops it.
//!
//! ```
//! use segad_classifier_wrn::{FittedWrn, Wrn, WrnSettings};
//! use segad_core::{FitClassifier, FitContext, Image, ImageClassifier, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_nn::method::FittedClassifier;
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! /// Bad images are brighter.
//! struct Plain;
//! impl ImageLoader for Plain {
//!     fn load(&self, id: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         let grey = if id.as_str().starts_with("bad") { 200 } else { 60 };
//!         Ok(Image::from_grey(32, 32, &[grey; 1024])?)
//!     }
//! }
//!
//! let backbone = BackboneKind::Resnet18; // the default is WideResNet-50-2
//! let settings = WrnSettings { backbone, image_size: 32, epochs: 2, batch: 2, ..Default::default() };
//! let weights = Weights::random(backbone, None, Seed(0))?; // or Weights::from_safetensors
//! let sample = |label: Label, i| Sample::new(ImageId::new(format!("{label}/{i}")), label);
//! let samples = (0..3).flat_map(|i| [sample(Label::Good, i), sample(Label::Bad, i)]).collect();
//! let (train, ctx) = (TrainSplit::new(samples)?, FitContext::default());
//! let fitted = Wrn::new(settings.checked()?, weights)?.fit(&train.labelled(&Plain), Seed(1), &ctx)?;
//! assert_eq!((fitted.origin().good, fitted.origin().bad), (2, 2)); // 80 % of three, rounded down
//! let images = [Plain.load(&ImageId::new("x"))?];
//! let again = FittedWrn::load(&fitted.save()?, ctx.device, ctx.batch)?;
//! assert_eq!(again.scores(&images)?, fitted.scores(&images)?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! # What the paper leaves open
//! - Number of epochs (30 here), α and γ (0.25 and 2, the focal-loss paper's), the sampler (each
//!   image once an epoch, a last, smaller batch left out), weight decay (none), and whether the
//!   rate of 0.025 ever falls: profile `stable`, the default, lets it fall to 0 along a cosine,
//!   profile `paper` keeps it.
//! - The 80 % are ⌊0.8·n⌋ of the good and of the bad images apart, at least one each, drawn by the
//!   run's seed.
//!
//! # Extensions
//! Any backbone of [`segad_nn`]. Of an EfficientNet-Lite the last stage's features are averaged;
//! the 1×1 convolution that widens them before its own classifier is left out. `frozen_statistics`
//! keeps the batch normalisations' ImageNet statistics, which batches of 4 estimate badly.

mod fit;
mod method;
mod model;
mod params;

pub use fit::Wrn;
pub use model::{FittedWrn, HeldOut, Origin};
pub use params::{Profile, WrnParams, WrnSettings};

/// Raised when training gives another network for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 1;

/// Raised when a fitted model gives other scores for the same image; part of the key of scores.
pub const SCORES_REVISION: u32 = 1;
