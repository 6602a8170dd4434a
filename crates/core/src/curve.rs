use serde::{Deserialize, Serialize};

/// One point of a training curve, e.g. the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Training steps done.
    pub step: u64,
    /// Which curve, e.g. `loss`.
    pub name: String,
    /// The mean over the steps since the point before.
    pub value: f64,
}
