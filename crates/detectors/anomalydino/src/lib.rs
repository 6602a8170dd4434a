//! AnomalyDINO (Damm et al., "AnomalyDINO: Boosting Patch-based Few-shot Anomaly Detection with
//! DINOv2", WACV 2025): nothing is trained, patches are compared with those of good images.
//!
//! Each patch of 14×14 pixels is a token u of a frozen vision transformer, of unit length. A bank
//! holds tokens b of good images. A patch's anomaly is its cosine distance to the nearest of them,
//! 1 − max_b u·b; with several layers, u·b is the mean of the layers' cosines. The distances of an
//! image, enlarged (bilinear) and blurred (σ = 4), are its map; the mean of the map's largest values
//! is its score ([`segad_nn::method::MapScore::Top`]).
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: one f32 map of that
//!   size each, a cosine distance from 0 to 2, never clipped.
//! - The bank holds up to `bank_size` patches, as many of each good image, drawn at random by the
//!   seed. With `rotations` above 1 each image enters it at as many angles, for parts without a
//!   fixed direction; patches that would show what is beyond the turned image are left out.
//! - Rows are found by a matrix product, in blocks, and their distance is computed directly.
//!
//! ```
//! use segad_core::{AnomalyDetector, FitContext, FitDetector, Image, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_detector_anomalydino::{AnomalyDino, AnomalyDinoSettings, FittedAnomalyDino};
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! struct Stripes;
//! impl ImageLoader for Stripes {
//!     fn load(&self, _: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         Ok(Image::from_grey(56, 56, &(0..3136).map(|i| (i % 7 * 30) as u8).collect::<Vec<_>>())?)
//!     }
//! }
//!
//! let backbone = BackboneKind::MiniatureVit;
//! let settings = AnomalyDinoSettings { backbone, image_size: 56, ..Default::default() };
//! let weights = Weights::random(backbone, Some("block2"), Seed(0))?; // or Weights::from_safetensors
//! let detector = AnomalyDino::new(settings.checked()?, weights.clone())?;
//! let train = TrainSplit::new(vec![Sample::new(ImageId::new("a.png"), Label::Good)])?;
//! let ctx = FitContext::default();
//! let fitted = detector.fit(&train.good(&Stripes), Seed(1), &ctx)?;
//!
//! let good = Stripes.load(&ImageId::new("b.png"))?;
//! let mut bytes = good.rgb().to_vec();
//! bytes[3 * 56 * 24..3 * 56 * 32].fill(255); // a bright band
//! let bad = Image::from_rgb(56, 56, bytes)?;
//! let maps = fitted.maps(&[good, bad])?;
//! assert!(maps[1].max() > 0.01 && maps[0].max() < 1e-6);
//!
//! let again = FittedAnomalyDino::load(&fitted.save()?, &weights, ctx.device, ctx.batch)?;
//! assert_eq!(again.save()?, fitted.save()?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from the paper and its code: the tokens of two middle layers instead of the last
//! layer's normalised ones, which tell good from bad better with this backbone's weights; 224 pixels
//! instead of 448 or 672; the score averages 3 % of the enlarged and blurred map instead of 1 % of
//! the distances before; the bank is a sample, since it is used with hundreds of good images
//! instead of a few; the image is neither masked by its foreground nor turned unless asked; images
//! are squares, blurred at the network's size instead of their own.

mod bank;
mod fit;
mod method;
mod model;
mod params;

pub use fit::AnomalyDino;
pub use model::{FittedAnomalyDino, TrainedOn};
pub use params::{AnomalyDinoParams, AnomalyDinoSettings};

/// The kind in experiments and model cards.
const NAME: &str = "anomalydino";

/// Raised when fitting gives another model for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 1;

/// Raised when a fitted model gives other maps for the same image; part of the key of maps.
pub const MAPS_REVISION: u32 = 1;
