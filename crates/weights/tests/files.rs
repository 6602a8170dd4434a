//! Files in both layouts, made by `fixtures/make.py` without PyTorch.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use std::path::PathBuf;

use segad_weights::{Dtype, Tensors, WeightsError, import, read, read_bytes, to_safetensors};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    segad_files::read(&fixture(name)).unwrap()
}

fn check(tensors: &Tensors, dtype: Dtype) {
    let names: Vec<_> = tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["conv.t", "conv.weight", "scale"]);
    let weight = &tensors["conv.weight"];
    assert_eq!(weight.shape, [2, 1, 2, 2]);
    assert_eq!(weight.dtype, dtype);
    assert_eq!(weight.data, [-2., -1.5, -1., -0.5, 0., 0.5, 1., 1.5]);
    assert_eq!(tensors["conv.t"].shape, [3, 2]);
    assert_eq!(tensors["conv.t"].data, [0.25, 1., 0.5, 1.25, 0.75, 1.5]);
    assert!(tensors["scale"].shape.is_empty());
    assert_eq!(tensors["scale"].data, [1.5]);
}

#[test]
fn both_layouts_and_every_float_type() {
    for (name, dtype) in [
        ("f32", Dtype::F32),
        ("f16", Dtype::F16),
        ("bf16", Dtype::Bf16),
        ("f64", Dtype::F64),
    ] {
        for layout in ["legacy", "zip"] {
            check(
                &read(&fixture(&format!("{layout}_{name}.pth"))).unwrap(),
                dtype,
            );
        }
    }
    check(&read(&fixture("checkpoint.pth")).unwrap(), Dtype::F32);
}

#[test]
fn what_would_execute_is_refused_by_name() {
    for name in ["legacy_hostile.pth", "zip_hostile.pth"] {
        let error = read(&fixture(name)).unwrap_err().to_string();
        assert!(
            error.contains("system") && error.contains(name) && error.contains("not allowed"),
            "{error}"
        );
    }
    let error = read(&fixture("whole_module.pth")).unwrap_err().to_string();
    assert!(
        error.contains("whole module") && error.contains("Sequential"),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for (name, expected) in [
        ("beyond.pth", "reach beyond the storage's 2 elements"),
        ("expanded.pth", "far more values than the file holds"),
        ("no_tensors.pth", "no tensors"),
        ("compressed.pth", "compressed"),
        ("make.py", "not a PyTorch file"),
    ] {
        let error = read(&fixture(name)).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains(name),
            "{name}: {error}"
        );
    }
    assert!(read_bytes(&[]).unwrap_err().to_string().contains("empty"));
    let error = read(&fixture("no_such_file.pth")).unwrap_err().to_string();
    assert!(error.contains("no_such_file.pth"), "{error}");
}

/// Every prefix of a file is refused, and none brings the reader down.
#[test]
fn truncated_at_every_byte() {
    for name in ["legacy_f32.pth", "zip_f16.pth"] {
        let whole = bytes(name);
        for end in 0..whole.len() {
            assert!(
                read_bytes(&whole[..end]).is_err(),
                "{name} cut at {end} was read"
            );
        }
    }
    let whole = bytes("legacy_f32.pth");
    let error = read_bytes(&whole[..whole.len() - 1]).unwrap_err();
    assert!(
        matches!(error, WeightsError::Truncated { needed: 1, .. }),
        "{error}"
    );
}

/// Every byte replaced by several others: an error or some tensors, never a panic or endless
/// memory.
#[test]
fn damaged_at_every_byte() {
    for name in ["legacy_f32.pth", "zip_f16.pth"] {
        let mut file = bytes(name);
        for at in 0..file.len() {
            let old = file[at];
            for new in [
                0x00,
                0xff,
                old ^ 0x01,
                old ^ 0x80,
                b'R',
                b'Q',
                b'b',
                b'u',
                b'0',
                b'.',
            ] {
                file[at] = new;
                if let Ok(tensors) = read_bytes(&file) {
                    let values: usize = tensors.values().map(|t| t.data.len()).sum();
                    assert!(values <= 1 << 20);
                }
            }
            file[at] = old;
        }
    }
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    // A million one-element tuples around each other.
    let mut pickle = b"\x80\x02)".to_vec();
    pickle.resize(1_000_000, 0x85);
    pickle.push(b'.');
    assert!(read_bytes(&pickle).is_err());
}

#[test]
fn import_checks_the_digest_and_writes_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("weights/x.safetensors");
    let source = fixture("legacy_f16.pth");
    let digest = segad_provision::digest::sha256_file(&source).unwrap();

    let error = import(&source, "00000000", &target)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("legacy_f16.pth") && error.contains(&digest),
        "{error}"
    );
    assert!(!target.exists());

    let imported = import(&source, &digest[..8], &target).unwrap();
    assert_eq!(imported.source_sha256, digest);
    assert_eq!((imported.tensors, imported.values), (3, 15));
    let written = segad_files::read(&target).unwrap();
    assert_eq!(to_safetensors(&read(&source).unwrap()).unwrap(), written);
    assert_eq!(segad_provision::digest::sha256(&written), imported.sha256);

    let loaded = safetensors::SafeTensors::deserialize(&written).unwrap();
    let view = loaded.tensor("conv.t").unwrap();
    assert_eq!(view.shape(), [3, 2]);
    assert_eq!(view.dtype(), safetensors::Dtype::F32);
    let first = f32::from_le_bytes(view.data()[..4].try_into().unwrap());
    assert_eq!(first, 0.25);
    let files = segad_files::list_all(target.parent().unwrap())
        .unwrap()
        .len();
    assert_eq!(files, 1, "a temporary file was left behind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damage_never_panics(
        name in prop::sample::select(vec![
            "legacy_f32.pth", "legacy_bf16.pth", "legacy_hostile.pth", "zip_f16.pth", "checkpoint.pth",
            "expanded.pth", "beyond.pth", "compressed.pth", "whole_module.pth", "dinov2.onnx",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut data = bytes(name);
        for (at, value) in edits {
            let i = at.index(data.len());
            data[i] = value;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        if let Err(error) = read_bytes(&data) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
