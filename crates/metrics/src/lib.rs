//! How well scores separate bad images from good ones: AUROC, FPR@95TPR in both conventions,
//! average precision, partial AUROC, thresholds, intervals, drift. No tensors, files or clocks.
//!
//! Scores are plain numbers, and larger is more anomalous: `f32` from forests and maps, or `f64`
//! from a CSV. Results are shares from 0 to 1; [`Metric::percent`] scales them for tables.
//! Definitions follow the SegAD paper's public code (FPR@95TPR through pandas' quantile),
//! scikit-learn (AUROC, AP, partial AUROC, ROC curve) and scipy (Kolmogorov–Smirnov), and are
//! tested against them.
//!
//! Everything starts from [`Scores`], which is checked once (both classes present, all values
//! finite); metrics are methods that cannot fail on it.
//!
//! ```
//! use segad_core::Label::{Bad, Good};
//! use segad_metrics::{Metric, Scores};
//!
//! let scores = [0.1f32, 0.2, 0.7, 0.6, 0.9];
//! let labels = [Good, Good, Good, Bad, Bad];
//! let all = Scores::new(&scores, &labels)?;
//! assert_eq!(all.auroc(), 5.0 / 6.0);
//! assert_eq!("fpr95tpr".parse::<Metric>()?.percent(&all), 100.0 * (1.0 - 2.0 / 3.0));
//!
//! let at = all.threshold_for_false_alarms(0.01)?; // recall at FPR ≤ 1 %, with its interval
//! assert_eq!(at.recall.value(), 0.5);
//! assert!(at.recall.clopper_pearson(0.95)?.low > 0.01);
//! # Ok::<(), segad_metrics::MetricError>(())
//! ```
//!
//! Deviation: scikit-learn, scipy and pandas add floats in other orders, so AUROC, AP and p-values
//! agree to 1e-12, not to the last bit; FPR@95TPR agrees exactly.

mod clustered;
mod delong;
mod drift;
mod error;
mod interval;
mod metric;
mod operating;
mod roc;
mod round;
mod scores;
mod special;

pub use clustered::{ClusteredAuroc, ClusteredInterval, clustered_auroc, clustered_difference};
pub use delong::{AurocDifference, AurocEstimate, delong_test};
pub use drift::{KolmogorovSmirnov, kolmogorov_smirnov, population_stability};
pub use error::MetricError;
pub use interval::{Interval, Rate};
pub use metric::{Metric, PARTIAL_MAX_FPR};
pub use operating::OperatingPoint;
pub use roc::RocPoint;
pub use round::{
    CSV_DECIMALS, EXACT_DECIMALS, TABLE_DECIMALS, fixed, percent, rounded, short, signed,
    significant,
};
pub use scores::{Score, Scores, quantile};

/// Raised when a change of this crate may change a stored value.
pub const REVISION: u32 = 1;
