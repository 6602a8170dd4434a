//! The columns that a forest is fitted on.

use crate::{FeatureName, Measure};

/// The column of a classifier's score.
pub fn of_classifier(name: &str) -> String {
    let classifier = name.to_owned();
    FeatureName::Classifier { classifier }.to_string()
}

/// For each column 1 where more means more evidence of a defect, so that the score may only rise
/// with it: quantile, mean, maximum and a classifier's score; 0 for the shape of the distribution.
pub fn rising(columns: &[String]) -> Vec<i8> {
    columns.iter().map(|c| i8::from(rises(c))).collect()
}

fn rises(column: &str) -> bool {
    match column.parse() {
        Ok(FeatureName::Segment { measure, .. }) => {
            // The shape of a distribution says nothing by itself; larger values of the rest do.
            !matches!(measure, Measure::Skewness | Measure::Kurtosis)
        }
        Ok(FeatureName::GlobalMax { .. } | FeatureName::Classifier { .. }) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_may_only_raise_the_score() {
        let columns = [
            "a/p/q99.5",
            "a/p/skewness",
            "a/p/kurtosis",
            "a/p/mean",
            "p/max",
            "wrn/score",
        ]
        .map(String::from);
        assert_eq!(rising(&columns), [1, 0, 0, 1, 1, 1]);
        assert_eq!(of_classifier("wrn"), columns[5]);
    }
}
