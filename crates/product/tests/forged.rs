//! Model files that somebody wrote by hand: a right digest over wrong content.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{Plates, Random, items, plate, settings_with_tokens};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use segad_core::{Device, FitContext};
use segad_product::{Data, Inspector, Model, Result, fit};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Of a section, only the beginning is damaged: what says what follows. Weights are numbers, and any
/// number is one.
const BEGINNING: usize = 4096;
/// Magic, schema and number of sections.
const HEAD: usize = 16;
const DIGEST: usize = 32;

/// Names and contents.
type Sections = Vec<(String, Vec<u8>)>;

/// The sections of a model of everything: a detector, a forest, patch tokens and a stack of them.
fn whole() -> &'static Sections {
    static WHOLE: OnceLock<Sections> = OnceLock::new();
    WHOLE.get_or_init(|| {
        segad_nn::set_threads(1);
        let data = Data::new(items(15, 4, 4), &Plates);
        let model = fit(
            &data,
            &settings_with_tokens(),
            &Random,
            &FitContext::default(),
        )
        .unwrap();
        let bytes = model.to_bytes();
        let mut at = HEAD;
        let mut sections = Sections::new();
        for (name, content) in model.sections() {
            let start = at + 4 + name.len() + 8;
            at = start + content.len();
            sections.push((name.to_owned(), bytes[start..at].to_vec()));
        }
        assert_eq!(at + DIGEST, bytes.len());
        for part in [
            "card.json",
            "detector/0/model.json",
            "forest",
            "tokens/parts.json",
        ] {
            assert!(sections.iter().any(|(name, _)| name == part), "{part}");
        }
        sections
    })
}

/// The file, with a digest that fits.
fn pack(sections: &Sections) -> Vec<u8> {
    let mut bytes = Model::MAGIC.to_vec();
    bytes.extend(segad_product::SCHEMA.to_le_bytes());
    bytes.extend((sections.len() as u32).to_le_bytes());
    for (name, data) in sections {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        bytes.extend(data);
    }
    let digest = blake3::hash(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

/// Everything that a program does with a model.
fn use_up(bytes: &[u8]) -> Result<()> {
    let model = Model::from_bytes(bytes)?;
    assert!(!model.card().summary().is_empty());
    let inspector = Inspector::new(&model, Device::Cpu)?;
    for name in ["good/4.png", "bad/dent/2.png"] {
        inspector.inspect(&plate(name))?;
    }
    model.samples()?;
    Ok(())
}

/// Either it works, or it says why not; it never panics.
fn try_out(sections: &Sections) -> std::result::Result<(), TestCaseError> {
    if let Err(error) = use_up(&pack(sections)) {
        prop_assert!(!error.to_string().is_empty());
    }
    Ok(())
}

/// Numbers in text become others; otherwise a byte does.
fn damage(section: &mut [u8], at: Index, value: u8) {
    let length = section.len().min(BEGINNING);
    if length == 0 {
        return;
    }
    let byte = &mut section[at.index(length)];
    *byte = match byte {
        b'0'..=b'9' => b'0' + value % 10,
        _ => value,
    };
}

/// Where every value is, the whole one first.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(field, &format!("{here}/{name}"), found);
            }
        }
        // The first ones stand for all: lists of numbers are long.
        Value::Array(items) => {
            for (i, item) in items.iter().take(3).enumerate() {
                pointers(item, &format!("{here}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// What somebody may write in place of `old`.
fn replacement(old: &Value, which: usize) -> Value {
    let others = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1),
        json!(3),
        json!(0.5),
        json!(65_537),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(-1e-300),
        json!(""),
        json!("é/../\n"),
        json!([]),
        json!([[0, 1], [2]]),
        json!({}),
        json!(true),
    ];
    match (old, which % (others.len() + 3)) {
        (Value::Array(items), 0) => json!(items[..items.len() / 2]),
        (Value::Array(items), 1) => json!([&items[..], &items[..]].concat()),
        (Value::Object(fields), 2) => {
            let mut fields = fields.clone();
            let name = fields.keys().next().cloned();
            name.map(|name| fields.remove(&name));
            Value::Object(fields)
        }
        (_, n) => others[n.saturating_sub(3)].clone(),
    }
}

fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let rng_seed = match usual.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        given => given,
    };
    ProptestConfig {
        cases: usual.cases / 4,
        rng_seed,
        ..usual
    }
}

proptest! {
    // The same cases in every run; fuzzing is PROPTEST_CASES=20000 PROPTEST_RNG_SEED=…
    #![proptest_config(config())]

    #[test]
    fn damaged_sections_are_refused_or_work(
        section in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        keep in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let mut sections = whole().clone();
        let count = sections.len();
        let data = &mut sections[section.index(count)].1;
        for (at, value) in edits {
            damage(data, at, value);
        }
        if let Some(keep) = keep {
            data.truncate(keep.index(data.len() + 1));
        }
        try_out(&sections)?;
    }

    #[test]
    fn forged_values_are_refused_or_work(
        section in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), any::<usize>()), 1..4),
    ) {
        let mut sections = whole().clone();
        // Half of the cases are the card's, which says most.
        let mut texts: Vec<usize> = (0..sections.len())
            .filter(|&i| sections[i].0.ends_with(".json"))
            .collect();
        let card = sections.iter().position(|(name, _)| name == "card.json").unwrap();
        texts.extend(vec![card; texts.len()]);
        let data = &mut sections[texts[section.index(texts.len())]].1;
        let mut value: Value = serde_json::from_slice(data).unwrap();
        for (at, which) in edits {
            let mut places = Vec::new();
            pointers(&value, "", &mut places);
            let place = value.pointer_mut(&places[at.index(places.len())]).unwrap();
            *place = replacement(place, which);
        }
        *data = serde_json::to_vec(&value).unwrap();
        try_out(&sections)?;
    }

    #[test]
    fn sections_may_be_missing_or_strange(
        section in any::<Index>(),
        name in prop::sample::select(vec!["", "forest", "card.json", "weights/", "weights/x",
            "tokens/weights/resnet18", "samples/x", "detector/9/model.json", "patches.png"]),
        keep in any::<bool>(),
    ) {
        let mut sections = whole().clone();
        let (_, data) = sections.remove(section.index(sections.len()));
        if keep {
            sections.push((name.to_owned(), data));
        }
        try_out(&sections)?;
    }
}
