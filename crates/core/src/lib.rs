//! The vocabulary of all other crates of segad, and nothing else: no tensors, files or clocks.
//!
//! SegAD ("Supervised Anomaly Detection for Complex Industrial Images", CVPR 2024) turns an
//! [`Image`] into one [`AnomalyMap`] per detector, divides each map into segments by a
//! [`LabelMap`], and computes statistics of each segment. They form a row of a [`FeatureTable`],
//! which a boosted random forest turns into one score.
//!
//! - Images are 8-bit RGB, height × width × 3, row-major. Maps are `f32`, height × width of the
//!   network input, raw (never clipped or rescaled). Label maps are `u8`; 0 is the first segment,
//!   by convention the background.
//! - Training and test data have different types ([`TrainSplit`], [`TestSplit`]); nothing converts
//!   one into the other.
//! - Every random choice comes from a [`Seed`]; every stored result has a [`Key`].
//!
//! ```
//! use segad_core::{AnomalyMap, Seed};
//! let map = AnomalyMap::new(2, 3, vec![0.0, 0.1, 0.2, 0.3, 0.9, 0.4])?;
//! assert_eq!(map.max(), 0.9); // the detector's own image score
//! assert_ne!(Seed(1).derive("coreset"), Seed(1).derive("forest"));
//! # Ok::<(), segad_core::CoreError>(())
//! ```

mod cell;
mod context;
mod curve;
mod error;
mod image;
mod key;
mod map;
mod names;
mod sample;
mod score;
mod seed;
mod table;
mod train;
mod traits;

pub use cell::CellKind;
pub use context::{
    Arithmetic, Cancel, Device, Devices, FitContext, NoProgress, Precision, Progress, ProgressTask,
};
pub use curve::CurvePoint;
pub use error::CoreError;
pub use image::Image;
pub use key::{CacheKey, Key, KeyHasher};
pub use map::{AnomalyMap, LabelMap};
pub use sample::{ImageId, Label, Sample, TestSplit, TrainSplit};
pub use score::{Reason, ScoreRow};
pub use seed::Seed;
pub use table::FeatureTable;
pub use train::{ImageLoader, TrainGood, TrainLabelled};
pub use traits::{
    AnomalyDetector, BoxError, FitClassifier, FitDetector, ImageClassifier, SegmentSource,
};
