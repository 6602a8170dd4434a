//! Every protocol of the paper uses exactly the images that it should: those of
//! `fixtures/protocols.py`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use common::sets;
use segad_core::{ImageId, Seed};
use segad_datasets::{Dataset, Manifest, Protocol, ProtocolParams};
use serde_json::Value;
use std::collections::BTreeSet;

fn names(value: &Value) -> Vec<ImageId> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| ImageId::new(v.as_str().unwrap()))
        .collect()
}

#[test]
fn who_gets_which_images() {
    let sets = sets();
    let sets = sets.path();
    let told: Vec<Value> = serde_json::from_str(include_str!("fixtures/protocols.json")).unwrap();
    assert_eq!(told.len(), 5 * 3 + 2 * 2 + 3 * 2);
    for run in told {
        let (name, class, seed) = (
            run["protocol"].as_str().unwrap(),
            run["class"].as_str().unwrap(),
            run["seed"].as_u64().unwrap(),
        );
        let set = name.split('-').next().unwrap();
        let manifest = Manifest::read(&sets.join(format!("{set}.toml"))).unwrap();
        let dataset = Dataset::open(manifest, &sets.join(set)).unwrap();
        let protocol: Protocol = name.parse().unwrap();
        let index = dataset.index(class).unwrap();
        let split = protocol
            .split(&index, Seed(seed), &ProtocolParams::default())
            .unwrap();
        let what = format!("{name} {class} {seed}");
        assert_eq!(
            split.detector.ids(),
            names(&run["detector"]),
            "{what}: detector"
        );
        assert_eq!(
            split.holdout.map(|h| h.ids()),
            run["holdout"].as_array().map(|_| names(&run["holdout"]))
        );
        assert_eq!(split.forest.ids(), names(&run["forest"]), "{what}: forest");
        assert_eq!(
            split.forest_generated as u64, run["generated"],
            "{what}: generated"
        );
        assert_eq!(split.test.ids(), names(&run["test"]), "{what}: test");
        // A classifier shuffles what it gets, so only which images it gets is compared.
        let classifier: Option<BTreeSet<_>> =
            split.classifier.map(|c| c.ids().into_iter().collect());
        let expected = run["classifier"]
            .as_array()
            .map(|_| names(&run["classifier"]).into_iter().collect());
        assert_eq!(classifier, expected, "{what}: classifier");
    }
}
