//! Segments found from good images alone: no labels, no drawing.
//!
//! **One map** (parts that always lie alike): at each place of a grid the mean and the spread, over
//! good images, of backbone features and of every detector's anomaly map, together with the
//! position, are clustered by k-means, each group of them weighted by how far its pattern repeats
//! from one half of the images to the other; distances to the centres are smoothed over the grid,
//! enlarged, and the nearest centre names the segment. **A map per image** (parts that lie anyhow):
//! features of single patches are clustered, and each patch of an image takes its nearest centre.
//!
//! The number of segments is the largest on which random halves of the images agree (adjusted Rand
//! index of their maps).

mod agreement;
mod field;
mod kmeans;
mod params;
mod patches;
mod places;
mod stability;

pub use params::{ClusteredMode, ClusteredParams};
pub use patches::{PatchClusters, PatchSample};
pub use places::{PlaceMap, PlaceSums};
pub use stability::Stability;

use serde::{Deserialize, Serialize};

/// Raised when clustering gives other labels for the same features.
pub const CLUSTERED_REVISION: u32 = 1;

/// How clustered segments came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredReport {
    /// Good images that were looked at.
    pub images: usize,
    /// Segments in the end.
    pub segments: usize,
    /// Agreement of halves for each number of segments that was tried; empty if the number was
    /// given.
    pub stability: Vec<Stability>,
    /// What was decided on the way, in words.
    pub notes: Vec<String>,
}

/// `cluster 1`, `cluster 2`, …
fn names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("cluster {i}")).collect()
}
