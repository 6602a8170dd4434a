//! TorchScript modules: two interfaces, and all that is neither. The modules were made by
//! fixtures/make_modules.py.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use segad_core::{Device, Image};
use segad_nn::{NnError, Preprocess, Prompt, ScriptModule, from_slice, to_vec};

fn module(name: &str) -> ScriptModule {
    let path = format!("{}/tests/fixtures/{name}.pt", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    let bytes = std::fs::read(path).unwrap();
    ScriptModule::from_bytes(&bytes, Device::Cpu).unwrap()
}

fn said(result: Result<impl Sized, NnError>) -> String {
    result.err().unwrap().to_string()
}

/// 1×3×4×6, left half dark, right half bright.
fn image() -> tch::Tensor {
    let row = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    from_slice(&[row; 12].concat(), &[1, 3, 4, 6]).unwrap()
}

#[test]
fn logits_come_at_the_modules_size() {
    let logits = module("threshold").logits(&image(), 2).unwrap();
    assert_eq!(logits.size(), [1, 2, 2, 3]);
    assert_eq!(
        to_vec(&logits).unwrap()[6..],
        [-0.5, 0.0, 0.5, -0.5, 0.0, 0.5]
    );
}

#[test]
fn prompts_give_masks_and_overlaps() {
    // Two boxes with a point each: the left half, and columns 2 to 4.
    let points = from_slice(
        &[0., 0., 0., 0., 2., 3., 3., 1., 2., 0., 4., 3.],
        &[1, 2, 3, 2],
    )
    .unwrap();
    let labels = from_slice(&[1., 2., 3., 1., 2., 3.], &[1, 2, 3]).unwrap();
    let (logits, overlaps) = module("efficient_sam")
        .masks(&image(), &points, &labels)
        .unwrap();
    assert_eq!(
        (logits.size(), overlaps.size()),
        (vec![1, 2, 3, 4, 6], vec![1, 2, 3])
    );
    let best = to_vec(&logits.get(0).get(1).get(1).get(0)).unwrap();
    assert_eq!(best, [-1.0, -1.0, -0.5, 0.5, 0.5, -1.0]);
}

#[test]
fn from_images_to_labels_and_masks() {
    let row = [0, 0, 0, 255, 255, 255];
    let image = Image::from_grey(4, 6, &row.repeat(4)).unwrap();
    let input = Preprocess::unit(4, 6);
    let map = module("threshold").label_map(&image, &input, 2).unwrap();
    assert_eq!((map.height(), map.width()), (2, 3));
    assert_eq!(map.labels(), [0, 0, 1, 0, 0, 1]);
    let prompts = [
        Prompt {
            bounds: [0, 0, 3, 0],
            inside: [0, 0],
        },
        Prompt {
            bounds: [4, 2, 5, 3],
            inside: [5, 3],
        },
    ];
    let mask = module("efficient_sam")
        .foreground(&image, &prompts)
        .unwrap();
    let set: Vec<usize> = (0..24).filter(|&i| mask[i]).collect();
    assert_eq!(set, [3, 16, 17, 22, 23]);
    assert!(matches!(
        module("efficient_sam").foreground(&image, &[]),
        Err(NnError::EmptyBatch)
    ));
}

#[test]
fn other_interfaces_are_named() {
    let (threshold, sam, pair) = (module("threshold"), module("efficient_sam"), module("pair"));
    let m = said(threshold.logits(&image(), 5));
    assert!(
        m.contains("[1, 2, 2, 3]") && m.contains("logits [1, 5, h, w]"),
        "{m}"
    );
    let m = said(sam.logits(&image(), 2));
    assert!(m.contains("1 tensors") && m.contains("points"), "{m}");
    let m = said(pair.logits(&image(), 2));
    assert!(m.contains("did not give a tensor"), "{m}");
    let (points, labels) = (
        from_slice(&[0.0; 6], &[1, 1, 3, 2]).unwrap(),
        from_slice(&[1.0; 3], &[1, 1, 3]).unwrap(),
    );
    let m = said(threshold.masks(&image(), &points, &labels));
    assert!(
        m.contains("3 tensors") && m.contains("a pair of logits"),
        "{m}"
    );
    let nan = from_slice(&[f32::NAN; 72], &[1, 3, 4, 6]).unwrap();
    assert!(said(threshold.logits(&nan, 2)).contains("not finite"));
    let m = said(ScriptModule::from_bytes(b"no archive at all", Device::Cpu));
    assert!(
        m.starts_with("TorchScript module: not a TorchScript archive"),
        "{m}"
    );
}
