//! PatchCore (Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022), with
//! the settings of the SegAD paper as defaults.
//!
//! The features of two layers of a frozen backbone, averaged over 3×3 places, give one embedding
//! per patch. A memory bank keeps 1 % of the good images' patches, chosen by greedy k-centre
//! selection on a random projection. A patch's anomaly is its Euclidean distance to the nearest row
//! of the bank; the distances of an image, enlarged (nearest) and blurred (σ = 4), are its map.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: one f32 map of that
//!   size each, in units of feature distance, never clipped.
//! - The coreset equals that of the plain greedy algorithm to the index, without most of its work
//!   ([`coreset`]).
//! - The nearest row is found by blocks of matrix products and its distance computed directly. In
//!   banks of 2048 rows and more, on the CPU, bounds from an eighth or a quarter of the dimensions
//!   leave few rows to examine where these hold most of the bank; the bank is then in memory twice.
//! - The coreset is chosen in f32 whatever the precision of scoring, because the choice depends on
//!   the last bits of the features; the chosen rows are then computed in the precision of the
//!   queries.
//!
//! ```
//! use segad_core::{AnomalyDetector, FitContext, FitDetector, Image, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_detector_patchcore::{FittedPatchCore, PatchCore, PatchCoreSettings};
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
//! let settings = PatchCoreSettings {
//!     backbone: BackboneKind::Resnet18,
//!     image_size: 64,
//!     coreset_ratio: 0.25,
//!     ..Default::default()
//! };
//! let weights = Weights::random(BackboneKind::Resnet18, Some("layer3"), Seed(0))?; // or Weights::from_safetensors
//! let detector = PatchCore::new(settings.checked()?, weights.clone())?;
//! let train = TrainSplit::new(vec![Sample::new(ImageId::new("a.png"), Label::Good)])?;
//! let ctx = FitContext::default();
//! let fitted = detector.fit(&train.good(&Stripes), Seed(1), &ctx)?;
//!
//! let good = Stripes.load(&ImageId::new("b.png"))?;
//! let mut bytes = good.rgb().to_vec();
//! bytes[3 * 64 * 28..3 * 64 * 36].fill(255); // a bright band
//! let bad = Image::from_rgb(64, 64, bytes)?;
//! let maps = fitted.maps(&[good, bad])?;
//! assert!(maps[1].max() > maps[0].max());
//!
//! let again = FittedPatchCore::load(&fitted.save()?, &weights, ctx.device, ctx.batch)?;
//! assert_eq!(again.save()?, fitted.save()?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from anomalib (whose defaults the paper used): no centre crop, as the paper says; the
//! sparse projection has its own random numbers; it is left out where it would not shorten the
//! embeddings; image scores default to the largest value of the map, as in the paper, with
//! PatchCore's re-weighted score as an option. A saved model contains the digest of the backbone's
//! weights, not the weights.

mod bounds;
pub mod coreset;
mod embed;
mod error;
mod fit;
mod method;
mod model;
mod params;
mod plan;
mod projection;
mod score;

pub use error::PatchCoreError;
pub use fit::PatchCore;
pub use model::{FittedPatchCore, Origin};
pub use params::{FeatureUpsample, ImageScore, PatchCoreParams, PatchCoreSettings};

/// What the method is called in settings, progress and saved models.
const NAME: &str = "patchcore";

/// Raised when fitting gives another memory bank for the same input; part of the key of fitted
/// models.
pub const FIT_REVISION: u32 = 3;

/// Raised when a fitted model gives other maps for the same image; part of the key of maps.
pub const MAPS_REVISION: u32 = 2;
