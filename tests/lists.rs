//! What `fit` and `inspect --labelled` make of lists, masks and folders as people have them.

use crate::product::{fitted, plate, product};
use crate::support::{Place, expect};
use segad_core::{Image, Label};
use segad_product::{Card, Model};
use std::process::Command;

/// A fit of `data` in this place to `model.segad`, with a quick network.
fn fit(place: &Place, data: &str, more: &[&str]) -> Command {
    let [data, out] = [data, "model.segad"].map(|p| place.path(p));
    let mut command = place.segad(&["fit", "--backbone", "resnet18", "--image-size", "64"]);
    command.args(["--segments", "whole", "--folds", "3", "--threads", "2"]);
    command.arg(data).arg("--out").arg(out).args(more);
    command
}

/// What is said of labelled images.
fn labelled(place: &Place, data: &str, more: &[&str]) -> String {
    let [model, data] = ["model.segad", data].map(|p| place.path(p));
    let mut command = place.segad(&["inspect", "--labelled", "--threads", "2"]);
    command.arg(model).arg(data).args(more);
    expect(command, 0)
}

fn card(place: &Place) -> Card {
    Model::open(&place.path("model.segad"))
        .unwrap()
        .card()
        .clone()
}

fn last(text: &str) -> &str {
    text.lines().last().unwrap()
}

/// How many of the card's images of this label are on the wrong side, by scores out of fold.
fn wrong(card: &Card, label: Label) -> String {
    let own = card.images.iter().filter(|i| i.label == label);
    let called = own.map(|i| f64::from(i.score) >= card.operating.threshold);
    let wrong: Vec<bool> = called.map(|is_bad| is_bad != label.is_bad()).collect();
    let count = wrong.iter().filter(|w| **w).count();
    format!("{count} of {} {label} images", wrong.len())
}

#[test]
fn test_rows_of_a_table_train_nothing_and_labels_measure_out_of_fold() {
    let place = Place::new();
    product(&place.path("plates"));
    let plates = place.path("plates").canonicalize().unwrap();
    let row = |kind: &str, n: usize, is_train: bool, index: u8| {
        let split = if is_train { "train" } else { "test" };
        let folder = if index == 0 { "good" } else { "bad/scratch" };
        let path = plates.join(folder).join(format!("{n:02}.png"));
        format!("{};{index};{kind};{split}\n", path.display())
    };
    let head = "image_path;label_index;label;split\n";
    // Elsewhere than the images, as a data module writes it.
    let write = |name: &str, is_kept: fn(bool) -> bool| {
        let good = (0..14).map(|n| ("good", n, n < 12, 0));
        let bad = (0..4).map(|n| ("scratch", n, n < 3, 1));
        let rows = good
            .chain(bad)
            .filter(|(_, _, is_train, _)| is_kept(*is_train));
        let rows = rows.map(|(kind, n, is_train, index)| row(kind, n, is_train, index));
        let text = head.to_owned() + &rows.collect::<String>();
        std::fs::create_dir_all(place.path("lists")).unwrap();
        std::fs::write(place.path("lists").join(name), text).unwrap();
    };
    write("all.csv", |_| true);
    write("train.csv", |is_train| is_train);
    write("test.csv", |is_train| !is_train);

    let said = expect(fit(&place, "lists/all.csv", &[]), 0);
    assert!(
        said.contains("3 of 18 rows are marked test or val"),
        "{said}"
    );
    assert_eq!(
        last(&said),
        "18 seen: 15 fitted on, 0 refused, 3 left out (marked test or val)"
    );
    let card = card(&place);
    assert_eq!((card.data.good, card.data.bad), (12, 3));
    assert!(card.data.kinds.contains_key("scratch"));
    let trained = card.images.iter().map(|i| i.id.file_name());
    assert!(
        trained
            .clone()
            .all(|name| name != "12.png" && name != "13.png")
    );

    // On what it was fitted on, the figures are those of models that had not seen the image.
    let said = labelled(&place, "lists/train.csv", &[]);
    assert!(
        said.contains("the model was fitted on 15 of these 15 images"),
        "{said}"
    );
    for (what, label) in [("false alarms", Label::Good), ("misses", Label::Bad)] {
        let expected = format!("{what}: {}", wrong(&card, label));
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let said = labelled(&place, "lists/all.csv", &[]);
    assert!(
        said.contains("the model was fitted on 15 of these 18 images"),
        "{said}"
    );
    let said = labelled(&place, "lists/test.csv", &[]);
    assert!(!said.contains("fitted on"), "{said}");
}

#[test]
fn masks_beside_images_change_nothing() {
    let place = Place::new();
    product(&place.path("plates"));
    expect(fit(&place, "plates", &[]), 0);
    let without = std::fs::read(place.path("model.segad")).unwrap();
    let grey: Vec<u8> = (0..4096)
        .map(|i| if i % 64 < 9 { 255 } else { 0 })
        .collect();
    let mask = Image::from_grey(64, 64, &grey).unwrap();
    let mask = segad_imaging::encode_png(&mask).unwrap();
    for name in [
        "bad/scratch/00_mask.png",
        "bad/scratch/01-gt.png",
        "ground_truth/02.png",
    ] {
        let path = place.path("plates").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &mask).unwrap();
    }
    let said = expect(fit(&place, "plates", &[]), 0);
    assert!(
        said.contains("3 masks of defects beside the images are left out"),
        "{said}"
    );
    assert_eq!(
        last(&said),
        "21 seen: 18 fitted on, 0 refused, 3 left out (masks)"
    );
    assert!(std::fs::read(place.path("model.segad")).unwrap() == without);
    let said = labelled(&place, "plates", &[]);
    assert_eq!(
        last(&said),
        "21 seen: 18 judged, 0 refused, 3 left out (masks)"
    );
}

/// The interval of the false-alarm rate, in percent.
fn interval(said: &str) -> [f64; 2] {
    let line = said
        .lines()
        .find(|l| l.starts_with("false alarms: "))
        .unwrap();
    let (_, ends) = line.split_once("interval ").unwrap();
    let (low, high) = ends.trim_end_matches(" %)").split_once(" to ").unwrap();
    [low, high].map(|end| end.parse().unwrap())
}

#[test]
fn only_good_images_give_a_rate_of_false_alarms_and_groups_count_once() {
    let place = fitted();
    std::fs::create_dir_all(place.path("new/good")).unwrap();
    let mut list = "path,label,group\n".to_owned();
    for n in 0..10 {
        // Five prints of each of two photographs.
        let name = format!("good/{n}.png");
        std::fs::write(place.path("new").join(&name), plate(20 + n % 2, false)).unwrap();
        list.push_str(&format!("{name},good,lot 7\n"));
    }
    let said = labelled(&place, "new", &[]);
    assert!(said.contains(" of 10 good images, "), "{said}");
    assert!(
        said.contains("misses: unknown, without bad images"),
        "{said}"
    );
    assert!(
        said.contains("intervals count 2 groups of images"),
        "{said}"
    );
    // Clopper and Pearson's for 0, 1 or 2 of 2 begin or end beyond these; for 10 they do not.
    let [low, high] = interval(&said);
    assert!(high - low > 80.0, "{said}");

    std::fs::write(place.path("new/list.csv"), list).unwrap();
    let said = labelled(&place, "new/list.csv", &[]);
    assert!(
        said.contains("intervals count 1 groups of images"),
        "{said}"
    );
    let [low, high] = interval(&said);
    // One group tells next to nothing: 0 of 1 ends at 97.5 %.
    assert!(high - low > 97.0, "{said}");
}

#[test]
fn folders_may_have_any_names() {
    let place = Place::new();
    product(&place.path("plates"));
    let rename = |from: &str, to: &str| {
        std::fs::rename(
            place.path("plates").join(from),
            place.path("plates").join(to),
        )
        .unwrap();
    };
    rename("good", "OK");
    rename("bad", "NG");
    expect(fit(&place, "plates", &[]), 0);
    let usual = card(&place);
    assert_eq!((usual.data.good, usual.data.bad), (14, 4));
    assert!(usual.data.kinds.contains_key("scratch"));

    rename("OK", "whole");
    rename("NG/scratch", "scratched");
    let said = expect(fit(&place, "plates", &[]), 5);
    assert!(
        said.contains("--good and --bad name other folders"),
        "{said}"
    );
    let names = ["--good", "whole", "--bad", "scratched", "--bad", "NG"];
    let said = expect(fit(&place, "plates", &names), 0);
    assert_eq!(last(&said), "18 seen: 18 fitted on, 0 refused, 0 left out");
    let named = card(&place);
    assert_eq!(named.data.kinds.get("scratched"), Some(&4));
    let said = labelled(&place, "plates", &names);
    assert_eq!(last(&said), "18 seen: 18 judged, 0 refused, 0 left out");

    for (more, code, text) in [
        (
            &["--good", "none", "--bad", "NG"][..],
            3,
            "--good = none: expected the name of a folder",
        ),
        (
            &["--good", "NG/../NG", "--bad", "NG"],
            3,
            "--good = NG/../NG: expected",
        ),
        (
            &["--good", "NG", "--bad", "NG"],
            3,
            "--bad = NG: expected another folder than --good",
        ),
    ] {
        let said = expect(fit(&place, "plates", more), code);
        assert!(said.contains(text), "{said}");
    }
    let [model, data] = ["model.segad", "plates"].map(|p| place.path(p));
    let mut unlabelled = place.segad(&["inspect", "--good", "whole"]);
    unlabelled.arg(model).arg(data);
    let said = expect(unlabelled, 2);
    assert!(said.contains("--labelled"), "{said}");
}
