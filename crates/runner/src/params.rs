//! From the tables of an experiment to the checked parameters of the crates.

use segad_core::BoxError;
use segad_features::{FeatureName, Measure};
use segad_forest::{ForestParams, ForestSettings};
use serde::Deserialize;
use toml::{Table, Value};

/// Keys of a row's `forest` table that the forest crate does not know.
const OURS: [&str; 1] = ["monotone"];

/// `"brf"`, or `{ preset = "brf", max_depth = 3, monotone = true }`; the paper's forest where nothing is said.
pub fn forest(spec: Option<&Value>) -> Result<ForestParams, BoxError> {
    let table = match spec {
        None => Table::new(),
        Some(Value::String(preset)) => Table::from_iter([("preset".to_owned(), preset.clone().into())]),
        Some(Value::Table(table)) => table
            .iter()
            .filter(|(k, _)| !OURS.contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        Some(other) => return Err(format!("{other}: expected the name of a preset or a table").into()),
    };
    let settings = ForestSettings::deserialize(Value::Table(table))?;
    Ok(settings.checked()?)
}

/// True if the row asks for constraints.
pub fn is_monotone(spec: Option<&Value>) -> Result<bool, BoxError> {
    match spec.and_then(|s| s.get("monotone")) {
        None => Ok(false),
        Some(Value::Boolean(b)) => Ok(*b),
        Some(other) => Err(format!("monotone {other}: expected true or false").into()),
    }
}

/// With `monotone = true`, 1 for every column where more means more evidence of a defect: quantile, mean, maximum and the
/// classifier's score; 0 for the shape of the distribution. Empty without.
pub fn monotone(spec: Option<&Value>, columns: &[String]) -> Vec<i8> {
    if !matches!(is_monotone(spec), Ok(true)) {
        return Vec::new();
    }
    let rises = |column: &String| match column.parse() {
        Ok(FeatureName::Segment { measure, .. }) => !matches!(measure, Measure::Skewness | Measure::Kurtosis),
        Ok(FeatureName::GlobalMax { .. } | FeatureName::Classifier { .. }) | Err(_) => true,
    };
    columns.iter().map(|c| i8::from(rises(c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_tables() {
        let of = |text: &str| forest(toml::from_str::<Table>(text).unwrap().get("f"));
        assert_eq!(of("").unwrap(), of("f = 'brf'").unwrap());
        assert_eq!(of("f = { preset = 'rf', monotone = true }").unwrap(), of("f = 'rf'").unwrap());
        assert!(of("f = { preset = 'rf', depth = 3 }").unwrap_err().to_string().contains("depth"));
        assert!(of("f = 3").is_err());
    }

    #[test]
    fn evidence_may_only_rise() {
        let spec: Table = toml::from_str("f = { preset = 'brf', monotone = true }").unwrap();
        let columns =
            ["a/p/q99.5", "a/p/skewness", "a/p/kurtosis", "a/p/mean", "p/max", "wrn/score"].map(String::from);
        assert_eq!(monotone(spec.get("f"), &columns), [1, 0, 0, 1, 1, 1]);
        assert!(monotone(None, &columns).is_empty());
    }
}
