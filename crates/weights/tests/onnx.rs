//! A tiny DINOv2 as an ONNX file, made by `fixtures/dinov2.py`: tensor number n holds 1000 n,
//! 1000 n + 1, … in PyTorch's order.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use segad_weights::{Tensor, Tensors, WeightsError, read_bytes, to_safetensors};

const FILE: &[u8] = include_bytes!("fixtures/dinov2.onnx");

/// The first values of the parts that a tensor is made of, in thousands.
fn starts(tensor: &Tensor) -> Vec<usize> {
    let mut starts = Vec::new();
    for (i, &value) in tensor.data.iter().enumerate() {
        let within = value as usize % 1000;
        if within == 0 {
            starts.push(value as usize / 1000);
        } else {
            assert_eq!(value, tensor.data[i - 1] + 1.0, "value {i}");
        }
    }
    starts
}

fn check(tensors: &Tensors, name: &str, shape: &[usize], expected: &[usize]) {
    assert_eq!(tensors[name].shape, shape, "{name}");
    assert_eq!(starts(&tensors[name]), expected, "{name}");
}

#[test]
fn every_matrix_gets_its_name_and_pytorchs_order() {
    let tensors = read_bytes(FILE).unwrap();
    check(&tensors, "patch_embed.proj.weight", &[4, 3, 2, 2], &[0]);
    check(&tensors, "patch_embed.proj.bias", &[4], &[1]);
    check(&tensors, "cls_token", &[1, 1, 4], &[2]);
    check(&tensors, "pos_embed", &[1, 5, 4], &[3, 4]);
    for block in 0..2 {
        let check = |name: &str, shape: &[usize], expected: &[usize]| {
            let expected: Vec<usize> = expected.iter().map(|n| n + 18 * block).collect();
            check(
                &tensors,
                &format!("blocks.{block}.{name}"),
                shape,
                &expected,
            );
        };
        check("norm1.weight", &[4], &[5]);
        check("norm1.bias", &[4], &[6]);
        check("attn.qkv.weight", &[12, 4], &[7, 9, 11]);
        check("attn.qkv.bias", &[12], &[8, 10, 12]);
        check("attn.proj.weight", &[4, 4], &[13]);
        check("attn.proj.bias", &[4], &[14]);
        check("ls1.gamma", &[4], &[15]);
        check("norm2.weight", &[4], &[16]);
        check("norm2.bias", &[4], &[17]);
        check("mlp.fc1.weight", &[6, 4], &[18]);
        check("mlp.fc1.bias", &[6], &[19]);
        check("mlp.fc2.weight", &[4, 6], &[20]);
        check("mlp.fc2.bias", &[4], &[21]);
        check("ls2.gamma", &[4], &[22]);
    }
    check(&tensors, "norm.weight", &[4], &[41]);
    check(&tensors, "norm.bias", &[4], &[42]);
    assert_eq!(tensors["interpolate_offset"].data, [0.0]);
    // The head is dropped.
    assert_eq!(tensors.len(), 4 + 2 * 14 + 2 + 1);
    assert_eq!(
        to_safetensors(&tensors).unwrap(),
        to_safetensors(&read_bytes(FILE).unwrap()).unwrap()
    );
}

/// The file with one text replaced by another of its length, everywhere.
fn with(from: &str, to: &str) -> Result<Tensors, WeightsError> {
    assert_eq!(from.len(), to.len());
    let mut file = FILE.to_vec();
    let mut found = false;
    for at in 0..=file.len() - from.len() {
        if file[at..].starts_with(from.as_bytes()) {
            file[at..at + from.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "{from}");
    read_bytes(&file)
}

#[test]
fn other_networks_are_refused() {
    let layer = "backbone.encoder.layer.1";
    for (from, to, says) in [
        (
            "half_pixel",
            "asymmetric",
            "not resampled by cubic interpolation",
        ),
        (
            "backbone.layernorm.bias",
            "backbone.layernorm.bios",
            "backbone.layernorm.bias is missing",
        ),
        (
            &format!("{layer}.norm2.bias"),
            &format!("{layer}.norm3.bias"),
            "layer.1.norm2.bias is missing",
        ),
        (
            &format!("{layer}.mlp.fc1.bias"),
            &format!("{layer}.mlp.fc3.bias"),
            "layer.1.mlp.fc1.weight is missing",
        ),
        ("onnx::Reshape_62", "onnx::Reshape_26", ""),
        (
            "Reshape",
            "reshape",
            "0 position embeddings that a Reshape reads",
        ),
        (
            "decoder.weight",
            "backbone.a.b.c",
            "it holds backbone.a.b.c",
        ),
    ] {
        match with(from, to) {
            Ok(_) => assert_eq!(says, "", "{from}"),
            Err(e) => {
                let e = e.to_string();
                assert!(!says.is_empty() && e.contains(says), "{from}: {e}");
            }
        }
    }
    // A model without a graph, and one whose graph is empty.
    let e = read_bytes(b"\x08\x07").unwrap_err().to_string();
    assert!(e.contains("holds no graph"), "{e}");
    let e = read_bytes(b"\x08\x07\x3a\x00").unwrap_err().to_string();
    assert!(
        e.contains("not DINOv2") && e.contains("cls_token is missing"),
        "{e}"
    );
}

/// Cut anywhere, or with any byte changed: an error or some tensors, never a panic or endless
/// memory.
#[test]
fn damaged_files_are_errors() {
    for end in 0..FILE.len() {
        // The last fields of a model say nothing about its tensors.
        if let Ok(tensors) = read_bytes(&FILE[..end]) {
            assert_eq!(tensors.len(), 35, "cut at {end}");
        }
    }
    assert!(read_bytes(&FILE[..FILE.len() / 2]).is_err());
    let mut file = FILE.to_vec();
    for at in 0..file.len() {
        let old = file[at];
        for new in [0x00, 0xff, old ^ 0x01, old ^ 0x80, 0x0a, 0x2a] {
            file[at] = new;
            if let Ok(tensors) = read_bytes(&file) {
                let values: usize = tensors.values().map(|t| t.data.len()).sum();
                assert!(values <= FILE.len());
            }
        }
        file[at] = old;
    }
}
