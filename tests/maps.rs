//! Maps that others computed: the reference run in `fixtures/segad_maps`, repeated; damaged
//! folders.

use crate::support::{Place, expect, root};
use segad_miniature::maps as generate;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// As in `make.py`.
const CLASSES: [generate::Class; 3] = [
    ("candle", 2, 24, 30, 40),
    ("pcb1", 6, 25, 31, 42),
    ("pcb2", 8, 26, 29, 38),
];
const SEEDS: [u64; 10] = [333, 576, 725, 823, 831, 902, 226, 598, 874, 589];
const SIZE: u32 = 64;
/// Names of the reference's rows, and ours.
const ROWS: [(&str, &str); 3] = [
    ("EfficientAD", "EfficientAD + Ours"),
    ("RD4AD", "RD4AD + Ours"),
    ("All AD", "All AD + Ours"),
];

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/segad_maps").join(name)
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap()
}

/// An experiment on the three classes.
fn reproduce(
    place: &Place,
    table: &str,
    maps: &Path,
    out: &str,
    more: &[&str],
) -> std::process::Command {
    let (maps, out) = (
        maps.to_str().unwrap().to_owned(),
        place.path(out).to_str().unwrap().to_owned(),
    );
    let classes = r#"classes=["candle","pcb1","pcb2"]"#;
    let mut args = vec![
        "reproduce",
        table,
        "--maps",
        &maps,
        "--out",
        &out,
        "--set",
        classes,
    ];
    args.extend(more);
    place.segad(&args)
}

fn csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn scores_and_metrics_are_those_of_the_python_reference() {
    let place = Place::bare();
    let maps = place.path("maps");
    let told = expected();
    let sums = generate::write(&maps, SIZE, &CLASSES).unwrap();
    for (name, sum) in sums {
        assert_eq!(
            told["sums"][&name],
            sum.to_string(),
            "{name}: the two generators give different maps"
        );
    }
    let store = place.path("store");
    let more = ["--threads", "2", "--store", store.to_str().unwrap()];
    let message = expect(reproduce(&place, "table5", &maps, "out", &more), 0);
    assert!(!message.contains("note:"), "{message}");
    compare_runs(&place.path("out"), &told);
    compare_features(&store);
    let again = expect(reproduce(&place, "table5", &maps, "again", &more), 0);
    assert!(again.contains("0 cells computed"), "{again}");
    let both = segad_store::read_scores(&place.path("out/scores.parquet")).unwrap();
    let listed = csv(&place.path("out/scores.csv"));
    assert_eq!(both.len(), listed.len());
    for (a, b) in both.iter().zip(&listed) {
        let text = (
            a.filepath.as_str(),
            a.label.to_string(),
            a.seed.to_string(),
            a.row.as_str(),
        );
        assert_eq!(
            text,
            (
                &*b["filepath"],
                b["label"].clone(),
                b["seed"].clone(),
                &*b["row"]
            )
        );
        assert_eq!(
            a.score.to_bits(),
            b["score"].parse::<f32>().unwrap().to_bits()
        );
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let place = Place::bare();
    let maps = place.path("maps");
    generate::write(&maps, SIZE, &CLASSES).unwrap();
    for threads in ["1", "2"] {
        let store = place.path(&format!("store{threads}"));
        let more = [
            "--threads",
            threads,
            "--set",
            "seeds=[333]",
            "--store",
            store.to_str().unwrap(),
        ];
        expect(
            reproduce(&place, "table5", &maps, &format!("out{threads}"), &more),
            0,
        );
    }
    for file in [
        "metrics.csv",
        "scores.csv",
        "scores.parquet",
        "table.csv",
        "table.json",
        "table.md",
        "table.tex",
    ] {
        let [one, two] =
            ["out1", "out2"].map(|out| std::fs::read(place.path(out).join(file)).unwrap());
        assert!(one == two, "{file}");
    }
}

/// Splits, scores (to the last bit) and metrics, for every class, seed and row.
fn compare_runs(out: &Path, told: &Value) {
    let mut ours: BTreeMap<(String, String, u64), BTreeMap<String, u32>> = BTreeMap::new();
    for s in csv(&out.join("scores.csv")) {
        let key = (
            s["row"].clone(),
            s["class"].clone(),
            s["seed"].parse().unwrap(),
        );
        ours.entry(key).or_default().insert(
            s["filepath"].clone(),
            s["score"].parse::<f32>().unwrap().to_bits(),
        );
    }
    let metrics: BTreeMap<_, f64> = csv(&out.join("metrics.csv"))
        .into_iter()
        .map(|m| {
            let key = (
                m["row"].clone(),
                m["class"].clone(),
                m["seed"].parse::<u64>().unwrap(),
                m["metric"].clone(),
            );
            (key, m["value"].parse().unwrap())
        })
        .collect();
    let same_metrics = |row: &str, class: &str, seed: u64, told: &Value| {
        for (i, metric) in ["cl_auroc", "fpr95tpr"].iter().enumerate() {
            let key = (row.to_owned(), class.to_owned(), seed);
            let (good, bad): (Vec<_>, Vec<_>) =
                ours[&key].iter().partition(|s| s.0.contains("/good/"));
            let [good, bad] =
                [good, bad].map(|s| s.iter().map(|s| f32::from_bits(*s.1)).collect::<Vec<_>>());
            let value = metric.parse::<segad_metrics::Metric>().unwrap();
            let a = value.percent(&segad_metrics::Scores::split(&good, &bad).unwrap());
            let b = told[i].as_f64().unwrap();
            assert!(
                (a - b).abs() < 1e-11,
                "{row} {class} {seed} {metric}: {a}, reference {b}"
            );
            // The file is written with six digits.
            let written = metrics[&(key.0, key.1, seed, metric.to_string())];
            assert!(
                (written - b).abs() < 5.1e-7,
                "{row} {class} {seed} {metric}: {written}, reference {b}"
            );
        }
    };
    let mut scores = floats("scores.f32").into_iter();
    let mut compared = 0;
    for (class, ..) in CLASSES {
        let runs = told["classes"][class].as_array().unwrap();
        let tests: BTreeMap<u64, Vec<&str>> = (runs.iter().filter(|r| r["test"].is_array()))
            .map(|r| (r["seed"].as_u64().unwrap(), strings(&r["test"])))
            .collect();
        assert_eq!(tests.len(), SEEDS.len());
        for run in runs {
            let (row, seed) = (run["row"].as_str().unwrap(), run["seed"].as_u64().unwrap());
            let (alone, name) = ROWS.iter().find(|r| r.0 == row).unwrap();
            let ours = &ours[&(name.to_string(), class.to_owned(), seed)];
            assert_eq!(
                ours.len(),
                tests[&seed].len(),
                "{name} {class} {seed}: number of test images"
            );
            for id in &tests[&seed] {
                let reference = scores.next().unwrap();
                let bits = ours
                    .get(*id)
                    .unwrap_or_else(|| panic!("{name} {class} {seed}: {id} is not tested"));
                assert_eq!(
                    f32::from_bits(*bits),
                    reference,
                    "{name} {class} {seed} {id}"
                );
                assert_eq!(*bits, reference.to_bits(), "{name} {class} {seed} {id}");
                compared += 1;
            }
            same_metrics(name, class, seed, &run["metrics"]);
            if run["detector"].is_array() {
                same_metrics(alone, class, seed, &run["detector"]);
            }
        }
    }
    assert_eq!((compared, scores.next()), (5400, None));
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect()
}

/// Every feature, to the last bit of its `f32`; missing ones are missing in both.
fn compare_features(store: &Path) {
    let mut tables = Vec::new();
    for entry in segad_store::Store::open_read_only(store)
        .unwrap()
        .ls()
        .unwrap()
    {
        if entry.id.kind == segad_core::CellKind::Features {
            let store = segad_store::Store::open_read_only(store).unwrap();
            let cell = store.entry(entry.id.kind, &entry.id.key).unwrap().unwrap();
            tables
                .push(segad_store::read_features(&cell.path("features.parquet").unwrap()).unwrap());
        }
    }
    assert_eq!(tables.len(), 9);
    let all = floats("features.f32");
    let (mut start, mut absent, mut constant) = (0, 0, 0);
    for (class, segments, train, good, bad) in CLASSES {
        for model in generate::MODELS {
            let last = format!("{model}/max");
            let own = |t: &&segad_core::FeatureTable| {
                t.ids()[0].as_str().starts_with(class) && t.names().contains(&last)
            };
            // The row of one detector, and the same numbers within that of both.
            let with: Vec<_> = tables.iter().filter(own).collect();
            assert_eq!(with.len(), 2);
            let columns = 4 * segments as usize + 1;
            let rows = (train + good + bad) as usize;
            let reference = &all[start..start + rows * columns];
            start += rows * columns;
            for table in with {
                let table = table.select_columns(|n| n.split('/').any(|part| part == model));
                assert_eq!((table.rows(), table.columns()), (rows, columns));
                for (i, (a, b)) in table.values().iter().zip(reference).enumerate() {
                    let place = || {
                        format!(
                            "{}, {}",
                            table.ids()[i / columns],
                            table.names()[i % columns]
                        )
                    };
                    assert!(
                        a == b || (a.is_nan() && b.is_nan()),
                        "{}: {a}, reference {b}",
                        place()
                    );
                }
            }
            constant += reference.iter().filter(|v| v.is_nan()).count();
            absent += reference.iter().filter(|v| **v == 0.0).count();
        }
    }
    assert_eq!(start, all.len());
    assert!(
        absent > 100 && constant > 100,
        "{absent} zeros of absent segments, {constant} missing shapes"
    );
}

/// A small set whose maps are 16 × 16.
fn small(place: &Place) -> PathBuf {
    let maps = place.path("maps");
    generate::write(&maps, 16, &[("candle", 2, 5, 6, 14), ("pcb1", 6, 5, 6, 14)]).unwrap();
    maps
}

fn import(place: &Place, maps: &Path) -> std::process::Command {
    place.segad(&["import", "maps", maps.to_str().unwrap()])
}

#[test]
fn damage_is_named_with_file_and_row_and_the_rest_is_kept() {
    use segad_imaging::npy::{write_f32, write_u8};
    let bad = "anomaly_maps/rd4ad/pcb1/anomaly_maps/bad/003.npy";
    let mask = "visa_segm/pcb1/bad/003.npy";
    let list = "anomaly_maps/rd4ad/pcb1/df_test.csv";
    let map = |edit: &dyn Fn(&mut Vec<f32>)| {
        let mut values = vec![0.5; 256];
        edit(&mut values);
        write_f32(&[16, 16], &values).unwrap()
    };
    let object = |path: &Path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        drop(text);
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(
            format!(
                "{:<117}\n",
                "{'descr': '|O', 'fortran_order': False, 'shape': (16, 16), }"
            )
            .bytes(),
        );
        bytes.extend(b"\x80\x04\x95cos\nsystem\n");
        bytes
    };
    type Damage<'a> = (
        &'a str,
        &'a str,
        Box<dyn Fn(&Path) -> Vec<u8> + 'a>,
        Vec<&'a str>,
        usize,
    );
    let read = |p: &Path| std::fs::read_to_string(p).unwrap();
    let cases: Vec<Damage<'_>> = vec![
        (
            "truncated",
            bad,
            Box::new(|p| std::fs::read(p).unwrap()[..700].to_vec()),
            vec!["truncated npy", "003.npy", "df_test.csv, row 5"],
            3,
        ),
        (
            "empty",
            bad,
            Box::new(|_| Vec::new()),
            vec!["empty", "003.npy", "row 5"],
            3,
        ),
        (
            "object",
            bad,
            Box::new(object),
            vec!["Python objects", "003.npy", "row 5"],
            3,
        ),
        (
            "nan",
            bad,
            Box::new(|_| map(&|v| v[17] = f32::NAN)),
            vec!["NaN at row 1, column 1", "003.npy", "row 5"],
            3,
        ),
        (
            "infinite",
            bad,
            Box::new(|_| map(&|v| v[0] = f32::INFINITY)),
            vec!["inf at row 0, column 0", "003.npy", "row 5"],
            3,
        ),
        (
            "other size",
            bad,
            Box::new(|_| write_f32(&[8, 16], &[0.5; 128]).unwrap()),
            vec!["8×16", "16×16", "row 5"],
            3,
        ),
        (
            "mask size",
            mask,
            Box::new(|_| write_u8(&[8, 16], &[0; 128]).unwrap()),
            vec!["8×16", "16×16", "003.npy", "row 5"],
            4,
        ),
        (
            "label",
            mask,
            Box::new(|_| write_u8(&[16, 16], &[6; 256]).unwrap()),
            vec!["label 6", "0 to 5", "003.npy", "row 5"],
            4,
        ),
        (
            "twice",
            list,
            Box::new(|p| read(p).replace("001.JPG", "000.JPG").into_bytes()),
            vec![
                "000.JPG is listed twice",
                "row 3",
                "first in df_test.csv, row 2",
            ],
            3,
        ),
        (
            "two lists",
            list,
            Box::new(|p| {
                read(p)
                    .replace("/good/005", "/good/001")
                    .replace("/good/010", "/good/001")
                    .into_bytes()
            }),
            vec!["good/001", "df_test.csv, row"],
            3,
        ),
        (
            "column",
            list,
            Box::new(|p| read(p).replacen(",label,", ",lable,", 1).into_bytes()),
            vec![
                "column label is missing",
                "row 1",
                "lable",
                "rd4ad/pcb1/df_test.csv",
            ],
            3,
        ),
        (
            "label text",
            list,
            Box::new(|p| {
                read(p)
                    .replacen("/bad/002.npy,1,", "/bad/002.npy,maybe,", 1)
                    .into_bytes()
            }),
            vec!["\"maybe\"", "df_test.csv, row 4"],
            3,
        ),
        (
            "ragged",
            list,
            Box::new(|p| {
                read(p)
                    .replacen("/bad/002.npy,1,", "/bad/002.npy,", 1)
                    .into_bytes()
            }),
            vec!["df_test.csv, row 4"],
            3,
        ),
        (
            "other images",
            list,
            Box::new(|p| {
                read(p)
                    .lines()
                    .filter(|l| !l.contains("bad/013"))
                    .map(|l| format!("{l}\n"))
                    .collect::<String>()
                    .into_bytes()
            }),
            vec![
                "efficient_ad lists pcb1/test/bad/013.JPG",
                "df_test.csv, row 15",
            ],
            3,
        ),
    ];
    for (name, file, damage, words, kept) in cases {
        let place = Place::bare();
        let maps = small(&place);
        let path = maps.join(file);
        std::fs::write(&path, damage(&path)).unwrap();
        let message = expect(import(&place, &maps), 5);
        for word in words {
            assert!(
                message.contains(word),
                "{name}: {word:?} is not in\n{message}"
            );
        }
        let stored = segad_store::Store::open_read_only(&place.path("cache/store"))
            .unwrap()
            .ls()
            .unwrap()
            .len();
        assert_eq!(stored, kept, "{name}: {message}");
        // It is found again, not forgotten; and mended, it is imported.
        expect(import(&place, &maps), 5);
        std::fs::remove_dir_all(&maps).unwrap();
        small(&place);
        let output = import(&place, &maps).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            crate::support::stderr(&output)
        );
        assert!(
            text.contains(&format!("{} lists stored", 4 - kept)),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_map_that_a_list_names_and_is_not_there_is_named() {
    let place = Place::bare();
    let maps = small(&place);
    for file in [
        "anomaly_maps/rd4ad/candle/anomaly_maps/good/001.npy",
        "visa_segm/pcb1/bad/002.npy",
    ] {
        std::fs::remove_file(maps.join(file)).unwrap();
    }
    let message = expect(import(&place, &maps), 5);
    assert!(
        message.contains("rd4ad/candle/df_training.csv, row"),
        "{message}"
    );
    assert!(message.contains("good/001.npy does not exist"), "{message}");
    assert!(
        message.contains("pcb1/df_test.csv, row 4")
            && message.contains("visa_segm/pcb1/bad/002.npy"),
        "{message}"
    );
}

#[test]
fn what_is_missing_stays_in_the_table() {
    let place = Place::bare();
    let maps = small(&place);
    std::fs::write(
        maps.join("anomaly_maps/rd4ad/pcb1/anomaly_maps/bad/003.npy"),
        b"not npy",
    )
    .unwrap();
    let message = expect(
        reproduce(&place, "table8", &maps, "out", &["--profile", "smoke"]),
        5,
    );
    assert!(
        message.contains("003.npy") && message.contains("pcb2"),
        "{message}"
    );
    let table = csv(&place.path("out/table.csv"));
    let verdict = |row: &str, class: &str| {
        let found = table
            .iter()
            .find(|t| t["row"] == row && t["class"] == class);
        found.unwrap_or_else(|| panic!("no line for {row}, {class}"))["verdict"].clone()
    };
    for (row, class, failed) in [
        ("EfficientAD + Ours", "candle", false),
        ("EfficientAD + Ours", "pcb1", false),
        ("EfficientAD", "pcb1", false),
        ("RD4AD", "pcb1", true),
        ("RD4AD + Ours", "pcb1", true),
        ("All AD + Ours", "pcb1", true),
        ("All AD + Ours", "candle", false),
        ("EfficientAD + Ours", "pcb2", true),
        ("RD4AD", "pcb2", true),
    ] {
        assert_eq!(verdict(row, class) == "failed", failed, "{row} {class}");
    }
    // Without maps, the table is made from images, which are not here.
    let message = expect(place.segad(&["reproduce", "table8"]), 5);
    assert!(message.contains("cargo xtask fetch visa"), "{message}");
}

#[test]
fn maps_of_any_program_are_scored() {
    use segad_imaging::npy::write_f32;
    let place = Place::bare();
    let dir = place.path("mine");
    let mut list = "path,label,type,split\n".to_owned();
    let mut records = Vec::new();
    for i in 0..40u32 {
        let (label, part) = (
            if i % 2 == 0 { "good" } else { "bad" },
            if i % 2 == 0 && i < 20 {
                "train"
            } else {
                "test"
            },
        );
        let path = format!("{label}/{i:02}.png");
        list.push_str(&format!("{path},{label},,{part}\n"));
        let labels = generate::mask(0, i, 2, 16);
        let values = generate::map(0, i + 1000 * (i % 2), 0, &labels, 16);
        let id = segad_core::ImageId::new(path.clone());
        let map = segad_core::AnomalyMap::new(16, 16, values.clone()).unwrap();
        let label = label.parse().unwrap();
        records.push(segad_store::MapRecord {
            id,
            label,
            group: "x".into(),
            split: part.into(),
            map,
        });
        let npy = write_f32(&[16, 16], &values).unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("arr_0.npy", zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, &npy).unwrap();
        for (model, extension, bytes) in [
            ("npy", "npy", npy.clone()),
            ("npz", "npz", zip.finish().unwrap().into_inner()),
        ] {
            let file = dir
                .join("maps")
                .join(model)
                .join(&path)
                .with_extension(extension);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
        let file = dir.join("masks").join(&path).with_extension("npy");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(
            file,
            segad_imaging::npy::write_u8(&[16, 16], &labels).unwrap(),
        )
        .unwrap();
    }
    std::fs::write(dir.join("images.csv"), list).unwrap();
    let segments = "default = { kind = \"folder\", path = \"masks\", segments = [\"left\", \"right\"], allow_empty = true }\n";
    std::fs::write(dir.join("segments.toml"), segments).unwrap();
    std::fs::create_dir_all(dir.join("maps/parquet")).unwrap();
    records.reverse();
    let mut writer =
        segad_store::MapsWriter::create(&dir.join("maps/parquet/all.parquet"), 16, 16).unwrap();
    records.iter().for_each(|r| writer.push(r).unwrap());
    writer.finish().unwrap();
    let mut experiment =
        "title = 'mine'\ndataset = 'mine'\nprotocol = 'segad-maps'\nseeds = [1]\n".to_owned();
    for model in ["npy", "npz", "parquet"] {
        experiment.push_str(&format!(
            "[detectors.{model}]\nkind = 'imported'\nmodel = '{model}'\n"
        ));
    }
    for model in ["npy", "npz", "parquet"] {
        experiment.push_str(&format!(
            "[[row]]\nname = '{model}'\ndetectors = ['{model}']\n"
        ));
    }
    let file = place.path("mine.toml");
    std::fs::write(&file, experiment).unwrap();
    let out = place.path("out");
    let args = [
        "sweep",
        file.to_str().unwrap(),
        "--maps",
        dir.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    expect(place.segad(&args), 0);
    let scores = csv(&out.join("scores.csv"));
    let of = |row: &str| -> Vec<(String, String)> {
        scores
            .iter()
            .filter(|s| s["row"] == row)
            .map(|s| (s["filepath"].clone(), s["score"].clone()))
            .collect()
    };
    assert_eq!(of("npy").len(), 20); // 40 images less 10 training good and 10 bad
    assert_eq!(of("npy"), of("npz"));
    assert_eq!(of("npy"), of("parquet"));
}
