//! FastFlow (Yu et al., "FastFlow: Unsupervised Anomaly Detection and Localization via 2D
//! Normalizing Flows", 2021), with the settings of the SegAD paper as defaults.
//!
//! The features of each of three layers of a frozen backbone go through a normalising flow of their
//! own: a trainable layer normalisation over C×H×W and `flow_steps` coupling blocks whose subnets
//! are small convolutional networks. The flows are trained to make good features standard normal; a
//! place is anomalous where its latent vector is unlikely: −exp(−½·mean over channels of z²),
//! enlarged and averaged over the layers.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. Out: one f32 map of that
//!   size each, in (−1, 0), larger is more anomalous, not blurred, never clipped. The image's score
//!   is the map's largest value.
//! - Training: Adam, 200 epochs, loss = Σ over layers of the batch's mean of ½|z|² − ln|det|. The
//!   same seed gives the same bytes, and an interrupted training resumes from its last checkpoint
//!   ([`segad_nn::train`]). For a trial, lower `epochs` and `flow_steps`.
//!
//! ```
//! use segad_core::{AnomalyDetector, FitContext, FitDetector, Image, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_detector_fastflow::{FastFlow, FastFlowSettings, FittedFastFlow};
//! use segad_nn::method::FittedDetector;
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! struct Stripes;
//! impl ImageLoader for Stripes {
//!     fn load(&self, _: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         Ok(Image::from_grey(32, 32, &(0..1024).map(|i| (i % 8 * 30) as u8).collect::<Vec<_>>())?)
//!     }
//! }
//!
//! let settings = FastFlowSettings {
//!     backbone: BackboneKind::Resnet18,
//!     image_size: 32,
//!     flow_steps: 2,
//!     epochs: 10,
//!     ..Default::default()
//! };
//! let weights = Weights::random(BackboneKind::Resnet18, Some("layer3"), Seed(0))?; // or Weights::from_safetensors
//! let detector = FastFlow::new(settings.checked()?, weights.clone())?;
//! let samples = ["a.png", "b.png"].map(|name| Sample::new(ImageId::new(name), Label::Good));
//! let train = TrainSplit::new(samples.to_vec())?;
//! let ctx = FitContext::default();
//! let fitted = detector.fit(&train.good(&Stripes), Seed(1), &ctx)?;
//! assert!(fitted.curve()[9].value < fitted.curve()[0].value);
//!
//! let good = Stripes.load(&ImageId::new("c.png"))?;
//! let maps = fitted.maps(&[good.clone()])?;
//! assert!(maps[0].values().iter().all(|v| (-1.0..0.0).contains(v)));
//!
//! let again = FittedFastFlow::load(&fitted.save()?, &weights, ctx.device, ctx.batch)?;
//! assert_eq!(again.maps(&[good])?, maps);
//! # Ok::<(), segad_core::BoxError>(())
//! ```
//!
//! Deviations from anomalib (whose defaults the paper used): the backbone's published torchvision
//! weights rather than timm's; orders of channels, initial weights and batches come from segad's
//! random numbers; channels are re-ordered by indexing rather than by a 1×1 convolution with a
//! permutation matrix, and the orders are not counted as parameters; maps are not rescaled by
//! statistics of the test set; Adam rounds in another order (a few units in the last place).
//! `conv3x3_only` is off, as in anomalib's table for this backbone; whether the paper's runs had it
//! on is unknown. The taps of an EfficientNet-Lite (strides 4, 8, 16) are this crate's choice. At
//! least two images are required. A saved model contains the digest of the backbone's weights, not
//! the weights.

mod fit;
mod flow;
mod method;
mod model;
mod params;
mod score;

pub use fit::FastFlow;
pub use model::{FittedFastFlow, Origin};
pub use params::{ClampForm, FastFlowParams, FastFlowSettings};

/// What the method is called in settings, progress and saved models.
const NAME: &str = "fastflow";

/// Raised when fitting gives other flows for the same input; part of the key of fitted models.
pub const FIT_REVISION: u32 = 2;

/// Raised when a fitted model gives other maps for the same image; part of the key of maps.
pub const MAPS_REVISION: u32 = 1;
