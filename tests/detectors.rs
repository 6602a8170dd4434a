//! Bad input of the one-class detectors, at the command: each fault is named before or where it
//! matters, with what to do.

use crate::support::{Place, expect, root, stderr};
use segad_core::Image;
use segad_nn::{BackboneKind, Weights, write_tensors};
use std::process::Command;

const EXPERIMENT: &str = "experiments/elpv-detectors.toml";
/// Random weights take the place of those that the experiment names.
const BACKBONES: [&str; 3] = [
    "detectors.fastflow.backbone=\"resnet18\"",
    "detectors.rd4ad.backbone=\"resnet18\"",
    "detectors.efficientad.distill.backbone=\"resnet18\"",
];

/// `segad VERB` for one row of the experiment on the sample.
fn row(place: &Place, verb: &str, row: &str, set: &[&str]) -> Command {
    let mut command = place.segad(&[verb, EXPERIMENT, "--profile", "smoke", "--only", row]);
    command.args(["--data", "datasets/elpv-sample", "--exclude", "SegAD"]);
    for key in [crate::support::BACKBONE]
        .iter()
        .chain(&BACKBONES)
        .chain(set)
    {
        command.args(["--set", key]);
    }
    if verb == "sweep" {
        command.args(["--out", place.path("out").to_str().unwrap()]);
    }
    command
}

/// The plan, which never fails for what is missing.
fn plan(place: &Place, name: &str, set: &[&str]) -> String {
    let output = row(place, "plan", name, set).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_penalty_is_a_declared_input() {
    let place = Place::new();
    let on = "detectors.efficientad.penalty=\"imagenette\"";
    assert!(!plan(&place, "EfficientAD", &[]).contains("missing"));
    let text = plan(&place, "EfficientAD", &[on]);
    assert!(
        text.contains("missing") && text.contains("cargo xtask fetch imagenette"),
        "{text}"
    );
    let message = expect(row(&place, "sweep", "EfficientAD", &[on]), 5);
    assert!(
        message.contains("cargo xtask fetch imagenette"),
        "{message}"
    );
    // Where the data set lies, its images are used; a folder of one's own does as well.
    let folder = place.path("cache/data/imagenette/train/n01");
    std::fs::create_dir_all(&folder).unwrap();
    let text = plan(&place, "EfficientAD", &[on]);
    assert!(
        text.contains("missing") && text.contains("no image is in it"),
        "{text}"
    );
    let image =
        Image::from_rgb(40, 30, (0..3600u32).map(|i| (i * 7 % 251) as u8).collect()).unwrap();
    std::fs::write(
        folder.join("a.png"),
        segad_imaging::encode_png(&image).unwrap(),
    )
    .unwrap();
    assert!(!plan(&place, "EfficientAD", &[on]).contains("missing"));
    let own = format!(
        "detectors.efficientad.penalty={:?}",
        folder.to_str().unwrap()
    );
    assert!(!plan(&place, "EfficientAD", &[&own]).contains("missing"));
    let text = plan(
        &place,
        "EfficientAD",
        &["detectors.efficientad.penalty=\"my-photographs\""],
    );
    assert!(
        text.contains("my-photographs: no such folder") && text.contains("imagenette"),
        "{text}"
    );
    expect(row(&place, "sweep", "EfficientAD", &[on]), 0);
    let fitted = find(&place.path("cache/store"), "model.json");
    assert!(
        std::fs::read_to_string(&fitted)
            .unwrap()
            .contains("\"penalty\": \"imagenette\"")
    );
}

fn find(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.ends_with(name) => return path,
                false => {}
            }
        }
    }
    panic!("no {name} below {}", folder.display());
}

#[test]
fn a_teacher_that_is_not_there_is_named_with_advice() {
    let place = Place::new();
    let file = place.path("teacher.toml");
    let text = std::fs::read_to_string(root().join(EXPERIMENT)).unwrap();
    let head = text.split("[detectors.patchcore]").next().unwrap();
    let row = "[detectors.efficientad]\n\n[[row]]\nname = \"EfficientAD\"\ndetectors = [\"efficientad\"]\nhead = \"max\"\n";
    std::fs::write(&file, format!("{head}{row}")).unwrap();
    let args = [
        "plan",
        file.to_str().unwrap(),
        "--data",
        "datasets/elpv-sample",
    ];
    let set = [
        "--set",
        "dataset=\"elpv-sample\"",
        "--set",
        "protocols=[\"elpv-high-shot\"]",
        "--set",
        "seeds=[1]",
    ];
    let output = place
        .segad(&[&args[..], &set[..]].concat())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        text.contains("no weights of")
            && text.contains("medium teacher")
            && text.contains("efficientad-teacher"),
        "{text}"
    );
}

#[test]
fn weights_of_another_shape_are_named() {
    let place = Place::new();
    let file = place.path("cache/weights/resnet18.safetensors");
    let weights = Weights::from_safetensors(&std::fs::read(&file).unwrap()).unwrap();
    let name = "layer2.0.conv1.weight";
    let wide = segad_nn::from_slice(&vec![0.1; 128 * 32 * 9], &[128, 32, 3, 3]).unwrap();
    let tensors: Vec<_> = weights
        .tensors()
        .iter()
        .map(|(n, t)| (n.as_str(), if n == name { &wide } else { t }))
        .collect();
    std::fs::write(&file, write_tensors(tensors).unwrap()).unwrap();
    for row_name in ["PatchCore", "FastFlow", "RD4AD", "EfficientAD"] {
        let message = expect(row(&place, "sweep", row_name, &["seeds=[333]"]), 1);
        let shapes = "layer2.0.conv1.weight is [128, 32, 3, 3], expected [128, 64, 3, 3]";
        assert!(message.contains(shapes), "{row_name}: {message}");
    }
    assert!(
        BackboneKind::Resnet18
            .parameters(None)
            .unwrap()
            .iter()
            .any(|p| p.name == name)
    );
}

#[test]
fn too_few_patches_and_too_little_memory_are_named() {
    let place = Place::new();
    let sweep = |set: &[&str], more: &[&str]| {
        let mut command = row(&place, "sweep", "PatchCore", set);
        // What fails is not tried again unless asked for; neither memory nor, for scores by the
        // maximum, neighbours are in a key.
        command.arg("--rerun-failed").args(more);
        expect(command, 1)
    };
    let message = sweep(&["detectors.patchcore.neighbours=99999"], &[]);
    assert!(
        message.contains("99999 neighbours") && message.contains("add images"),
        "{message}"
    );
    let message = sweep(&["detectors.patchcore.coreset_ratio=0.00001"], &[]);
    assert!(
        message.contains("a memory bank of 0") && message.contains("raise coreset_ratio"),
        "{message}"
    );
    // More than the budget allows is the machine's, not the cell's.
    let large = [
        "detectors.patchcore.image_size=512",
        "detectors.patchcore.coreset_ratio=0.01",
    ];
    let mut tight = row(&place, "sweep", "PatchCore", &large);
    tight.args(["--memory", "64MiB"]);
    let message = expect(tight, 7);
    assert!(message.contains("the memory budget is"), "{message}");
    let mut little = row(&place, "sweep", "PatchCore", &[]);
    little.args(["--memory", "100KiB"]);
    let message = expect(little, 3);
    assert!(
        message.contains("--memory = 100KiB: expected at least 64MiB"),
        "{message}"
    );
}

/// A data set of one class of grey images: `good` of them to train on.
fn cups(place: &Place, good: usize, image: &dyn Fn(usize) -> Image) {
    let data = place.path("data/cup");
    let _ = std::fs::remove_dir_all(&data);
    for (folder, n) in [("train/good", good), ("test/good", 2), ("test/broken", 3)] {
        std::fs::create_dir_all(data.join(folder)).unwrap();
        for i in 0..n {
            let png = segad_imaging::encode_png(&image(i)).unwrap();
            std::fs::write(data.join(folder).join(format!("{i}.png")), png).unwrap();
        }
    }
    let manifest =
        "schema = 1\nname = 'cups'\ntitle = 'Cups'\nlayout = 'mvtec'\n[[class]]\nname = 'cup'\n";
    std::fs::write(place.path("cups.toml"), manifest).unwrap();
    let detector = |name: &str, more: &str| {
        format!(
            "[detectors.{name}]\nimage_size = 128\n{more}\n[[row]]\nname = '{name}'\ndetectors = ['{name}']\nhead = 'max'\n"
        )
    };
    let experiment = [
        "title = 'Cups'\ndataset = 'cups'\nseeds = [1]\nmetrics = ['cl_auroc']\nprotocol = 'few'\n"
            .to_owned(),
        "[variants.few]\nkind = 'mvtec-supervised-20'\ntrain_bad = 1\n".to_owned(),
        detector("patchcore", "backbone = 'resnet18'"),
        detector("fastflow", "backbone = 'resnet18'\nepochs = 1"),
        detector("rd4ad", "backbone = 'resnet18'\nepochs = 1"),
        detector(
            "efficientad",
            "iterations = 1\npadding = false\nteacher = 'distilled'\n[detectors.efficientad.distill]\nbackbone = 'resnet18'\nimage_size = 128\niterations = 1\nbatch = 1",
        ),
    ];
    std::fs::write(place.path("experiment.toml"), experiment.concat()).unwrap();
}

fn sweep_cups(place: &Place, row: &str, code: i32) -> String {
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (file, data, manifest, out) = (
        path("experiment.toml"),
        path("data"),
        path("cups.toml"),
        path("out"),
    );
    let args = [
        "sweep",
        &file,
        "--data",
        &data,
        "--manifest",
        &manifest,
        "--out",
        &out,
        "--only",
        row,
    ];
    expect(place.segad(&args), code)
}

fn noise(i: usize) -> Image {
    let pixel = |p: usize| ((p * 31 + i * 7) % 251) as u8;
    Image::from_grey(64, 64, &(0..64 * 64).map(pixel).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_class_folder_with_hardly_an_image_is_named() {
    let place = Place::new();
    for good in [0, 1] {
        cups(&place, good, &noise);
        let message = sweep_cups(&place, "patchcore", 1);
        assert!(
            message.contains("cup")
                && message.contains("good")
                && message.contains(&format!("{good}")),
            "{message}"
        );
    }
    // One of two is held out; a single image does for PatchCore alone.
    cups(&place, 2, &noise);
    sweep_cups(&place, "patchcore", 0);
    for row in ["fastflow", "rd4ad"] {
        let message = sweep_cups(&place, row, 1);
        assert!(
            message.contains("1 good training images; expected at least 2"),
            "{row}: {message}"
        );
    }
}

/// PatchCore, FastFlow and RD4AD can be fitted to images of one colour, but rank none above another;
/// EfficientAD cannot normalise a teacher that never varies.
#[test]
fn constant_images_end_clearly() {
    let place = Place::new();
    cups(&place, 4, &|_| {
        Image::from_grey(64, 64, &[90; 64 * 64]).unwrap()
    });
    for row in ["patchcore", "fastflow", "rd4ad"] {
        let message = sweep_cups(&place, row, 1);
        assert!(message.contains("have the same score"), "{row}: {message}");
    }
    let message = sweep_cups(&place, "efficientad", 1);
    assert!(
        message.contains("channel") && message.contains("image"),
        "{message}"
    );
}
