use crate::named;
use serde::{Deserialize, Serialize};

/// What a cell computes; also the folder of its results in the store. In the order in which they
/// are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Features of a frozen network, one row an image.
    Embed,
    /// A fitted detector, classifier or segment source.
    Fit,
    /// Maps of a class's images: anomaly maps of one detector, or label maps.
    Maps,
    /// Scores that a classifier gives a class's images.
    Classify,
    /// Segment statistics.
    Features,
    /// A forest and its scores.
    Forest,
    /// A row's scores of the test images. Named `evaluate` in stores since their first schema.
    #[serde(rename = "evaluate")]
    Scores,
}

named!(CellKind by as_str {
    Embed: "embed",
    Fit: "fit",
    Maps: "maps",
    Classify: "classify",
    Features: "features",
    Forest: "forest",
    Scores: "evaluate",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_the_order_of_computation() {
        assert!(CellKind::ALL.is_sorted());
        assert_eq!(format!("{:>6}", CellKind::Maps), "  maps");
    }
}
