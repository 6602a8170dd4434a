//! Segments that are made in cells: clusters of good images' features, and TorchScript modules.

use crate::support::{Place, expect, root};
use std::path::Path;
use std::process::Command;

const HEAD: &str = r#"
dataset = "elpv-sample"
protocols = ["elpv-high-shot", "elpv-low-shot-10"]
seeds = [333]
[detectors.patchcore]
backbone = "resnet18"
image_size = 64
"#;

fn row(name: &str, segments: &str) -> String {
    format!("[[row]]\nname = \"{name}\"\ndetectors = [\"patchcore\"]\nsegments = {segments}\n")
}

fn sweep(place: &Place, rows: &[String], out: &str, more: &[&str]) -> Command {
    let file = place.path("segments.toml");
    std::fs::write(&file, HEAD.to_owned() + &rows.concat()).unwrap();
    let mut command = place.segad(&[
        "sweep",
        file.to_str().unwrap(),
        "--data",
        "datasets/elpv-sample",
    ]);
    command
        .args(["--out", place.path(out).to_str().unwrap()])
        .args(more);
    command
}

fn module(place: &Place, name: &str) {
    let from = root().join(format!("crates/nn/tests/fixtures/{name}.pt"));
    std::fs::copy(from, place.path(&format!("{name}.pt"))).unwrap();
}

fn notes(place: &Place, out: &str) -> String {
    let text = std::fs::read_to_string(place.path(out).join("provenance.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value
        .get("notes")
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn clusters_are_learned_once_and_give_the_same_bytes() {
    let place = Place::new();
    let network = "backbone = \"resnet18\", image_size = 64, channels = 16, most = 4";
    let rows = [
        row("drawn", "\"elpv-mono\""),
        row(
            "clustered",
            &format!("{{ kind = \"clustered\", {network} }}"),
        ),
        row("maps alone", "{ kind = \"clustered\", segments = 3 }"),
        row(
            "per image",
            &format!("{{ kind = \"clustered\", mode = \"image\", size = 64, {network} }}"),
        ),
    ];
    let first = expect(sweep(&place, &rows, "a", &[]), 0);
    assert!(!first.contains(" 0 cells computed"), "{first}");
    let again = expect(sweep(&place, &rows, "b", &[]), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    let store = place.path("other");
    expect(
        sweep(
            &place,
            &rows,
            "c",
            &["--threads", "1", "--store", store.to_str().unwrap()],
        ),
        0,
    );
    let (mut a, mut c) = (place.results("a"), place.results("c"));
    assert_eq!(a, place.results("b"));
    a.remove("report.html");
    c.remove("report.html");
    assert_eq!(a, c);
    // Both protocols have the same good images, so clusters are fitted once a kind, and label maps
    // made once.
    let mut plan = place.segad(&[
        "plan",
        place.path("segments.toml").to_str().unwrap(),
        "--json",
    ]);
    let out = plan
        .args(["--data", "datasets/elpv-sample"])
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let named = |what: &str| {
        let cells = plan["cells"].as_array().unwrap().iter();
        cells
            .filter(|c| c["name"].as_str().unwrap().starts_with(what))
            .count()
    };
    assert_eq!(
        (named("fit segments"), named("maps segments")),
        (3, 1),
        "{plan}"
    );
}

#[test]
fn modules_of_both_interfaces_give_segments() {
    let place = Place::new();
    ["threshold", "efficient_sam"]
        .iter()
        .for_each(|m| module(&place, m));
    let promptable = |more: &str| {
        let table = format!(
            "kind = \"torchscript\", path = \"efficient_sam.pt\", interface = \"promptable\", size = 64{more}"
        );
        row("promptable", &format!("{{ {table} }}"))
    };
    let rows = [
        row(
            "logits",
            "{ kind = \"torchscript\", path = \"threshold.pt\", interface = \"logits\", normalise = \"unit\", input = 64, \
             size = 64, segments = [\"dark\", \"bright\"] }",
        ),
        // Many cells are dark: the module finds nothing in them, and that is allowed.
        promptable(", allow_empty = true"),
    ];
    expect(sweep(&place, &rows, "a", &[]), 0);
    let again = expect(sweep(&place, &rows, "b", &[]), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    assert_eq!(place.results("a"), place.results("b"));
    let shown = place.segad(&[
        "segments",
        "show",
        &format!(
            "{{ kind = \"torchscript\", path = {:?}, interface = \"logits\", normalise = \"unit\", segments = [\"dark\", \"bright\"] }}",
            place.path("threshold.pt")
        ),
        "datasets/elpv-sample/images/cell0907.png",
        "--out",
        place.path("seen.png").to_str().unwrap(),
    ]);
    let mut shown = shown;
    let out = shown.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success() && text.contains("dark: ") && text.contains("bright: "),
        "{text}"
    );
    assert!(place.path("seen.png").exists());
}

#[test]
fn wrong_modules_are_named() {
    let place = Place::new();
    ["threshold", "pair"].iter().for_each(|m| module(&place, m));
    let script = |path: &str, more: &str| {
        row(
            "m",
            &format!(
                "{{ kind = \"torchscript\", path = \"{path}\", interface = \"logits\", {more} }}"
            ),
        )
    };
    let message = expect(sweep(&place, &[script("gone.pt", "")], "a", &[]), 5);
    assert!(
        message.contains("gone.pt") && message.contains("no such file"),
        "{message}"
    );
    let message = expect(sweep(&place, &[script("pair.pt", "")], "a", &[]), 1);
    assert!(
        message.contains("pair.pt") && message.contains("did not give a tensor"),
        "{message}"
    );
    let three = "segments = [\"a\", \"b\", \"c\"]";
    let message = expect(sweep(&place, &[script("threshold.pt", three)], "a", &[]), 1);
    assert!(
        message.contains("expected logits [1, 3, h, w]"),
        "{message}"
    );
    std::fs::write(place.path("text.pt"), "no module").unwrap();
    let message = expect(sweep(&place, &[script("text.pt", "")], "a", &[]), 1);
    assert!(
        message.contains("text.pt") && message.contains("not a TorchScript archive"),
        "{message}"
    );
    let message = expect(
        sweep(&place, &[script("threshold.pt", "inptu = 3")], "a", &[]),
        3,
    );
    assert!(message.contains("inptu"), "{message}");
}

#[test]
fn clustered_segments_are_learned_and_shown() {
    let place = Place::new();
    let show = |table: &str, out: &str, more: &[&str]| {
        let out = place.path(out);
        let table = format!("{{ {table} }}");
        let image = "datasets/elpv-sample/images/cell0907.png";
        let mut command = place.segad(&[
            "segments",
            "show",
            &table,
            image,
            "--out",
            out.to_str().unwrap(),
        ]);
        command.args(more);
        command
    };
    let network =
        "kind = \"clustered\", backbone = \"resnet18\", image_size = 64, channels = 16, size = 64";
    let good = ["--good", "datasets/elpv-sample/images"];
    for mode in ["static", "image"] {
        let table = format!("{network}, mode = \"{mode}\", segments = 3");
        let run = |out: &str, more: &[&str]| {
            let output = show(&table, out, &[&good, more].concat()).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                crate::support::stderr(&output)
            );
            (
                String::from_utf8(output.stdout).unwrap(),
                std::fs::read(place.path(out)).unwrap(),
            )
        };
        let one = run("a.png", &[]);
        assert_eq!(one, run("b.png", &[]), "the same seed gives the same bytes");
        assert_ne!(one.1, run("c.png", &["--seed", "8"]).1);
        assert!(
            one.0.contains("cluster 1: ") && one.0.contains("experiments also use detectors' maps"),
            "{}",
            one.0
        );
        let json: serde_json::Value = serde_json::from_str(&run("d.png", &["--json"]).0).unwrap();
        assert_eq!(
            (&json["height"], &json["width"]),
            (&300.into(), &300.into())
        );
        let shares = json["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["fraction"].as_f64().unwrap());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9, "{json}");
    }
    let says = |table: &str, more: &[&str], code: i32, text: &str| {
        let message = expect(show(table, "e.png", more), code);
        assert!(message.contains(text), "{message}");
    };
    says(network, &[], 3, "--good");
    says("kind = \"clustered\"", &good, 3, "name a backbone");
    says(
        &network.replace("channels = 16", "channels = 0"),
        &good,
        3,
        "channels = 0: expected 1 to 4096",
    );
    says(
        "kind = \"foreground\"",
        &good,
        3,
        "only segments of kind clustered are learned",
    );
    says(
        network,
        &["--good", place.path("gone").to_str().unwrap()],
        5,
        "gone",
    );
    says(
        &network.replace("resnet18", "resnet50"),
        &good,
        3,
        "resnet50",
    );
}

#[test]
fn small_and_empty_segments_stand_in_the_provenance() {
    let place = Place::new();
    let shapes = "title = \"dots\"\nreference = { height = 64, width = 64 }\nsegments = [\"rest\", \"dot\", \"none\"]\n\
                  allow_empty = [\"none\"]\n[[shape]]\nsegment = \"dot\"\nkind = \"rectangle\"\nx = 10\ny = 10\nwidth = 5\nheight = 5\n";
    std::fs::write(place.path("dots.toml"), shapes).unwrap();
    let rows = [row("dots", "{ kind = \"static\", path = \"dots.toml\" }")];
    expect(sweep(&place, &rows, "a", &[]), 0);
    let notes = notes(&place, "a");
    assert!(
        notes.contains("\\\"dot\\\" has fewer than 64 pixels in the map"),
        "{notes}"
    );
    assert!(
        notes.contains("\\\"none\\\" is empty in the map"),
        "{notes}"
    );
    let page = std::fs::read_to_string(Path::new(&place.path("a/report.html"))).unwrap();
    assert!(page.contains("fewer than 64 pixels"));
}

#[test]
fn label_maps_of_the_wrong_size_or_with_unknown_labels_are_named() {
    let place = Place::new();
    let folder = place.path("masks/images");
    std::fs::create_dir_all(&folder).unwrap();
    let fill = |side: usize, value: u8| {
        let bytes = segad_imaging::npy::write_u8(
            &[side, side],
            &[vec![value], vec![0; side * side - 1]].concat(),
        )
        .unwrap();
        for image in std::fs::read_dir(root().join("datasets/elpv-sample/images")).unwrap() {
            let name = image.unwrap().path().with_extension("npy");
            std::fs::write(folder.join(name.file_name().unwrap()), &bytes).unwrap();
        }
    };
    let rows = [row(
        "masks",
        "{ kind = \"folder\", path = \"masks\", segments = [\"rest\", \"part\"] }",
    )];
    fill(32, 1);
    let message = expect(sweep(&place, &rows, "a", &[]), 1);
    assert!(
        message.contains("32×32 labels; expected 64×64") && message.contains(".npy"),
        "{message}"
    );
    fill(64, 7);
    let message = expect(sweep(&place, &rows, "a", &[]), 1);
    assert!(
        message.contains("label 7 at row 0, column 0; labels run from 0 to 1"),
        "{message}"
    );
    fill(64, 0);
    let message = expect(sweep(&place, &rows, "a", &[]), 1);
    assert!(message.contains("empty map"), "{message}");
    // Where empty maps are allowed, the provenance says what was made of them.
    let table =
        "kind = \"folder\", path = \"masks\", segments = [\"rest\", \"part\"], allow_empty = true";
    expect(
        sweep(&place, &[row("masks", &format!("{{ {table} }}"))], "b", &[]),
        0,
    );
    let notes = notes(&place, "b");
    assert!(notes.contains("\\\"part\\\" is empty in"), "{notes}");
    // A flat picture has no foreground.
    let rows = [row("fg", "{ kind = \"foreground\", threshold = 500.0 }")];
    let message = expect(sweep(&place, &rows, "a", &[]), 1);
    assert!(message.contains("empty foreground"), "{message}");
}
