//! RD4AD (Deng & Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", CVPR
//! 2022), with the settings of the SegAD paper as defaults.
//!
//! A frozen encoder gives features f₁, f₂, f₃ of strides 4, 8, 16. A student, which is the
//! one-class bottleneck and a decoder that mirrors the encoder, learns on good images to reproduce
//! them as d₁, d₂, d₃; what it never saw it reproduces badly. Training minimises Σₖ (1 − cos(fₖ,
//! dₖ)), with each feature of an image as one vector. The anomaly at a place is the same distance
//! along the channels; the three maps, enlarged (bilinear, corners aligned), are summed and blurred
//! (σ = 4).
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: one f32 map of that
//!   size each, 0…3 where the encoder's features are never negative (ResNets), otherwise 0…6; never
//!   clipped.
//! - Training is that of [`segad_nn::train`]: the same seed gives the same bytes, and an
//!   interruption costs only the steps since the last checkpoint. The encoder's features are kept
//!   in memory as far as the budget allows.
//! - Maps come from a student with batch normalisation folded in, and from
//!   [`segad_nn::MapOperator`].
//!
//! ```
//! use segad_core::{AnomalyDetector, FitContext, FitDetector, Image, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_detector_rd4ad::{FittedRd4ad, Rd4ad, Rd4adSettings};
//! use segad_nn::method::FittedDetector;
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! struct Stripes;
//! impl ImageLoader for Stripes {
//!     fn load(&self, _: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         Ok(Image::from_grey(64, 64, &(0..4096).map(|i| (i % 8 * 30) as u8).collect::<Vec<_>>())?)
//!     }
//! }
//!
//! let settings = Rd4adSettings {
//!     backbone: BackboneKind::Resnet18,
//!     image_size: 64,
//!     epochs: 8,
//!     batch: 2,
//!     ..Default::default()
//! };
//! let weights = Weights::random(BackboneKind::Resnet18, Some("layer3"), Seed(0))?; // or Weights::from_safetensors
//! let detector = Rd4ad::new(settings.checked()?, weights.clone())?;
//! let samples = ["a.png", "b.png"].map(|name| Sample::new(ImageId::new(name), Label::Good));
//! let train = TrainSplit::new(samples.to_vec())?;
//! let ctx = FitContext::default();
//! let fitted = detector.fit(&train.good(&Stripes), Seed(1), &ctx)?;
//! assert!(fitted.curve()[7].value < fitted.curve()[0].value);
//! assert_eq!(fitted.maps(&[Stripes.load(&ImageId::new("c.png"))?])?[0].height(), 64);
//!
//! let again = FittedRd4ad::load(&fitted.save()?, &weights, ctx.device, ctx.batch)?;
//! assert_eq!(again.save()?, fitted.save()?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from anomalib after its pull request 1389 (whose settings the paper used):
//! - The initial values and the order of images come from segad's own random numbers.
//! - conv4 and bn4 of the bottleneck, which nothing uses, are not kept; [`FittedRd4ad::import`]
//!   reads states with them.
//! - The encoder stops after its third feature and its batch normalisation is folded.
//! - Image scores are the largest value of the raw map; there is no min–max normalisation.
//!
//! Extension: any encoder with features of strides s, 2s, 4s and channels c₁, c₂, c₃ will do. The
//! bottleneck's leading convolutions go c₁ → c₂ → c₃ and c₂ → c₃; its blocks are c₃/2 (or c₃) wide
//! and give 2c₃ channels; the decoder's layers give c₃, c₂, c₁ channels with 3, 4 and 6 blocks of
//! half that width. With WideResNet-50-2 these are the published sizes. ResNet-18 thus gets
//! bottleneck blocks where the published code would use basic ones. Where an encoder's feature can
//! be negative (EfficientNet-Lite's blocks end without activation), so can the decoder's: the last
//! ReLU of that decoder layer is omitted.

mod architecture;
mod distance;
mod fit;
mod folded;
mod method;
mod model;
mod params;
mod score;
mod student;

pub use fit::Rd4ad;
pub use model::{FittedRd4ad, Origin};
pub use params::{BottleneckWidth, Combine, Loss, Rd4adParams, Rd4adSettings, parameters};

/// What the method is called in settings, progress and saved models.
const NAME: &str = "rd4ad";

/// Raised when training gives another student for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 2;

/// Raised when a fitted model gives other maps for the same image; part of the key of maps.
pub const MAPS_REVISION: u32 = 1;
