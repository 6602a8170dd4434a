//! The memory budget holds on real images: the peak of a process of its own, which fits and tells.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads what the kernel counts and images of the sample"
)]
#![expect(clippy::print_stdout, reason = "the child answers on standard output")]

use segad_core::{
    BoxError, CoreError, FitContext, FitDetector, Image, ImageId, ImageLoader, Key, Label, Sample,
    Seed, TrainSplit,
};
use segad_detector_patchcore::{PatchCore, PatchCoreError, PatchCoreSettings};
use segad_nn::method::FittedDetector;
use segad_nn::model::Settings;
use segad_nn::{BackboneKind, Weights};
use std::path::PathBuf;
use std::process::Command;

/// The paper's. With these layers, small images have many patches of 1280 values.
const KIND: BackboneKind = BackboneKind::WideResnet50_2;
const LAYERS: [&str; 2] = ["layer1", "layer3"];
/// Between patches of these layers, in pixels.
const STRIDE: u64 = 4;
const DIM: u64 = 256 + 1024;
const SIZE: usize = 64;
const BATCH: usize = 8;
const IMAGES: usize = 108;
/// Set in the child: its budget in bytes.
const BUDGET: &str = "SEGAD_TEST_BUDGET";
const MIB: u64 = 1 << 20;

/// The sample's images, which lie in one folder.
struct Elpv(PathBuf);

impl ImageLoader for Elpv {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        Ok(segad_imaging::open(&self.0.join(id.as_str()))?)
    }
}

fn sample() -> (Elpv, Vec<ImageId>) {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../datasets/elpv-sample/images");
    let names = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut ids: Vec<ImageId> = names.map(ImageId::new).collect();
    ids.sort();
    (Elpv(folder), ids)
}

/// Fits on the first `n` images; gives the digest of the model.
fn fit(weights: &Weights, n: usize, memory: u64) -> Result<Key, PatchCoreError> {
    let (loader, ids) = sample();
    let samples = ids[..n]
        .iter()
        .map(|id| Sample::new(id.clone(), Label::Good))
        .collect();
    let split = TrainSplit::new(samples).unwrap();
    let layers = Some(LAYERS.map(str::to_owned).to_vec());
    let settings = PatchCoreSettings {
        backbone: KIND,
        layers,
        image_size: SIZE,
        ..Default::default()
    };
    let ctx = FitContext {
        memory,
        batch: BATCH,
        ..FitContext::default()
    };
    let fitted = PatchCore::new(settings.checked()?, weights.clone())?;
    Ok(Key::of_bytes(
        &fitted
            .fit(&split.good(&loader), Seed(3), &ctx)?
            .save()?
            .tensors,
    ))
}

/// A line of `/proc/self/status` in bytes.
fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What a fit adds to the peak of a fit of one batch, and the model's digest.
fn child(budget: u64) {
    let weights = Weights::random(KIND, Some("layer3"), Seed(0)).unwrap();
    let few = fit(&weights, BATCH, budget).map(|_| ());
    // A budget too small for one batch is too small for all.
    if !matches!(few, Ok(()) | Err(PatchCoreError::Memory { .. })) {
        few.unwrap();
    }
    let one_batch = status("VmHWM");
    // 5: the peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let fitted = fit(&weights, IMAGES, budget);
    if let Err(PatchCoreError::Memory {
        source: CoreError::Memory { needed, .. },
        ..
    }) = fitted
    {
        return println!("told: {needed} too little");
    }
    println!(
        "told: {} {}",
        status("VmHWM").saturating_sub(one_batch),
        fitted.unwrap()
    );
}

#[test]
fn a_fit_keeps_to_its_budget() {
    if let Ok(budget) = std::env::var(BUDGET) {
        return child(budget.parse().unwrap());
    }
    let run = |budget: u64| -> (u64, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_fit_keeps_to_its_budget", "--nocapture"]);
        let output = command.env(BUDGET, budget.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let told = text
            .lines()
            .find_map(|l| l.split_once("told: "))
            .unwrap_or_else(|| panic!("{text}"))
            .1;
        let (bytes, model) = told.split_once(' ').unwrap();
        (bytes.parse().unwrap(), model.to_owned())
    };
    let (needed, told) = run(100_000);
    assert_eq!(told, "too little");
    let unprojected = IMAGES as u64 * (SIZE as u64 / STRIDE).pow(2) * DIM * 4;
    assert!(needed < unprojected / 4, "{needed} of {unprojected}");
    let (tight, model) = run(needed);
    let (roomy, same) = run(1 << 30);
    assert_eq!(model, same);
    // Buffers of 40 MiB come on top, and what the allocator keeps; the unprojected patches do not.
    assert!(
        tight < needed + 48 * MIB && needed + 48 * MIB < unprojected,
        "{tight} bytes more than one batch, the budget is {needed}"
    );
    assert!(
        roomy > unprojected && tight + unprojected / 2 < roomy,
        "{tight} {roomy} {unprojected}"
    );
}
