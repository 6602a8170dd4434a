use crate::train::CurvePoint;
use segad_core::{ImageId, Key, Precision, Seed};
use serde::{Deserialize, Serialize};

/// What a model was trained with, besides its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of good training images; 0: trained elsewhere.
    pub good: usize,
    /// Number of bad training images.
    pub bad: usize,
    /// Training steps.
    pub steps: u64,
    /// Seed of everything random: the heads' first values, batches, prior, pseudo anomalies and
    /// references.
    pub seed: Seed,
    /// Arithmetic of the network.
    pub precision: Precision,
    /// The backbone weights that training began with.
    pub weights: Option<Key>,
    /// The good training images whose mean features DRA's residual head compares with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ImageId>,
    /// The loss over the training; of DRA the sum and each head's.
    pub curve: Vec<CurvePoint>,
}

impl Origin {
    /// Of a state that was trained elsewhere and has this digest.
    pub fn imported(state: Key, precision: Precision) -> Self {
        Self {
            good: 0,
            bad: 0,
            steps: 0,
            seed: Seed(0),
            precision,
            weights: Some(state),
            references: vec![],
            curve: vec![],
        }
    }
}
