//! From the tables of an experiment to the checked parameters of the crates.

use segad_core::BoxError;
use segad_forest::{ForestParams, ForestSettings};
use segad_grid::GScores;
use serde::Deserialize;
use toml::{Table, Value};

/// Keys of a row's `forest` table that the forest crate does not know.
const OURS: [&str; 3] = ["monotone", "g_scores", "g_folds"];
/// Folds of out-of-fold scores unless told otherwise.
const FOLDS: usize = 5;

/// `"brf"`, or `{ preset = "brf", max_depth = 3, monotone = true }`; the paper's forest where
/// nothing is said.
pub fn forest(spec: Option<&Value>) -> Result<ForestParams, BoxError> {
    let table = match spec {
        // Without a spec the settings have their defaults, those of the paper.
        None => Table::new(),
        Some(Value::String(preset)) => {
            Table::from_iter([("preset".to_owned(), preset.clone().into())])
        }
        Some(Value::Table(table)) => table
            .iter()
            .filter(|(k, _)| !OURS.contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        Some(other) => {
            return Err(
                format!("forest = {other}: expected the name of a preset or a table").into(),
            );
        }
    };
    let settings = ForestSettings::deserialize(Value::Table(table))?;
    Ok(settings.checked()?)
}

/// True if the row asks for constraints.
pub fn is_monotone(spec: Option<&Value>) -> Result<bool, BoxError> {
    match spec.and_then(|s| s.get("monotone")) {
        None => Ok(false),
        Some(Value::Boolean(b)) => Ok(*b),
        Some(other) => Err(format!("monotone = {other}: expected true or false").into()),
    }
}

/// Which scores of the classifier g the forest trains on: `g_scores = "in-sample"` (as in the
/// paper) or `"out-of-fold"`, with `g_folds` folds.
pub fn g_scores(spec: Option<&Value>) -> Result<GScores, BoxError> {
    let get = |key: &str| spec.and_then(|s| s.get(key));
    let out = match get("g_scores") {
        None => false,
        Some(value) => match value.as_str() {
            Some("in-sample") => false,
            Some("out-of-fold") => true,
            _ => {
                return Err(format!(
                    "g_scores = {value}: expected \"in-sample\" or \"out-of-fold\""
                )
                .into());
            }
        },
    };
    match (out, get("g_folds")) {
        (false, None) => Ok(GScores::InSample),
        (false, Some(_)) => Err("g_folds: only g_scores = \"out-of-fold\" has folds".into()),
        (true, None) => Ok(GScores::OutOfFold { folds: FOLDS }),
        (true, Some(value)) => match value.as_integer() {
            Some(folds @ 2..=1000) => Ok(GScores::OutOfFold {
                folds: folds as usize,
            }),
            _ => Err(format!("g_folds = {value}: expected a whole number from 2 to 1000").into()),
        },
    }
}

/// With `monotone = true`, which columns may only raise the score; empty without.
pub fn monotone(spec: Option<&Value>, columns: &[String]) -> Vec<i8> {
    match is_monotone(spec) {
        Ok(true) => segad_features::columns::rising(columns),
        // Wrong settings have failed when the plan was made; none get this far.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_tables() {
        let of = |text: &str| forest(toml::from_str::<Table>(text).unwrap().get("f"));
        assert_eq!(of("").unwrap(), of("f = 'brf'").unwrap());
        assert_eq!(
            of("f = { preset = 'rf', monotone = true }").unwrap(),
            of("f = 'rf'").unwrap()
        );
        assert!(
            of("f = { preset = 'rf', depth = 3 }")
                .unwrap_err()
                .to_string()
                .contains("depth")
        );
        assert!(of("f = 3").is_err());
    }

    #[test]
    fn scores_of_g_are_in_sample_unless_asked_otherwise() {
        let of = |text: &str| g_scores(toml::from_str::<Table>(text).unwrap().get("f"));
        assert_eq!(of("").unwrap(), GScores::InSample);
        assert_eq!(of("f = 'brf'").unwrap(), GScores::InSample);
        assert_eq!(
            of("f = { g_scores = 'in-sample' }").unwrap(),
            GScores::InSample
        );
        assert_eq!(
            of("f = { g_scores = 'out-of-fold' }").unwrap(),
            GScores::OutOfFold { folds: 5 }
        );
        let three = of("f = { preset = 'rf', g_scores = 'out-of-fold', g_folds = 3 }");
        assert_eq!(three.unwrap(), GScores::OutOfFold { folds: 3 });
        for (text, word) in [
            ("f = { g_scores = 'oof' }", "in-sample"),
            ("f = { g_folds = 3 }", "only g_scores"),
            ("f = { g_scores = 'out-of-fold', g_folds = 1 }", "from 2"),
        ] {
            let e = of(text).unwrap_err().to_string();
            assert!(e.contains(word), "{e}");
        }
        let spec: Table =
            toml::from_str("f = { preset = 'rf', g_scores = 'out-of-fold' }").unwrap();
        assert_eq!(
            forest(spec.get("f")).unwrap(),
            forest(Some(&Value::String("rf".into()))).unwrap()
        );
    }

    #[test]
    fn evidence_may_only_rise() {
        let spec: Table = toml::from_str("f = { preset = 'brf', monotone = true }").unwrap();
        let columns = [
            "a/p/q99.5",
            "a/p/skewness",
            "a/p/kurtosis",
            "a/p/mean",
            "p/max",
            "wrn/score",
        ]
        .map(String::from);
        assert_eq!(monotone(spec.get("f"), &columns), [1, 0, 0, 1, 1, 1]);
        assert!(monotone(None, &columns).is_empty());
    }
}
