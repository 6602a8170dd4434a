//! The manifests that come with the project, and what is refused in others.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use proptest::prelude::*;
use segad_datasets::{Dataset, Layout, Manifest};
use std::path::Path;

#[test]
fn shipped_manifests_state_the_known_sums() {
    let sum = |name: &str, f: fn(&segad_datasets::Class) -> usize| -> usize {
        Manifest::shipped(name).unwrap().classes.iter().map(f).sum()
    };
    assert_eq!(sum("mvtec", |c| c.train["good"]), 3629);
    assert_eq!(sum("mvtec", |c| c.test["good"]), 467);
    assert_eq!(sum("mvtec", |c| c.test_bad.unwrap()), 1258);
    assert_eq!(sum("mvtec", |c| c.defects.len()), 73);
    assert_eq!(sum("elpv", |c| c.all.values().sum()), 2624);
    assert_eq!(
        sum("visa", |c| c.train["good"] + c.test.values().sum::<usize>()),
        10_821
    );
    assert_eq!(
        sum("vad", |c| c.train.values().chain(c.test.values()).sum()),
        5000
    );
    assert_eq!(sum("imagenette", |c| c.all["good"]), 9469 + 3925);
    for name in Manifest::shipped_names() {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../datasets/{name}.toml"));
        assert_eq!(
            Manifest::read(&file).unwrap(),
            Manifest::shipped(name).unwrap()
        );
        let manifest = Manifest::shipped(name).unwrap();
        assert_eq!(manifest.name, name);
        assert!(
            manifest.licence.is_some() && !manifest.citation.is_empty(),
            "{name}"
        );
        // General images are never split.
        assert_eq!(
            manifest.seeds.is_empty(),
            manifest.layout == Layout::Images,
            "{name}"
        );
    }
    let visa = Manifest::shipped("visa").unwrap();
    let segments: Vec<u8> = ["candle", "pcb1", "pcb2", "pcb3", "pcb4"]
        .map(|c| visa.class(c).unwrap().segments.unwrap())
        .into();
    assert_eq!(segments, [2, 6, 8, 8, 6]);
    for class in &visa.classes {
        let numbers = class.test_normal.as_ref().unwrap();
        assert!(
            numbers.is_sorted() && numbers.len() == class.test["good"],
            "{}",
            class.name
        );
    }
    assert_eq!(
        visa.seeds("visa").unwrap()[..5],
        *Manifest::shipped("vad").unwrap().seeds("vad").unwrap()
    );
}

#[test]
fn contradictions_are_named() {
    let head = "schema = 1\nname = 'x'\ntitle = 'X'\n";
    let class = "[[class]]\nname = 'x'\n";
    let source =
        |fields: &str| format!("layout = 'vad'\n[[source]]\nfile = 'a.zip'\n{fields}\n{class}");
    for (text, message) in [
        (
            format!("layout = 'vda'\n{class}"),
            "line 4: unknown variant `vda`",
        ),
        (format!("layout = 'vda'\n{class}"), "did you mean \"vad\"?"),
        (
            format!("layout = 'vad'\ncitations = []\n{class}"),
            "line 5: unknown field `citations`",
        ),
        (
            format!("layout = 'vad'\ncitations = []\n{class}"),
            "did you mean \"citation\"?",
        ),
        (
            format!("layout = 'vad'\n{class}{class}"),
            "layout vad holds one class, but 2 are named",
        ),
        (
            format!("layout = 'mvtec'\n{class}{class}"),
            "class \"x\" is named twice",
        ),
        (
            format!("layout = 'mvtec'\n{class}[[class]]\nname = '../y'"),
            "class \"../y\" is not a folder name",
        ),
        (
            format!("layout = 'vad'\n{class}train = {{ god = 3 }}"),
            "counts of group \"god\", which is not declared",
        ),
        (
            format!("layout = 'elpv'\n{class}"),
            "needs a value for every group",
        ),
        (
            format!("layout = 'vad'\nseeds = {{ a = [1, 1] }}\n{class}"),
            "seeds \"a\": 1 is named twice",
        ),
        (
            format!("layout = 'vad'\nseeds = {{ a = [4294967296] }}\n{class}"),
            "expected numbers from 0 to 4294967295",
        ),
        (
            format!("layout = 'vad'\nlow_shot = {{ lists = 1, images = 1, seeds = 'b' }}\n{class}"),
            "low_shot.seeds = \"b\": expected the name of a list in [seeds]",
        ),
        (
            source("url = 'https://x'\nsha256 = 'ABC'"),
            "sha256 = \"ABC\": expected 64 lower-case hexadecimal digits",
        ),
        (
            source("url = 'https://x'"),
            "sha256 is needed unless manual = true",
        ),
        (source("manual = true"), "either url or package is needed"),
        (
            source("package = 'p'\nmanual = true"),
            "package needs version and registry",
        ),
    ] {
        let error = Manifest::parse("x.toml", &format!("{head}{text}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("manifest x.toml: ") && error.contains(message),
            "{error}"
        );
    }
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("none.toml");
    assert!(
        Manifest::read(&file)
            .unwrap_err()
            .to_string()
            .contains("none.toml")
    );
    let error = Manifest::shipped("visaa").unwrap_err().to_string();
    assert!(error.contains("did you mean \"visa\"?"), "{error}");
    assert_eq!(
        Manifest::parse("x.toml", &format!("{head}layout = 'csv'\n{class}"))
            .unwrap()
            .layout,
        Layout::Csv
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_list_and_no_manifest_ends_in_a_panic(
        which in 0..5_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let table = "image_path;label_index;label;split\n/x/a.png;0;good;Split.TRAIN\n";
        let wide: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let list = b"path,label,type,group,split\na.png,good,,\"g,\n1\",train\n".to_vec();
        let manifest = include_bytes!("../../../datasets/vad.toml").to_vec();
        let mut bytes = vec![table.into(), [vec![0xff, 0xfe], wide].concat(), list, manifest, vec![0; 40]]
            .swap_remove(which);
        for (at, value) in edits {
            let i = at.index(bytes.len());
            bytes[i] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("list.csv");
        std::fs::write(&path, &bytes).unwrap();
        let dataset = Dataset::open(Manifest::plain("cups", Layout::Csv), &path);
        if let Err(error) = dataset.and_then(|d| d.gather().map(drop)) {
            prop_assert!(!error.to_string().is_empty());
        }
        if let Err(error) = Manifest::parse("m.toml", &String::from_utf8_lossy(&bytes)) {
            prop_assert!(error.to_string().contains("m.toml"));
        }
    }
}
