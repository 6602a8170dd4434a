//! Miniature sets, and what is said of damaged ones: every fault is named, and everything else
//! still runs.

use crate::support::{Place, expect};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Small miniature sets below the place.
fn sets(place: &Place) -> PathBuf {
    let sets = place.path("sets");
    expect(
        place.segad(&["data", "miniature", sets.to_str().unwrap(), "--size", "32"]),
        0,
    );
    sets
}

/// Exit code and standard output of `segad data verify`.
fn verify(place: &Place, dataset: &str, data: &Path) -> (i32, String) {
    let output = place
        .segad(&["data", "verify", dataset, "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// Runs PatchCore with the miniature backbone, its map's maximum and a forest on it, on these sets.
fn run(place: &Place, dataset: &str, sets: &Path, more: &str) -> Command {
    let file = place.path("experiment.toml");
    let text = format!(
        "title = 'T'\ndataset = '{dataset}'\nseeds = [333]\n{more}\n\
         [detectors.patchcore]\nbackbone = 'miniature'\nimage_size = 32\n\
         [defaults]\nsegments = 'whole'\nforest = {{ preset = 'rf', trees_per_round = 5, min_child_weight = 0.1, reg_alpha = 0.1 }}\n\
         [[row]]\nname = 'max'\ndetectors = ['patchcore']\nhead = 'max'\n\
         [[row]]\nname = 'forest'\ndetectors = ['patchcore']\n"
    );
    std::fs::write(&file, text).unwrap();
    let out = place.path("out");
    let paths = [&file, sets, &out].map(|p: &Path| p.to_str().unwrap().to_owned());
    place.segad(&["sweep", &paths[0], "--data", &paths[1], "--out", &paths[2]])
}

/// How many figures of a column the run has; those that are missing have an empty value.
fn values(place: &Place, column: &str) -> usize {
    let table = std::fs::read_to_string(place.path("out/metrics.csv")).unwrap();
    table
        .lines()
        .filter(|l| l.split(',').nth(1) == Some(column) && !l.ends_with(','))
        .count()
}

#[test]
fn miniature_sets_are_as_they_should_be() {
    let place = Place::bare();
    let sets = sets(&place);
    for name in ["vad", "visa", "mvtec", "elpv-sample"] {
        let (code, told) = verify(&place, name, &sets);
        assert_eq!((code, told.contains("faulty")), (0, false), "{told}");
    }
    let message = expect(
        place.segad(&["data", "miniature", sets.to_str().unwrap()]),
        5,
    );
    assert!(message.contains("is not empty"), "{message}");
    let message = expect(
        place.segad(&["data", "verify", "elpv", "--data", "mini"]),
        3,
    );
    assert!(message.contains("no miniature of elpv"), "{message}");
}

#[test]
fn verify_names_every_fault() {
    let place = Place::bare();
    let sets = sets(&place);
    let visa = sets.join("visa");
    let cut = visa.join("cashew/Data/Images/Normal/002.JPG");
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    std::fs::remove_file(visa.join("candle/Data/Images/Normal/003.JPG")).unwrap();
    std::fs::write(visa.join("fryum/Data/Images/Anomaly/001.png"), &whole).unwrap();
    std::fs::remove_dir_all(visa.join("pcb4")).unwrap();
    let (code, told) = verify(&place, "visa", &sets);
    assert_eq!(code, 5, "{told}");
    for line in [
        "missing: candle/Data/Images/Normal/003.JPG",
        "good: 20 expected, 19 found",
        "unreadable: cashew/Data/Images/Normal/002.JPG",
        "extra: fryum/Data/Images/Anomaly/001.png",
        "fault:",
        "class pcb4 is missing",
        "pcb3: 40 images, complete",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }

    std::fs::write(
        sets.join("vad/low_shot_train.json"),
        r#"{"a": ["0024.png"]}"#,
    )
    .unwrap();
    std::fs::remove_dir_all(sets.join("vad/test/bad_unseen_defects")).unwrap();
    let (code, told) = verify(&place, "vad", &sets);
    assert!(
        code == 5 && told.contains("low_shot_train.json: 1 lists, expected 5"),
        "{told}"
    );
    assert!(
        told.contains("test bad_unseen: 6 expected, 0 found"),
        "{told}"
    );

    let labels = sets.join("elpv-sample/labels.csv");
    let list = std::fs::read_to_string(&labels).unwrap();
    let first = list.lines().next().unwrap();
    std::fs::write(&labels, format!("{list}{first}\n")).unwrap();
    let (code, told) = verify(&place, "elpv-sample", &sets);
    assert!(
        code == 5 && told.contains("line 109") && told.contains("is listed twice"),
        "{told}"
    );
}

#[test]
fn a_half_downloaded_class_leaves_the_others() {
    let place = Place::bare();
    let sets = sets(&place);
    std::fs::remove_dir_all(sets.join("mvtec/zipper/test")).unwrap();
    let cut = sets.join("mvtec/tile/test/good/001.png");
    std::fs::write(&cut, &std::fs::read(&cut).unwrap()[..100]).unwrap();
    let classes = "protocol = 'mvtec-supervised-20'\nclasses = ['bottle', 'tile', 'zipper']";
    let message = expect(run(&place, "mvtec", &sets, classes), 1);
    for part in ["tile/test/good/001.png", "truncated"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let table = std::fs::read_to_string(place.path("out/table.md")).unwrap();
    assert!(
        table.contains("zipper/test") && table.contains("data set is incomplete"),
        "{table}"
    );
    assert_eq!(
        ["bottle", "tile", "zipper"].map(|class| values(&place, class)),
        [8, 0, 0]
    );
}

#[test]
fn wrong_low_shot_lists_stop_only_what_needs_them() {
    let place = Place::bare();
    let sets = sets(&place);
    let lists = sets.join("vad/low_shot_train.json");
    let text = std::fs::read_to_string(&lists).unwrap();
    std::fs::write(&lists, text.replacen("0024.png", "9999.png", 1)).unwrap();
    let protocols = "protocols = ['vad-high-shot', 'vad-low-shot']";
    let message = expect(run(&place, "vad", &sets, protocols), 1);
    assert!(
        message.contains("low_shot_train.json") && message.contains("9999.png"),
        "{message}"
    );
    assert_eq!(
        ["vad-high-shot", "vad-low-shot"].map(|column| values(&place, column)),
        [8, 0]
    );
}

/// AUROC 50 and AP of the share of bad images look like results; equal scores have none.
#[test]
fn a_forest_without_a_split_has_a_reason_instead_of_numbers() {
    let place = Place::bare();
    let sets = sets(&place);
    let flat = |more: &[&str]| {
        let carpet = "classes = ['carpet']\nprotocol = 'mvtec-supervised-20'";
        let mut command = run(&place, "mvtec", &sets, carpet);
        command.args(["--set", "defaults.forest.min_child_weight=1000"]);
        command.args(more);
        command
    };
    let message = expect(flat(&[]), 0);
    let reason = "test images have the same score";
    let cause = "the forest found no split in 2 good and 20 bad training images";
    assert!(message.contains("warning: forest: 1 results"), "{message}");
    assert!(
        message.contains(reason) && message.contains(cause),
        "{message}"
    );
    for name in ["table.md", "report.html"] {
        let text = std::fs::read_to_string(place.path("out").join(name)).unwrap();
        assert!(text.contains(cause), "{name}: {text}");
    }
    for name in ["metrics.csv", "table.csv"] {
        let text = std::fs::read_to_string(place.path("out").join(name)).unwrap();
        let mut numbers = text
            .lines()
            .filter(|l| l.starts_with("forest,") && !l.contains(",,") && !l.ends_with(','));
        assert_eq!(numbers.next(), None, "{name}");
    }
    // Where nothing else can be measured, the run has failed.
    let message = expect(flat(&["--exclude", "max"]), 1);
    assert!(message.contains("no result could be measured"), "{message}");
    assert!(message.contains(cause), "{message}");
}
