//! How experiment files name segments.

use segad_segments::{ForegroundParams, SegmentsSpec, SegmentsTable, open};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Experiment {
    segments: SegmentsSpec,
}

fn parse(value: &str) -> Result<SegmentsSpec, toml::de::Error> {
    toml::from_str::<Experiment>(&format!("segments = {value}")).map(|e| e.segments)
}

#[test]
fn names_and_tables() {
    assert_eq!(parse("'whole'").unwrap(), SegmentsSpec::default());
    let table = parse("{ kind = 'foreground', hull = true }").unwrap();
    let params = ForegroundParams {
        hull: true,
        ..Default::default()
    };
    assert_eq!(
        table,
        SegmentsSpec::Table(SegmentsTable::Foreground(params))
    );
    for text in [
        "'vad'",
        "{ kind = 'static', path = 'a.toml' }",
        "{ kind = 'folder', path = 'm', segments = ['a'] }",
        "{ kind = 'foreground', threshold = 9.5 }",
        "{ kind = 'posed', path = 'a.toml', foreground = { pieces = 1 } }",
    ] {
        let spec = parse(text).unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(
            serde_json::from_str::<SegmentsSpec>(&json).unwrap(),
            spec,
            "{json}"
        );
        assert!(!spec.to_string().is_empty());
    }
}

#[test]
fn wrong_keys_are_named() {
    for (text, part) in [
        ("{ kind = 'foreground', thresh = 3 }", "thresh"),
        (
            "{ kind = 'folder', path = 'm', segments = ['a'], glob = '*' }",
            "glob",
        ),
        ("{ kind = 'static', path = 'm', size = 3 }", "size"),
        (
            "{ kind = 'posed', path = 'm', foreground = { hul = true } }",
            "hul",
        ),
        ("{ kind = 'clusters' }", "clusters"),
        ("{ path = 'm' }", "kind"),
        ("7", "name of segments"),
    ] {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn digests_tell_maps_apart() {
    let digest = |text: &str, side: usize| {
        open(&parse(text).unwrap(), Path::new(""), side, side)
            .unwrap()
            .digest(&[])
            .unwrap()
    };
    let all = [
        digest("'whole'", 256),
        digest("'whole'", 128),
        digest("'vad'", 256),
        digest("'elpv-mono'", 256),
        digest("'foreground'", 256),
        digest("{ kind = 'foreground', hull = true }", 256),
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b));
    }
    assert_eq!(digest("{ kind = 'foreground' }", 256), all[4]);
    // A drawn map is its labels: the shipped one and a file that paints the same are one.
    let file = "../../datasets/segments/vad.toml";
    let spec = parse(&format!("{{ kind = 'static', path = '{file}' }}")).unwrap();
    let opened = open(&spec, Path::new(env!("CARGO_MANIFEST_DIR")), 256, 256).unwrap();
    assert_eq!(opened.digest(&[]).unwrap(), all[2]);
    assert!(!opened.looks_at_pixels());
}

#[test]
fn unknown_names_and_missing_files() {
    let error = |text: &str| {
        open(&parse(text).unwrap(), Path::new("/nowhere"), 8, 8)
            .unwrap_err()
            .to_string()
    };
    assert!(error("'piezo'").contains("elpv-mono"));
    assert!(
        error("{ kind = 'static', path = 'a.toml' }").contains("/nowhere/a.toml: cannot be read")
    );
    assert!(error("{ kind = 'posed', path = 'b.toml' }").contains("b.toml"));
}
