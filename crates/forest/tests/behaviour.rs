//! What callers rely on: errors that say where, saved forests that notice damage, constraints that
//! hold, and scores equal to those of the library itself.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

use proptest::prelude::*;
use segad_core::{FeatureTable, ImageId, Label, Seed};
use segad_forest::{
    Forest, ForestError, ForestParams, ForestSettings, Preset, TreeNode, VersionVerdict,
};
use std::num::NonZeroUsize;
use std::sync::LazyLock;
use xgboost_rs::{Booster, DMatrix};

const ONE: NonZeroUsize = NonZeroUsize::MIN;
const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

fn table(columns: usize, values: Vec<f32>) -> FeatureTable {
    let ids = (0..values.len() / columns)
        .map(|i| ImageId::new(format!("{i}.png")))
        .collect();
    FeatureTable::new((0..columns).map(|j| format!("f{j}")).collect(), ids, values).unwrap()
}

/// 60 rows × 3 columns with zeros and missing values; the last 12 are bad and lie higher in the
/// first two columns.
fn example() -> (FeatureTable, Vec<Label>) {
    let bad = |i: usize| i >= 48;
    let value = |i: usize, j: usize| match (i * 31 + j * 17) % 23 {
        0 => 0.0,
        1 => NAN,
        k => {
            k as f32 / 7.0
                + if bad(i) && j < 2 {
                    0.15 * (i % 9) as f32
                } else {
                    0.0
                }
        }
    };
    let values = (0..60)
        .flat_map(|i| (0..3).map(move |j| value(i, j)))
        .collect();
    (
        table(3, values),
        (0..60)
            .map(|i| if bad(i) { Label::Bad } else { Label::Good })
            .collect(),
    )
}

fn small(preset: Preset) -> ForestParams {
    let settings = match preset {
        Preset::Brf => ForestSettings {
            trees_per_round: Some(12),
            ..preset.into()
        },
        Preset::Rf => ForestSettings {
            trees_per_round: Some(80),
            ..preset.into()
        },
        Preset::Bt => ForestSettings {
            rounds: Some(80),
            ..preset.into()
        },
    };
    settings.checked().unwrap()
}

fn fitted(preset: Preset, monotone: &[i8]) -> Forest {
    let (table, labels) = example();
    Forest::fit(&small(preset), &table, &labels, monotone, Seed(333), ONE).unwrap()
}

static FOREST: LazyLock<Forest> = LazyLock::new(|| fitted(Preset::Brf, &[]));
static RISING: LazyLock<Forest> = LazyLock::new(|| fitted(Preset::Brf, &[1, 1, -1]));

fn refused(table: &FeatureTable, labels: &[Label], monotone: &[i8], seed: u64) -> ForestError {
    Forest::fit(
        &small(Preset::Brf),
        table,
        labels,
        monotone,
        Seed(seed),
        ONE,
    )
    .unwrap_err()
}

#[test]
fn bad_training_input_is_named() {
    let (good, bad) = (Label::Good, Label::Bad);
    let two = table(2, vec![0.0, 1.0, 2.0, 3.0]);
    let empty = FeatureTable::new(vec!["a".into()], vec![], vec![]).unwrap();
    assert_eq!(
        refused(&empty, &[], &[], 1),
        ForestError::Empty {
            rows: 0,
            columns: 1
        }
    );
    let narrow = FeatureTable::new(vec![], vec![ImageId::new("a")], vec![]).unwrap();
    assert_eq!(
        refused(&narrow, &[bad], &[], 1),
        ForestError::Empty {
            rows: 1,
            columns: 0
        }
    );
    assert_eq!(
        refused(&two, &[bad], &[], 1),
        ForestError::Labels { rows: 2, labels: 1 }
    );
    assert_eq!(
        refused(&two, &[good, good], &[], 1),
        ForestError::OneClass { good: 2, bad: 0 }
    );
    assert_eq!(
        refused(&two, &[bad, bad], &[], 1),
        ForestError::OneClass { good: 0, bad: 2 }
    );
    assert!(matches!(
        refused(&two, &[good, bad], &[1], 1),
        ForestError::Monotone { columns: 2, .. }
    ));
    let error = refused(&two, &[good, bad], &[0, 2], 1);
    assert!(error.to_string().contains("2 for column 1"), "{error}");
    assert_eq!(
        refused(&two, &[good, bad], &[], u64::MAX),
        ForestError::Seed(u64::MAX)
    );
    let infinite = table(2, vec![0.0, 1.0, 2.0, -INF]);
    let error = refused(&infinite, &[good, bad], &[], 1).to_string();
    assert!(error.contains("\"f1\" of 1.png (row 1) is -inf"), "{error}");
}

#[test]
fn one_row_of_each_class_is_enough() {
    let two = table(2, vec![0.0, NAN, 2.0, NAN]);
    let forest = Forest::fit(
        &small(Preset::Brf),
        &two,
        &[Label::Good, Label::Bad],
        &[],
        Seed(1),
        ONE,
    )
    .unwrap();
    assert!(forest.margins(&two).unwrap().iter().all(|m| m.is_finite()));
    assert_eq!(
        (forest.training_rows(), forest.scale_pos_weight()),
        ((1, 1), 1.0)
    );
}

#[test]
fn other_columns_are_refused() {
    let (table, _) = example();
    let fewer = table.select_columns(|name| name != "f1");
    let error = FOREST.margins(&fewer).unwrap_err();
    assert!(error.to_string().contains("column 1 is \"f2\""), "{error}");
    let more = table.with_column("extra", &[0.0; 60]).unwrap();
    let error = FOREST.contributions(&more).unwrap_err();
    assert!(
        error.to_string().contains("column 3 is \"extra\""),
        "{error}"
    );
    assert!(matches!(
        FOREST.margin(&[0.0; 2]),
        Err(ForestError::Columns { position: 2, .. })
    ));
    assert!(matches!(
        FOREST.margin(&[0.0; 4]),
        Err(ForestError::Columns { position: 3, .. })
    ));
    let mut values = table.values().to_vec();
    values[7] = INF;
    let infinite = FeatureTable::new(table.names().to_vec(), table.ids().to_vec(), values).unwrap();
    let expected = ForestError::Infinite {
        row: 2,
        id: ImageId::new("2.png"),
        column: "f1".into(),
        value: INF,
    };
    assert_eq!(FOREST.margins(&infinite), Err(expected));
}

#[test]
fn no_rows_give_no_margins() {
    let none = example().0.select_rows(&[]);
    assert_eq!(FOREST.margins(&none).unwrap(), [0f32; 0]);
    assert_eq!(FOREST.contributions(&none).unwrap().rows(), 0);
}

#[test]
fn saved_forests_read_back_and_notice_damage() {
    let settings = ForestSettings {
        rounds: Some(1),
        trees_per_round: Some(2),
        ..Preset::Brf.into()
    };
    let (table, labels) = example();
    let params = settings.checked().unwrap();
    let forest = Forest::fit(&params, &table, &labels, &[1, 0, -1], Seed(7), ONE).unwrap();
    let bytes = forest.to_bytes().unwrap();
    let again = Forest::from_bytes(&bytes).unwrap();
    assert_eq!(again, forest);
    assert_eq!(
        (again.params(), again.seed(), again.monotone()),
        (&params, Seed(7), &[1, 0, -1][..])
    );
    assert_eq!((again.trees(), again.columns()), (2, table.names()));
    assert_eq!(again.training_rows(), (48, 12));
    assert_eq!(again.scale_pos_weight(), 4.0);
    assert_eq!(again.to_bytes().unwrap(), bytes);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = Forest::from_bytes(&damaged).unwrap_err();
        assert!(
            matches!(error, ForestError::Damaged(_)),
            "byte {at}: {error}"
        );
        assert!(Forest::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Forest::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
}

#[test]
fn a_later_layout_is_told_apart_from_damage() {
    let mut bytes = FOREST.to_bytes().unwrap();
    bytes.truncate(bytes.len() - 32);
    bytes[8] = 3;
    let digest = *segad_core::Key::of_bytes(&bytes).as_bytes();
    bytes.extend_from_slice(&digest);
    let error = Forest::from_bytes(&bytes).unwrap_err();
    assert_eq!(
        error,
        ForestError::Schema {
            found: 3,
            supported: 2
        }
    );
}

#[test]
fn zero_and_missing_are_different_things() {
    let column: Vec<f32> = (0..40)
        .map(|i| if i % 2 == 0 { 0.0 } else { NAN })
        .collect();
    let labels: Vec<Label> = (0..40)
        .map(|i| if i % 2 == 0 { Label::Good } else { Label::Bad })
        .collect();
    // A threshold between the two needs a second finite value.
    let column = [column, vec![-1.0; 4]].concat();
    let labels = [labels, vec![Label::Good; 4]].concat();
    let forest = Forest::fit(
        &small(Preset::Brf),
        &table(1, column),
        &labels,
        &[],
        Seed(1),
        ONE,
    )
    .unwrap();
    assert!(forest.margin(&[NAN]).unwrap() > forest.margin(&[0.0]).unwrap() + 1.0);
}

/// What other programs make of the trees: a walk from the root, left below the threshold.
#[test]
fn nodes_of_trees_add_up_to_the_margin() {
    let trees = FOREST.tree_nodes();
    assert_eq!(trees.len(), FOREST.trees());
    for row in [[0.0, 1.0, 2.0], [3.0, NAN, 0.5], [NAN, NAN, NAN]] {
        let leaf = |tree: &Vec<TreeNode>| {
            let mut place = 0;
            loop {
                match tree[place] {
                    TreeNode::Leaf(value) => return value,
                    TreeNode::Split {
                        column,
                        threshold,
                        missing_left,
                        left,
                    } => {
                        let v: f32 = row[column];
                        let goes_left = if v.is_nan() {
                            missing_left
                        } else {
                            v < threshold
                        };
                        place = left + usize::from(!goes_left);
                    }
                }
            }
        };
        let base = FOREST.base_score();
        let sum = trees.iter().fold(base, |sum, tree| sum + leaf(tree));
        assert_eq!(sum, FOREST.margin(&row).unwrap());
    }
}

#[test]
fn regions_of_one_thread_are_plain_calls() {
    assert!(xgboost_rs_sys::openmp::in_place());
}

#[test]
fn the_library_in_use_agrees_with_the_papers() {
    assert_eq!(
        segad_forest::library_version().verdict(),
        VersionVerdict::Agrees
    );
    assert_eq!(FOREST.library(), segad_forest::library_version());
}

#[test]
fn seeds_matter() {
    let (table, labels) = example();
    let other = Forest::fit(&small(Preset::Brf), &table, &labels, &[], Seed(334), ONE).unwrap();
    assert_ne!(
        other.margins(&table).unwrap(),
        FOREST.margins(&table).unwrap()
    );
}

/// Finite values of all sizes, zeros of both signs, and missing.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -1f32..5.0,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(NAN),
        1 => prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL,
        1 => (0usize..180).prop_map(|i| example().0.values()[i]),
    ]
}

fn by_library(forest: &Forest, values: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let matrix = DMatrix::from_col_major_f32(values, 12, 4, values.len() / 3, 3, 1, NAN).unwrap();
    let booster = Booster::load_buffer(forest.xgboost_json()).unwrap();
    (
        booster.predict(&matrix).unwrap(),
        booster.predict_contributions(&matrix).unwrap().0,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn scores_are_the_librarys(rows in prop::collection::vec(prop::array::uniform3(value()), 1..80)) {
        static FORESTS: LazyLock<[Forest; 4]> = LazyLock::new(|| {
            [FOREST.clone(), RISING.clone(), fitted(Preset::Rf, &[]), fitted(Preset::Bt, &[])]
        });
        let values = rows.concat();
        let table = table(3, values.clone());
        for forest in FORESTS.iter() {
            let (margins, contributions) = by_library(forest, &values);
            let bits = |all: &[f32]| all.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&forest.margins(&table).unwrap()), bits(&margins));
            let ours = forest.contributions(&table).unwrap();
            for (row, theirs) in contributions.chunks(4).enumerate() {
                for (a, b) in ours.row(row).iter().chain([&ours.bias(row)]).zip(theirs) {
                    prop_assert!((a - b).abs() <= 1e-5 * margins[row].abs().max(1.0), "{} and {}", a, b);
                }
            }
        }
    }

    #[test]
    fn monotone_forests_rise(row in prop::array::uniform3(-1f32..5.0), up in 0f32..3.0, column in 0usize..2) {
        let mut higher = row;
        higher[column] += up;
        prop_assert!(RISING.margin(&higher).unwrap() >= RISING.margin(&row).unwrap());
        let mut lower = row;
        lower[2] += up;
        prop_assert!(RISING.margin(&lower).unwrap() <= RISING.margin(&row).unwrap());
    }
}

#[test]
fn without_constraints_some_column_falls() {
    let falls = (0..60).any(|k| {
        let at = |d: f32| FOREST.margin(&[k as f32 / 12.0 + d, 2.0, 2.0]).unwrap();
        at(0.5) < at(0.0)
    });
    assert!(falls, "the property above could not fail on this table");
}
