//! The numbers that the Python package must repeat to the last bit: `tests/test_head.py` makes the
//! same maps and compares with the same file.

#![allow(clippy::unwrap_used)]

use segad_core::{AnomalyMap, FeatureTable, ImageId, Label, LabelMap, Seed};
use segad_features::{
    FeatureExtractor, FeatureParams, ImageMaps, SegmentIndex, TableBuilder, columns,
};
use segad_forest::{Forest, ForestSettings, Preset};

const IMAGES: usize = 40;
const SIDE: usize = 16;

/// Values from a linear congruential generator, the same in Python; the last quarter of the images
/// has a patch that stands out in the second map.
fn maps() -> Vec<[AnomalyMap; 2]> {
    let mut state: u32 = 1;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let mut map = |bad: bool| {
        let mut values: Vec<f32> = (0..SIDE * SIDE).map(|_| draw()).collect();
        if bad {
            for pixel in 2 * SIDE..2 * SIDE + 5 {
                values[pixel] += 0.5;
            }
        }
        AnomalyMap::new(SIDE, SIDE, values).unwrap()
    };
    (0..IMAGES)
        .map(|image| [map(false), map(image >= 30)])
        .collect()
}

fn features(maps: &[[AnomalyMap; 2]]) -> FeatureTable {
    let names = |list: [&str; 2]| list.map(String::from);
    let params = FeatureParams::default().check().unwrap();
    let extractor =
        FeatureExtractor::new(params, &names(["a", "b"]), &names(["top", "bottom"])).unwrap();
    let labels = (0..SIDE * SIDE).map(|i| u8::from(i >= SIDE * SIDE / 2));
    let labels = LabelMap::new(SIDE, SIDE, labels.collect(), 2).unwrap();
    let segments = SegmentIndex::new(&labels).unwrap();
    let ids: Vec<ImageId> = (0..IMAGES).map(|i| ImageId::new(i.to_string())).collect();
    let images: Vec<ImageMaps<'_>> = maps
        .iter()
        .zip(&ids)
        .map(|(maps, id)| ImageMaps {
            id,
            maps: maps.iter().collect(),
            segments: &segments,
        })
        .collect();
    let mut table = TableBuilder::new(&extractor);
    table.extend(&images).unwrap();
    table.finish()
}

/// Bits, so that no digit is lost in text.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_numbers_that_python_repeats_are_ours() {
    let table = features(&maps());
    let labels: Vec<Label> = (0..IMAGES)
        .map(|i| if i < 30 { Label::Good } else { Label::Bad })
        .collect();
    let settings = ForestSettings {
        rounds: Some(3),
        trees_per_round: Some(20),
        ..Preset::Brf.into()
    };
    let forest = Forest::fit(
        &settings.checked().unwrap(),
        &table,
        &labels,
        &columns::rising(table.names()),
        Seed(333),
        1.try_into().unwrap(),
    )
    .unwrap();
    let found = serde_json::json!({
        "columns": table.names(),
        "features of the last image": bits(table.row(IMAGES - 1)),
        "margins": bits(&forest.margins(&table).unwrap()),
        "contributions to the last": bits(forest.contributions(&table.select_rows(&[IMAGES - 1])).unwrap().row(0)),
    });
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/head.json")).unwrap();
    assert_eq!(found, expected, "{found}");
}
