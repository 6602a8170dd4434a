//! The last stage of SegAD ("Supervised Anomaly Detection for Complex Industrial Images", CVPR
//! 2024, section 3.3): a boosted random forest turns a row of segment statistics into one anomaly
//! score. Also the ablation's random forest and boosted trees.
//!
//! - In: a [`FeatureTable`](segad_core::FeatureTable), rows × columns of `f32`, NaN = missing (an
//!   empty or constant segment has no skewness), zero = zero; one [`Label`](segad_core::Label) per
//!   row.
//! - Out: one raw margin per row, `f32`, higher = more anomalous, unbounded: base score + one leaf
//!   of every tree.
//! - Fitting is XGBoost's: objective `binary:logitraw`, gradient `w·(½ − y)` at the start, where
//!   `w` is `scale_pos_weight` for bad rows; the base score −Σg/Σh is estimated by XGBoost. The
//!   parameters sent are those of the scikit-learn wrapper in the authors' program, so XGBoost
//!   2.0.3 in Python gives the same margins to the last bit.
//! - Scoring, contributions (SHAP) and importance are plain Rust over the saved model and never
//!   call the library.
//!
//! ```
//! use segad_core::{FeatureTable, ImageId, Label, Seed};
//! use segad_forest::{Forest, ForestSettings, Preset};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = (0..40).map(|i| ImageId::new(format!("{i}.png"))).collect();
//! let columns = vec!["q995".to_owned(), "skew".to_owned()];
//! // The first column separates the last ten rows, the second one is noise.
//! let values = (0..40).flat_map(|i| [if i < 30 { 0.1 } else { 0.9 }, (i % 7) as f32]).collect();
//! let table = FeatureTable::new(columns, ids, values)?;
//! let labels: Vec<Label> = (0..40).map(|i| if i < 30 { Label::Good } else { Label::Bad }).collect();
//!
//! let params = ForestSettings { trees_per_round: Some(20), ..Preset::Brf.into() }.checked()?;
//! let forest = Forest::fit(&params, &table, &labels, &[1, 0], Seed(333), 1.try_into()?)?;
//! let margins = forest.margins(&table)?;
//! assert!(margins[35] > margins[5]);
//! assert_eq!(Forest::from_bytes(&forest.to_bytes()?)?, forest);
//! # Ok(())
//! # }
//! ```
//!
//! # Deviations
//! None in the result while the library is one whose [`Version::verdict`] is
//! [`VersionVerdict::Agrees`]. Unlike the wrapper, one-class labels and infinite features are
//! errors that say where, and `scale_pos_weight` defaults to good ÷ bad rows (the authors' program
//! computes the same number by hand).

mod error;
mod fit;
mod model;
mod params;
mod saved;
mod score;
mod shap;
mod trees;
mod version;

pub use error::ForestError;
pub use model::{Forest, SCHEMA, TreeNode};
pub use params::{ForestParams, ForestSettings, Preset};
pub use score::{Contributions, Importance};
pub use version::{KNOWN, Version, VersionVerdict, library_version};

/// Raised when fitting or scoring changes its results. The key of a stored forest or score holds
/// this, the [`ForestParams`], the seed, the monotone constraints, the [`library_version`], and the
/// keys of table and labels.
pub const REVISION: u32 = 2;
