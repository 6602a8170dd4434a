//! Statistics of anomaly maps inside each segment: the features of SegAD ("Supervised Anomaly
//! Detection for Complex Industrial Images", CVPR 2024, section 3.2).
//!
//! In: for each image K anomaly maps (`f32`, height × width, any unit, finite; one per detector)
//! and one label map of the same size with L segments. Out: one row of `f32` per image, for each
//! segment, for each detector
//!
//! - `q99.5`: the 99.5 % quantile, linear between neighbours;
//! - `skewness` m₃/m₂^1.5 and `kurtosis` m₄/m₂² − 3, biased; missing (NaN) for a constant segment;
//! - `mean`;
//!
//! then, as in the authors' code but not in the paper's formula, one maximum of the whole map per
//! detector: 4KL + K columns ([`FeatureParams::global_max`] off: 4KL). An absent segment gives
//! zeros. [`FeatureName`] reads and writes the names of the columns.
//!
//! Two arithmetics: [`Numerics::Exact`] repeats numpy 1.24 and scipy 1.10 on `f32` maps addition by
//! addition (quantile and mean to the last bit, the others to 1e-15), because a forest splits at
//! values and the last bit may decide; [`Numerics::Fast`] computes in `f64`. Neither sorts.
//!
//! ```
//! use segad_core::{AnomalyMap, LabelMap};
//! use segad_features::{FeatureExtractor, FeatureParams, Scratch, SegmentIndex};
//!
//! let params = FeatureParams::default().check()?;
//! let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
//! let extractor = FeatureExtractor::new(params, &names(&["patchcore"]), &names(&["board", "chip"]))?;
//! assert_eq!(extractor.columns()[4], "chip/patchcore/q99.5");
//! assert_eq!(extractor.columns()[8], "patchcore/max");
//!
//! let map = AnomalyMap::new(2, 2, vec![0.0, 1.0, 0.5, 0.5])?;
//! let index = SegmentIndex::new(&LabelMap::new(2, 2, vec![0, 0, 1, 1], 2)?)?;
//! let row = extractor.row(&[&map], &index, &mut Scratch::default())?;
//! assert_eq!(row[..4], [0.995, 0.0, -2.0, 0.5]);
//! assert!(row[5].is_nan() && row[6].is_nan()); // the chip is constant
//! assert_eq!(row[8], 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deviations: scipy's x^1.5 comes from the C library and may differ from ours by one unit in the
//! last place of an `f64`. With [`Numerics::Fast`] a segment counts as constant by the resolution
//! of `f32` (as exact), where scipy on `f64` input would use that of `f64`.

pub mod columns;
mod error;
mod extract;
mod index;
mod join;
mod name;
mod params;
mod statistics;
mod sums;

pub use error::FeatureError;
pub use extract::{FeatureExtractor, ImageMaps, TableBuilder};
pub use index::SegmentIndex;
pub use join::join;
pub use name::{FeatureName, Measure};
pub use params::{CheckedFeatureParams, FeatureParams, Numerics, Statistic};
pub use statistics::{Scratch, Statistics};

/// Raised when a change of this crate may change a feature.
pub const REVISION: u32 = 1;
