//! SegAD's head for Python ("Supervised Anomaly Detection for Complex Industrial Images", CVPR 2024,
//! sections 3.2 and 3.3): the module `segad._segad`, on which the package in `python/segad` builds a
//! scikit-learn estimator. It links XGBoost and no libtorch.
//!
//! - In: anomaly maps `(n, k, h, w)`, `float32`, C-contiguous, finite, any unit; label maps
//!   `(1 or n, h, w)`, `uint8`, values 0…L−1.
//! - Out: features `(n, columns)`, `float32`, NaN for missing; raw margins `(n,)`, `float32`, higher =
//!   more anomalous; contributions `(n, columns + 1)`, the last one the mean margin.
//!
//! Numbers are those of `segad-features` and `segad-forest` to the last bit. Work is done with the
//! interpreter's lock released, one image's maps at a time.
//!
//! ```python
//! import numpy, segad
//! maps = numpy.random.default_rng(0).random((40, 1, 32, 32), numpy.float32)
//! maps[30:, 0, 4:8, 4:8] += 1
//! head = segad.SegAD().fit(maps, [0] * 30 + [1] * 10)
//! assert head.decision_function(maps)[30:].min() > head.decision_function(maps)[:30].max()
//! ```
//!
//! Deviations: none; see the crates it stands on.

mod error;
mod features;
mod forest;

use pyo3::prelude::*;

/// The module `segad._segad`.
#[pymodule]
mod _segad {
    #[pymodule_export]
    use super::features::Features;
    #[pymodule_export]
    use super::forest::{Forest, xgboost_version};
    #[pymodule_export]
    use super::rising;
}

/// For each column 1 where the score may only rise with it, else 0.
#[pyfunction]
fn rising(columns: Vec<String>) -> Vec<i8> {
    segad_features::columns::rising(&columns)
}
