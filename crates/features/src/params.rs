use crate::FeatureError;
use segad_core::{CacheKey, KeyHasher, named};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One statistic of the pixels of a segment, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Statistic {
    /// `q`: the quantile at the level of [`FeatureParams::quantile`].
    Quantile,
    /// `skewness`: third standardised moment, biased.
    Skewness,
    /// `kurtosis`: fourth standardised moment minus 3, biased.
    Kurtosis,
    /// `mean`.
    Mean,
    /// `max`: the largest value within the segment (not in the paper's set; on its own it is the
    /// ablation "Max.").
    Max,
}

named!(Statistic by name, FeatureError::Statistic => FeatureError {
    Quantile: "q",
    Skewness: "skewness",
    Kurtosis: "kurtosis",
    Mean: "mean",
    Max: "max",
});

/// The arithmetic of the statistics. It changes the last digits, so it is part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Numerics {
    /// `exact`: the `f32` arithmetic of numpy 1.24 and scipy 1.10 on a `f32` map, operation by
    /// operation.
    #[default]
    Exact,
    /// `fast`: `f64` throughout; also the more accurate one.
    Fast,
}

named!(Numerics by name, FeatureError::Numerics => FeatureError {
    Exact: "exact",
    Fast: "fast",
});

/// What to compute, as an experiment file says it (table `features`); unchecked. The default is the
/// authors' code: quantile 0.995, skewness, kurtosis and mean of each segment, and each map's
/// global maximum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureParams {
    /// Statistics of each segment; the order in the file means nothing.
    pub statistics: BTreeSet<Statistic>,
    /// Level of the quantile, 0 to 1.
    pub quantile: f64,
    /// One more feature per detector: the maximum of the whole map (the authors' code has it, the
    /// paper's 4KL does not).
    pub global_max: bool,
    /// The arithmetic.
    pub numerics: Numerics,
}

impl Default for FeatureParams {
    fn default() -> Self {
        let statistics = Statistic::ALL
            .into_iter()
            .filter(|s| *s != Statistic::Max)
            .collect();
        Self {
            statistics,
            quantile: 0.995,
            global_max: true,
            numerics: Numerics::Exact,
        }
    }
}

impl FeatureParams {
    /// The ablation "Max.": the maximum of each segment and nothing else.
    pub fn max_only() -> Self {
        Self {
            statistics: [Statistic::Max].into(),
            global_max: false,
            ..Self::default()
        }
    }

    /// Checks them.
    ///
    /// # Errors
    /// [`FeatureError::Quantile`] or [`FeatureError::NoFeature`].
    pub fn check(self) -> Result<CheckedFeatureParams, FeatureError> {
        if !(0.0..=1.0).contains(&self.quantile) {
            return Err(FeatureError::Quantile(self.quantile));
        }
        // A table without columns would only be noticed by the forest.
        if self.statistics.is_empty() && !self.global_max {
            return Err(FeatureError::NoFeature);
        }
        Ok(CheckedFeatureParams(self))
    }
}

impl CacheKey for FeatureParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        // Settings without effect stay out: the level without a quantile, the arithmetic with
        // nothing but maxima.
        let has_quantile = self.statistics.contains(&Statistic::Quantile);
        let level = has_quantile.then_some(self.quantile);
        let rounds = self.statistics.iter().any(|s| *s != Statistic::Max);
        let names: Vec<&str> = self.statistics.iter().map(|s| s.name()).collect();
        hasher
            .field("statistics", &names)
            .field("quantile", &level)
            .field("global_max", &self.global_max)
            .field("numerics", &rounds.then_some(self.numerics.name()));
    }
}

/// Checked parameters, made by [`FeatureParams::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedFeatureParams(FeatureParams);

impl std::ops::Deref for CheckedFeatureParams {
    type Target = FeatureParams;

    fn deref(&self) -> &FeatureParams {
        &self.0
    }
}

impl CacheKey for CheckedFeatureParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        self.0.feed(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(params: &FeatureParams) -> segad_core::Key {
        KeyHasher::new("test", 1).field("features", params).finish()
    }

    #[test]
    fn files_are_read_and_checked() {
        let p: FeatureParams = serde_json::from_str(
            r#"{"statistics": ["mean", "q"], "quantile": 0.98, "numerics": "fast"}"#,
        )
        .unwrap();
        assert_eq!(
            p.statistics.iter().copied().collect::<Vec<_>>(),
            [Statistic::Quantile, Statistic::Mean]
        );
        assert_eq!(
            (p.quantile, p.global_max, p.numerics),
            (0.98, true, Numerics::Fast)
        );
        assert!(p.check().is_ok());
        let e = serde_json::from_str::<FeatureParams>(r#"{"statistics": ["median"]}"#)
            .unwrap_err()
            .to_string();
        assert!(e.contains("\"median\"") && e.contains("kurtosis"), "{e}");
        assert!(serde_json::from_str::<FeatureParams>(r#"{"quantil": 0.9}"#).is_err());
        for bad in [f64::NAN, -0.1, 99.5] {
            let p = FeatureParams {
                quantile: bad,
                ..Default::default()
            };
            assert!(matches!(p.check(), Err(FeatureError::Quantile(_))));
        }
        let none = FeatureParams {
            statistics: BTreeSet::new(),
            global_max: false,
            ..Default::default()
        };
        assert_eq!(none.check(), Err(FeatureError::NoFeature));
    }

    #[test]
    fn keys_tell_meanings_apart() {
        let base = FeatureParams::default();
        for other in [
            FeatureParams {
                quantile: 0.99,
                ..base.clone()
            },
            FeatureParams {
                global_max: false,
                ..base.clone()
            },
            FeatureParams {
                numerics: Numerics::Fast,
                ..base.clone()
            },
            FeatureParams::max_only(),
        ] {
            assert_ne!(key(&base), key(&other));
        }
        let max = FeatureParams::max_only();
        let same = FeatureParams {
            quantile: 0.5,
            numerics: Numerics::Fast,
            ..max.clone()
        };
        assert_eq!(key(&max), key(&same));
    }
}
