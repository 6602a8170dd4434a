//! Two supervised baselines on features of a frozen network: regularised logistic regression and
//! gradient-boosted trees. Cheap, honest, and often hard to beat. SegAD's paper has no such row.
//!
//! - In: 8-bit RGB images of any size, resized to `image_size` squared. A frozen backbone gives
//!   features at several taps; each channel of each tap is pooled over places (mean, maximum, mean
//!   of the largest) to one number, and the numbers of all taps are one row of f32. This is the
//!   expensive part, and it depends on no label, seed or fold: [`Embedder`] does it once, and
//!   [`fit`] and [`FittedHead::scores`] take its rows.
//! - Logistic regression: columns are standardised (mean 0, variance 1 over the training rows;
//!   constant ones stay 0), then min ½‖w‖² + C·Σᵢ sᵢ·ln(1 + exp(−yᵢ(w·xᵢ + b))) in f64 by L-BFGS;
//!   `balanced` makes sᵢ = n/(2·n of the label), as scikit-learn's `class_weight="balanced"`. It
//!   agrees with scikit-learn's `LogisticRegression`.
//! - Trees: those of [`segad_forest`], 300 rounds of one tree by default.
//! - Out: one f32 per image, the raw logit or margin; larger is more anomalous.
//!
//! ```
//! use segad_classifier_frozen::{Frozen, FrozenSettings, FittedHead};
//! use segad_core::{FitClassifier, FitContext, Image, ImageClassifier, ImageId, ImageLoader, Label, Sample, Seed, TrainSplit};
//! use segad_nn::model::Settings;
//! use segad_nn::{BackboneKind, Weights};
//!
//! /// Bad images have stripes.
//! struct Stripes;
//! impl ImageLoader for Stripes {
//!     fn load(&self, id: &ImageId) -> Result<Image, segad_core::BoxError> {
//!         let (bad, salt) = (id.as_str().starts_with("bad"), id.as_str().len());
//!         let grey = |i: usize| if bad && i % 8 < 3 { 160 } else { 90 + (i % (5 + salt)) as u8 };
//!         Ok(Image::from_grey(32, 32, &(0..1024).map(grey).collect::<Vec<_>>())?)
//!     }
//! }
//!
//! let backbone = BackboneKind::Resnet18;
//! let settings = FrozenSettings { backbone, image_size: 32, ..Default::default() };
//! let weights = Weights::random(backbone, None, Seed(0))?; // or Weights::from_safetensors
//! let classifier = Frozen::new(settings.checked()?, weights)?;
//! let sample = |label: Label, i| Sample::new(ImageId::new(format!("{label}{}", "x".repeat(i))), label);
//! let samples = (0..4).flat_map(|i| [sample(Label::Good, i), sample(Label::Bad, i)]).collect();
//! let train = TrainSplit::new(samples)?;
//! let fitted = classifier.fit(&train.labelled(&Stripes), Seed(1), &FitContext::default())?;
//! let load = |name: &str| Stripes.load(&ImageId::new(name));
//! let scores = fitted.scores(&[load("good12345")?, load("bad12345")?])?;
//! assert!(scores[0] < 0.0 && scores[1] > 0.0);
//! assert_eq!(FittedHead::load(&fitted.head().save()?)?.save()?, fitted.head().save()?);
//! # Ok::<(), segad_core::BoxError>(())
//! ```

mod embed;
mod error;
mod fit;
mod logistic;
mod method;
mod model;
mod params;
mod score;

pub use embed::Embedder;
pub use error::FrozenError;
pub use fit::{Frozen, fit};
pub use logistic::{Logistic, LogisticSettings};
pub use method::FrozenMethod;
pub use model::{FittedFrozen, FittedHead, Origin};
pub use params::{Embedding, FrozenDerived, FrozenParams, FrozenSettings, Head, Pool};

/// Raised when the same image gets other features; part of the key of embeddings and of all that is
/// fitted on them.
pub const EMBED_REVISION: u32 = 1;

/// Raised when the same features and labels give another model; part of the key of fitted models.
pub const FIT_REVISION: u32 = 1;

/// Raised when a fitted model gives other scores for the same features; part of the key of scores.
pub const SCORES_REVISION: u32 = 1;
