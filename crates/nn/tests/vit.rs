//! Vision transformers against NumPy on deterministic numbers, and DINOv2-S against ONNX Runtime on
//! the published file, where that was fetched (`cargo xtask fetch dinov2-vits14`).

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use segad_core::{Device, Precision, Seed};
use segad_nn::{
    Backbone, BackboneKind, NnError, TapFeatures, TrainableBackbone, Weights, from_slice, golden,
    set_threads, to_vec, write_tensors,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::Tensor;

/// What `fixtures/golden.py` says of the class token and the patches of a tap.
#[derive(Deserialize)]
struct Digest {
    rms: f64,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    backbone: BackboneKind,
    height: i64,
    width: i64,
    /// Of the position embedding, where it is not the published network's.
    offset: Option<f32>,
    taps: BTreeMap<String, Digest>,
}

fn cases(text: &str) -> Vec<Case> {
    serde_json::from_str(text).unwrap()
}

impl Case {
    /// Weights that state the offset.
    fn weights(&self, through: Option<&str>) -> Weights {
        let weights = Weights::golden(self.backbone, through).unwrap();
        let Some(offset) = self.offset else {
            return weights;
        };
        let offset = from_slice(&[offset], &[1]).unwrap();
        let named = weights.tensors().iter().map(|(k, v)| (k.as_str(), v));
        let all = named.chain([("interpolate_offset", &offset)]);
        Weights::from_safetensors(&write_tensors(all).unwrap()).unwrap()
    }

    /// The largest difference to the reference, as a share of the tap's root mean square.
    fn worst(&self, weights: &Weights, input: &str, precision: Precision) -> f64 {
        let taps: Vec<&String> = self.taps.keys().collect();
        let network = Backbone::new(self.backbone, &taps, weights, Device::Cpu, precision);
        let image = golden::input(input, &[1, 3, self.height, self.width]).unwrap();
        let found = network.unwrap().outputs(&image).unwrap();
        assert_eq!(found.len(), taps.len());
        let mut worst = 0.0;
        for (features, expected) in found.iter().zip(self.taps.values()) {
            let size = features.grid.size();
            assert_eq!(size[2..], [self.height / 14, self.width / 14]);
            let flat = tokens(features);
            for (i, value) in expected.values.iter().enumerate() {
                let apart = f64::from(flat[i * 7919 % flat.len()]) - value;
                worst = f64::max(worst, apart.abs() / expected.rms);
            }
        }
        worst
    }
}

/// The class token, then the patches row by row.
fn tokens(features: &TapFeatures) -> Vec<f32> {
    let mut flat = to_vec(features.class.as_ref().unwrap()).unwrap();
    flat.extend(to_vec(&features.places().unwrap()).unwrap());
    flat
}

/// With and without registers, and by the three conventions of resampling positions.
#[test]
fn transformers_are_numpys() {
    let cases = cases(include_str!("fixtures/vit.json"));
    assert_eq!(cases.len(), 5);
    for case in cases {
        let last = case.taps.keys().next_back().unwrap();
        let weights = case.weights(Some(last));
        let worst = case.worst(&weights, "vit", Precision::F32);
        assert!(worst < 1e-5, "{} {:?}: {worst}", case.backbone, case.offset);
        let bf16 = case.worst(&weights, "vit", Precision::Bf16);
        assert!(
            bf16 > worst && bf16 < 0.05,
            "{} in bf16: {bf16}",
            case.backbone
        );
    }
}

/// The weights in the usual place, as `cargo xtask fetch dinov2-vits14` leaves them.
fn published() -> Option<Weights> {
    let cache = std::env::var_os("SEGAD_CACHE_DIR").map(PathBuf::from);
    let cache =
        cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/segad")));
    let file = cache?.join("weights/dinov2-vits14.safetensors");
    file.exists()
        .then(|| Weights::from_safetensors(&segad_files::read(&file).unwrap()).unwrap())
}

/// Checks nothing on a machine without the weights: they are 88 MB, and other tests check the
/// arithmetic. `cargo xtask fetch dinov2-vits14` gets them.
#[test]
fn published_weights_are_onnx_runtimes() {
    let Some(weights) = published() else {
        return;
    };
    for case in cases(include_str!("fixtures/dinov2_onnx.json")) {
        let worst = case.worst(&weights, "dinov2", Precision::F32);
        assert!(worst < 1e-4, "{}×{}: {worst}", case.height, case.width);
    }
}

#[test]
fn taps_come_as_named_and_nothing_behind_the_last_is_needed() {
    let kind = BackboneKind::MiniatureVit;
    let weights = Weights::golden(kind, Some("block2")).unwrap();
    let new = |taps: &[&str]| Backbone::new(kind, taps, &weights, Device::Cpu, Precision::F32);
    let image = golden::input("x", &[2, 3, 28, 42]).unwrap();
    let all = new(&["block2", "block0", "block2"]).unwrap();
    let all = all.outputs(&image).unwrap();
    assert_eq!(all[0].grid.size(), [2, 32, 2, 3]);
    assert_eq!(all[0].class.as_ref().unwrap().size(), [2, 32]);
    assert_eq!(all[0].places().unwrap().size(), [2, 6, 32]);
    assert_eq!(tokens(&all[0]), tokens(&all[2]));
    let one = new(&["block0"]).unwrap();
    assert_eq!(tokens(&one.outputs(&image).unwrap()[0]), tokens(&all[1]));
    let e = new(&["block3"]).err().unwrap().to_string();
    assert!(e.contains("blocks.3.attn.qkv.weight"), "{e}");
    let e = new(&["layer2"]).err().unwrap().to_string();
    assert!(e.contains("block0, block1, block2, block3, norm"), "{e}");
}

#[test]
fn wrong_inputs_and_weights_are_errors() {
    let kind = BackboneKind::MiniatureVit;
    let weights = Weights::random(kind, None, Seed(0)).unwrap();
    let network = Backbone::new(kind, &["norm"], &weights, Device::Cpu, Precision::F32).unwrap();
    for (height, width) in [(30, 28), (28, 30), (7, 14)] {
        let image = golden::input("x", &[1, 3, height, width]).unwrap();
        let e = network.features(&image).unwrap_err();
        assert!(matches!(e, NnError::Shape { .. }), "{e}");
        assert!(e.to_string().contains("multiples of 14"), "{e}");
    }
    // ViT-S has no register, and other sizes.
    let small = Weights::golden(BackboneKind::Dinov2Vits14, Some("block0")).unwrap();
    let e = small.check(kind, Some("block0")).unwrap_err().to_string();
    assert!(e.contains("register_tokens"), "{e}");
    let base = BackboneKind::Dinov2Vitb14;
    let e = small.check(base, Some("block0")).unwrap_err().to_string();
    assert!(e.contains("attn.proj.bias is [384], expected [768]"), "{e}");
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    let e = TrainableBackbone::new(kind, "norm", &weights, &store.root())
        .err()
        .unwrap();
    assert!(e.to_string().contains("backbone = miniature_vit"), "{e}");
}

/// A batch is its images, and the number of threads decides nothing.
#[test]
fn neither_batches_nor_threads_change_an_image() {
    let kind = BackboneKind::MiniatureVit;
    let weights = Weights::random(kind, None, Seed(3)).unwrap();
    let network = Backbone::new(kind, &["norm"], &weights, Device::Cpu, Precision::F32).unwrap();
    let images = golden::input("x", &[3, 3, 112, 112]).unwrap();
    let of = |images: &Tensor| tokens(&network.outputs(images).unwrap()[0]);
    set_threads(1);
    let all = of(&images);
    for i in 0..3 {
        let alone = network.outputs(&images.narrow(0, i, 1)).unwrap();
        let apart = &alone[0].grid - network.outputs(&images).unwrap()[0].grid.narrow(0, i, 1);
        let worst = apart.abs().max().double_value(&[]);
        assert!(worst < 1e-4, "image {i}: {worst}");
    }
    for threads in [2, 3, 5] {
        set_threads(threads);
        assert_eq!(of(&images), all, "{threads} threads");
    }
}
