//! Agreement with XGBoost 2.0.3 behind its scikit-learn wrapper; `fixtures/make_fixtures.py` made
//! the expected values.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

use segad_core::{FeatureTable, ImageId, Label, Seed};
use segad_forest::{Forest, ForestSettings, Preset};
use serde_json::Value;
use std::num::NonZeroUsize;

fn table(bytes: &[u8]) -> FeatureTable {
    let values: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let ids = (0..values.len() / 10)
        .map(|i| ImageId::new(format!("{i}.png")))
        .collect();
    FeatureTable::new((0..10).map(|j| format!("f{j}")).collect(), ids, values).unwrap()
}

fn train() -> FeatureTable {
    table(include_bytes!("fixtures/train.f32"))
}

fn test() -> FeatureTable {
    table(include_bytes!("fixtures/test.f32"))
}

fn expected() -> Value {
    serde_json::from_str(include_str!("fixtures/expected.json")).unwrap()
}

fn labels(expected: &Value) -> Vec<Label> {
    let all = expected["labels"].as_array().unwrap().iter();
    all.map(|v| if v == 1 { Label::Bad } else { Label::Good })
        .collect()
}

fn floats(bits: &Value) -> Vec<f32> {
    let all = bits.as_array().unwrap().iter();
    all.map(|v| f32::from_bits(u32::from_str_radix(v.as_str().unwrap(), 16).unwrap()))
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn fit(case: &Value, settings: ForestSettings, labels: &[Label], threads: usize) -> Forest {
    let arguments = &case["arguments"];
    let constraints = arguments["monotone_constraints"].as_array();
    let monotone: Vec<i8> = constraints
        .into_iter()
        .flatten()
        .map(|v| v.as_i64().unwrap() as i8)
        .collect();
    let seed = Seed(arguments["random_state"].as_u64().unwrap());
    let threads = NonZeroUsize::new(threads).unwrap();
    Forest::fit(
        &settings.checked().unwrap(),
        &train(),
        labels,
        &monotone,
        seed,
        threads,
    )
    .unwrap()
}

/// Settings per case, written as a user would, not copied from the fixture.
fn cases() -> Vec<(&'static str, ForestSettings)> {
    let nine = Some(9.0);
    let brf = ForestSettings {
        rounds: Some(3),
        trees_per_round: Some(20),
        scale_pos_weight: nine,
        ..Preset::Brf.into()
    };
    vec![
        ("brf_small", brf.clone()),
        ("brf_other_seed", brf.clone()),
        (
            "brf_ratio",
            ForestSettings {
                scale_pos_weight: None,
                ..brf.clone()
            },
        ),
        ("monotone", brf),
        (
            "rf_small",
            ForestSettings {
                trees_per_round: Some(60),
                scale_pos_weight: nine,
                ..Preset::Rf.into()
            },
        ),
        (
            "bt_small",
            ForestSettings {
                rounds: Some(60),
                scale_pos_weight: nine,
                ..Preset::Bt.into()
            },
        ),
        (
            "overridden",
            ForestSettings {
                rounds: Some(4),
                trees_per_round: Some(5),
                max_depth: Some(3),
                learning_rate: Some(0.15),
                reg_lambda: Some(2.5),
                min_child_weight: Some(3.0),
                gamma: Some(0.2),
                max_bin: Some(32),
                scale_pos_weight: Some(1.0),
                ..Default::default()
            },
        ),
        (
            "brf",
            ForestSettings {
                scale_pos_weight: nine,
                ..Default::default()
            },
        ),
    ]
}

#[test]
fn margins_are_identical() {
    let expected = expected();
    let labels = labels(&expected);
    let cases = cases();
    assert_eq!(cases.len(), expected["cases"].as_object().unwrap().len());
    for (name, settings) in cases {
        let case = &expected["cases"][name];
        let forest = fit(case, settings, &labels, 1);
        let base: f32 = case["base_score"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            forest.base_score().to_bits(),
            base.to_bits(),
            "{name}: base score"
        );
        let margins = forest.margins(&test()).unwrap();
        assert_eq!(
            bits(&margins),
            bits(&floats(&case["margins"])),
            "{name}: margins"
        );
        for (row, margin) in margins.iter().enumerate() {
            let one = forest.margin(test().row(row)).unwrap();
            assert_eq!(one.to_bits(), margin.to_bits(), "{name}: row {row} alone");
        }
    }
}

#[test]
fn contributions_and_importance_agree() {
    let expected = expected();
    let labels = labels(&expected);
    let twelve = test().select_rows(&(0..12).collect::<Vec<_>>());
    for (name, settings) in cases()
        .into_iter()
        .filter(|c| ["brf_small", "bt_small"].contains(&c.0))
    {
        let case = &expected["cases"][name];
        let forest = fit(case, settings, &labels, 1);
        let (ours, margins) = (
            forest.contributions(&twelve).unwrap(),
            forest.margins(&twelve).unwrap(),
        );
        assert_eq!(ours.rows(), 12);
        for (row, theirs) in floats(&case["contributions"]).chunks(11).enumerate() {
            let all = ours.row(row).iter().copied().chain([ours.bias(row)]);
            for (column, (a, b)) in all.zip(theirs).enumerate() {
                assert!(
                    (a - b).abs() <= 1e-5,
                    "{name}: row {row}, column {column}: {a} and {b}"
                );
            }
            let sum = ours.row(row).iter().sum::<f32>() + ours.bias(row);
            assert!(
                (sum - margins[row]).abs() <= 1e-5,
                "{name}: row {row}: {sum} and {}",
                margins[row]
            );
        }
        let importance = forest.importance();
        let close = |a: f64, b: &Value| (a - b.as_f64().unwrap()).abs() <= 1e-5 * a.abs();
        for (j, i) in importance.iter().enumerate() {
            assert_eq!(i.column, format!("f{j}"));
            assert_eq!(
                i.splits as f64,
                case["weight"][j].as_f64().unwrap(),
                "{name}: column {j}"
            );
            assert!(
                close(i.gain, &case["gain"][j]),
                "{name}: column {j}: {}",
                i.gain
            );
            assert!(
                close(i.total_gain, &case["total_gain"][j]),
                "{name}: column {j}: {}",
                i.total_gain
            );
        }
    }
}

#[test]
fn threads_and_neighbours_change_no_byte() {
    use rayon::prelude::*;
    let expected = expected();
    let labels = labels(&expected);
    for (name, settings) in cases()
        .into_iter()
        .filter(|c| ["brf_small", "bt_small", "monotone"].contains(&c.0))
    {
        let case = &expected["cases"][name];
        let alone = fit(case, settings.clone(), &labels, 1).to_bytes().unwrap();
        assert!(
            fit(case, settings.clone(), &labels, 2).to_bytes().unwrap() == alone,
            "{name}: two threads"
        );
        let many: Vec<bool> = (0..4)
            .into_par_iter()
            .map(|_| fit(case, settings.clone(), &labels, 1).to_bytes().unwrap() == alone)
            .collect();
        assert_eq!(many, [true; 4], "{name}: side by side");
    }
}
