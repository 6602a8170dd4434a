//! EfficientAD (Batzner, Heckler and König, "EfficientAD: Accurate Visual Anomaly Detection at
//! Millisecond-Level Latencies", WACV 2024), with the settings of the SegAD paper as defaults:
//! medium, padded, 70 000 iterations, no augmentation, no penalty.
//!
//! A frozen *teacher* (a patch description network, PDN) gives 384 features per place. A *student*
//! of the same kind, with 768, learns on good images to reproduce them in its first half, from the
//! hardest 0.1 % of its errors; an *autoencoder* reproduces them through a bottleneck of 64
//! numbers, and the student's second half learns to reproduce the autoencoder. Both differences,
//! averaged over channels, brought to one scale by quantiles of held-out good images and added, are
//! the map.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: one f32 map of that
//!   size each (or of `map_size`); 0 and 0.1 are the 90 % and the 99.5 % quantiles of good images'
//!   differences. Values may be negative; nothing is clipped.
//! - Weights: the published `teacher_medium.pth` or `teacher_small.pth`, imported to safetensors
//!   (anomalib's names are accepted too), or a teacher that [`distill`] makes from a backbone.
//! - A fitted model contains all three networks and loads without anything else.
//!
//! ```
//! use segad_core::{AnomalyDetector, FitContext, FitDetector, Image, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_detector_efficientad::{
//!     DistillSettings, EfficientAd, EfficientAdSettings, FittedEfficientAd, PdnSize, Teacher,
//! };
//! use segad_nn::method::FittedDetector;
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! struct Stripes;
//! impl ImageLoader for Stripes {
//!     fn load(&self, id: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         let shift = id.as_str().len();
//!         Ok(Image::from_grey(64, 64, &(0..4096).map(|i| ((i + shift) % 8 * 30) as u8).collect::<Vec<_>>())?)
//!     }
//! }
//!
//! // Here a teacher is distilled, in far too few steps, from a backbone with random weights.
//! let distill = DistillSettings {
//!     network: PdnSize::Small,
//!     backbone: BackboneKind::Resnet18,
//!     image_size: 128,
//!     iterations: 1,
//!     batch: 1,
//!     ..Default::default()
//! };
//! let settings = EfficientAdSettings {
//!     teacher: Teacher::Distilled,
//!     distill: Some(distill),
//!     image_size: 128,
//!     iterations: 1,
//!     ..Default::default()
//! };
//! let weights = Weights::random(BackboneKind::Resnet18, Some("layer3"), Seed(0))?; // or Weights::from_safetensors
//! let detector = EfficientAd::new(settings.checked()?, weights)?;
//! let samples = ["a", "bb"].map(|n| Sample::new(ImageId::new(n), Label::Good));
//! let train = TrainSplit::new(samples.to_vec())?;
//! let ctx = FitContext::default();
//! let fitted = detector.fit(&train.good(&Stripes), Seed(1), &ctx)?;
//! let maps = fitted.maps(&[Stripes.load(&ImageId::new("ccc"))?])?;
//! assert_eq!((maps[0].height(), maps[0].width()), (128, 128));
//!
//! let again = FittedEfficientAd::load(&fitted.save()?, ctx.device, ctx.batch)?;
//! assert_eq!(again.save()?, fitted.save()?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from the code that the paper used (nelson1425/EfficientAD and its SegAD variant):
//! - Random numbers (initial weights, order, dropout, hold-out) are segad's own.
//! - The student sees all images of a step in one batch instead of one to three times, the
//!   teacher's outputs are kept where memory allows, the hard loss sorts 1574 values instead of 1.6
//!   million: the same losses.
//! - Channel statistics are taken in f64 in one pass.
//! - Image sides other than 256 scale the autoencoder: its bottleneck has kernels of side/32.
//! - Penalty images come one per step in a shuffled order that is drawn anew after each pass.
//! - [`Teacher::Distilled`] makes a teacher from the good training images alone, by default from
//!   WideResNet-50-2 features; the published ones were distilled on ImageNet from WideResNet-101-2.
//!   It is meant for machines without access to the published teachers; its maps are not the
//!   paper's.
//! - OpenCV's and tensor resizing (of other versions of anomalib) are not offered; Pillow's is
//!   exact.

mod augment;
mod autoencoder;
mod distill;
mod distill_params;
mod error;
mod fit;
#[cfg(test)]
mod golden_tests;
mod images;
mod layer;
mod loss;
mod method;
mod model;
mod params;
mod pdn;
mod quantile;
mod score;
mod stages;
mod statistics;
mod targets;
mod teacher;
mod training;

pub use distill::{DistilledTeacher, distill};
pub use distill_params::{DistillParams, DistillSettings};
pub use error::EfficientAdError;
pub use fit::EfficientAd;
pub use method::published;
pub use model::{FittedEfficientAd, Origin};
pub use params::{
    AutoencoderImages, EfficientAdParams, EfficientAdSettings, InputNorm, QuantileMaps, Teacher,
};
pub use pdn::PdnSize;
pub use score::{Normalisation, Scale};
pub use teacher::teacher_tensors;

/// What the method is called in settings, progress and saved models.
const NAME: &str = "efficientad";

/// Raised when fitting gives another model for the same input; part of the key of fitted models.
/// The training loop has its own, [`segad_nn::train::REVISION`].
pub const FIT_REVISION: u32 = 2;

/// Raised when a fitted model gives other maps for the same image; part of the key of maps.
pub const MAPS_REVISION: u32 = 1;
