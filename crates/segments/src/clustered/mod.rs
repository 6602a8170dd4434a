//! Segments found from good images only: no labels, no drawing.
//!
//! **One map** (for parts that are always in the same position): at each place of a grid, the mean
//! and the spread, over good images, of backbone features and of every detector's anomaly map,
//! together with the position, are clustered by k-means. Each group of columns is weighted by how
//! far its pattern repeats from one half of the images to the other. Distances to the centres are
//! smoothed over the grid and enlarged, and the nearest centre names the segment.
//!
//! **A map per image** (for parts in any position): features of single patches are clustered, and
//! each patch of an image takes its nearest centre.
//!
//! The number of segments is the largest on which random halves of the images agree (adjusted Rand
//! index of their maps).

mod agreement;
mod columns;
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

/// Raised when clustering gives different labels for the same features.
pub const CLUSTERED_REVISION: u32 = 1;

/// How clustered segments were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredReport {
    /// Good images used.
    pub images: usize,
    /// Resulting number of segments.
    pub segments: usize,
    /// Agreement of halves for each number of segments that was tried; empty if the number was
    /// given.
    pub stability: Vec<Stability>,
    /// Decisions along the way, in words.
    pub notes: Vec<String>,
}

/// `cluster 1`, `cluster 2`, …
fn names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("cluster {i}")).collect()
}
