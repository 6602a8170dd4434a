//! The one place where images of a test folder become training images.
//!
//! VisA and MVTec AD have no bad training images, so the paper takes some out of their test
//! folders. What this function hands out for training is by construction no longer in what it hands
//! out for testing, and every other function of this crate builds training splits from training
//! folders or training blocks only. Which images are drawn depends on the seed and on how many bad
//! images the folder lists, on nothing that a model has seen.

use super::Draw;
use crate::numpy::{TestSize, train_test_split};
use crate::{DatasetError, Entry};
use segad_core::{Label, Sample};

/// The two ends of a test folder's bad images.
pub(super) struct Carved {
    /// For training, in scikit-learn's order.
    pub train: Vec<Sample>,
    /// What remains for testing, in scikit-learn's order.
    pub test: Vec<Sample>,
}

/// Carves `count` of the bad images out:
/// `train_test_split(bad, test_size=len(bad) − count, random_state=seed)` over the folder's sorted
/// files, so the training images are the last `count` of the permutation.
pub(super) fn training_anomalies(
    draw: &Draw<'_>,
    bad: &[&Entry],
    count: usize,
) -> Result<Carved, DatasetError> {
    draw.need("test folder", Label::Bad, count + 1, bad.len())?;
    // One call gives both parts, so no image can be in both.
    let (train, test) = train_test_split(bad.len(), TestSize::Count(bad.len() - count), draw.seed)?;
    Ok(Carved {
        train: super::pick(bad, &train),
        test: super::pick(bad, &test),
    })
}
