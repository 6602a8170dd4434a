//! From a folder to a model file, and from images to verdicts, through the binary.

use crate::support::{Place, expect};
use segad_core::Image;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A plate with a hole; bad ones have a scratch.
pub(crate) fn plate(n: usize, bad: bool) -> Vec<u8> {
    let pixel = |i: usize| {
        let (y, x) = (i / 64, i % 64);
        let noise = ((x * 7 + y * 13 + n * 31) * 2_654_435_761 % 97 % 9) as u8;
        match (
            bad && y.abs_diff(8 + n) < 2 && (10..40).contains(&x),
            y.abs_diff(40) + x.abs_diff(40) < 10,
        ) {
            (true, _) => 250,
            (_, true) => 30,
            _ => 110 + noise,
        }
    };
    let grey: Vec<u8> = (0..4096).map(pixel).collect();
    segad_imaging::encode_png(&Image::from_grey(64, 64, &grey).unwrap()).unwrap()
}

pub(crate) fn product(folder: &Path) {
    for (name, bad, count) in [("good", false, 14), ("bad/scratch", true, 4)] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for n in 0..count {
            std::fs::write(folder.join(name).join(format!("{n:02}.png")), plate(n, bad)).unwrap();
        }
    }
}

/// A place with a product and its model.
pub(crate) fn fitted() -> Place {
    let place = Place::new();
    product(&place.path("plates"));
    fit(&place, "model.segad", &["--threads", "2"], 0);
    place
}

fn fit(place: &Place, out: &str, more: &[&str], code: i32) -> String {
    expect(fit_command(place, out, more), code)
}

/// What a command that succeeds prints.
fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fit_command(place: &Place, out: &str, more: &[&str]) -> Command {
    let (data, out) = (place.path("plates"), place.path(out));
    let mut args = vec![
        "fit",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    args.extend([
        "--backbone",
        "resnet18",
        "--image-size",
        "64",
        "--folds",
        "3",
    ]);
    args.extend(more);
    place.segad(&args)
}

fn lines(output: &[u8]) -> Vec<serde_json::Value> {
    String::from_utf8_lossy(output)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn a_folder_becomes_a_model_and_images_get_verdicts() {
    let place = fitted();
    let model = place.path("model.segad");
    let model = model.to_str().unwrap();
    let told = printed(fit_command(
        &place,
        "again.segad",
        &["--threads", "1", "--audit"],
    ));
    for part in [
        "count groups of images: 14 with good images, 4 with bad ones",
        "With any one group left out",
        "No interval covers images unlike these",
        "Audit: 300 samples",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(std::fs::read(model).unwrap() == std::fs::read(place.path("again.segad")).unwrap());

    // A folder with a file that is no picture: a record, not an end.
    let images = place.path("images");
    std::fs::create_dir_all(images.join("more")).unwrap();
    std::fs::write(images.join("a.png"), plate(20, false)).unwrap();
    std::fs::write(images.join("b.png"), b"no picture").unwrap();
    std::fs::write(images.join("more/c.png"), plate(3, true)).unwrap();
    let run = |more: &[&str]| {
        let mut args = vec!["inspect", model, images.to_str().unwrap(), "--json"];
        args.extend(more);
        place.segad(&args).output().unwrap()
    };
    let one = run(&["--threads", "1"]);
    assert_eq!(one.status.code(), Some(1));
    let records = lines(&one.stdout);
    let names: Vec<&str> = records
        .iter()
        .map(|r| r["path"].as_str().unwrap())
        .collect();
    assert!(
        names[0].ends_with("a.png")
            && names[1].ends_with("b.png")
            && names[2].ends_with("more/c.png")
    );
    assert!(records[1]["error"].as_str().unwrap().contains("PNG") && records[1]["score"].is_null());
    assert!(records[2]["score"].as_f64() > records[0]["score"].as_f64());
    assert!(matches!(
        records[2]["verdict"].as_str(),
        Some("good" | "bad")
    ));
    assert_eq!(run(&["--threads", "2"]).stdout, one.stdout);
    let wide = lines(&run(&["--latency"]).stdout);
    for (a, b) in records
        .iter()
        .zip(&wide)
        .filter(|(a, _)| a["error"].is_null())
    {
        let apart = a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap();
        assert!(apart.abs() <= 1e-5, "{a} {b}");
    }

    // Pictures and Parquet.
    let (pictures, table) = (place.path("pictures"), place.path("verdicts.parquet"));
    run(&[
        "--pictures",
        pictures.to_str().unwrap(),
        "--out",
        table.to_str().unwrap(),
    ]);
    assert!(
        table.exists() && pictures.join("a.png").exists() && pictures.join("more/c.png").exists()
    );
    assert!(!pictures.join("b.png").exists());

    // Frames one behind the other, and paths, on standard input.
    let piped = |input: &[u8]| {
        let mut command = place.segad(&["inspect", model, "-", "--json"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        lines(&child.wait_with_output().unwrap().stdout)
    };
    let frames = piped(&[plate(20, false), plate(3, true)].concat());
    assert_eq!((frames.len(), &frames[0]["path"]), (2, &"frame 0".into()));
    assert_eq!(frames[0]["score"], records[0]["score"]);
    assert_eq!(frames[1]["score"], records[2]["score"]);
    let listed = piped(format!("{}\n", images.join("a.png").display()).as_bytes());
    assert_eq!(listed, [records[0].clone()]);
}

#[test]
fn a_list_may_hold_any_name() {
    let place = fitted();
    let model = place.path("model.segad");
    let odd = place
        .path("images")
        .join(OsStr::from_bytes(b"caf\xe9 .png"));
    std::fs::create_dir_all(place.path("images")).unwrap();
    std::fs::write(&odd, plate(20, false)).unwrap();
    let plain = place.path("plates/good/00.png");
    let mut child = place
        .segad(&["inspect", model.to_str().unwrap(), "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = [
        odd.as_os_str().as_bytes(),
        b"\r\n\n",
        plain.as_os_str().as_bytes(),
    ]
    .concat();
    child.stdin.take().unwrap().write_all(&list).unwrap();
    let output = child.wait_with_output().unwrap();
    let records = lines(&output.stdout);
    assert_eq!((output.status.code(), records.len()), (Some(0), 2));
    assert!(
        records.iter().all(|r| r["score"].is_number()),
        "{records:?}"
    );
}

#[test]
fn results_go_where_the_name_says() {
    let place = fitted();
    let model = place.path("model.segad");
    let images = place.path("plates/bad");
    let inspect = |out: &str, code: i32| {
        let out = place.path(out);
        let args = [
            "inspect",
            model.to_str().unwrap(),
            images.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        expect(place.segad(&args), code)
    };
    let message = inspect("verdicts.txt", 3);
    assert!(message.contains(".jsonl, .csv or .parquet"), "{message}");
    assert!(!place.path("verdicts.txt").exists());
    inspect("verdicts.csv", 0);
    let mut table = csv::Reader::from_path(place.path("verdicts.csv")).unwrap();
    assert_eq!(&table.headers().unwrap()[0], "path");
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(
            row[0].ends_with(".png") && row[1].parse::<f32>().is_ok(),
            "{row:?}"
        );
    }
}

#[test]
fn pictures_replace_neither_images_nor_each_other() {
    let place = fitted();
    let model = place.path("model.segad");
    let good = place.path("plates/good");
    let image = good.join("00.png");
    let before = std::fs::read(&image).unwrap();
    let inspect = |paths: &[&Path], pictures: &Path, code: i32| {
        let mut command = place.segad(&["inspect", model.to_str().unwrap(), "--json"]);
        command.args(paths).arg("--pictures").arg(pictures);
        let output = command.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        (lines(&output.stdout), message)
    };
    for inside in [good.clone(), good.join("pictures")] {
        let (records, message) = inspect(&[&good], &inside, 3);
        assert!(
            records.is_empty() && message.contains("outside"),
            "{message}"
        );
    }
    let (records, _) = inspect(&[&image], &good, 1);
    assert!(records[0]["score"].is_number(), "{records:?}");
    let warning = records[0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("among the inspected images"), "{warning}");
    assert_eq!(std::fs::read(&image).unwrap(), before);
    // Both are called 00.png.
    let other = place.path("plates/bad/scratch");
    let (records, _) = inspect(&[&good, &other], &place.path("pictures"), 1);
    let refused = records.iter().filter(|r| r["warnings"].is_array()).count();
    assert_eq!((records.len(), refused), (18, 4));
    assert!(records.iter().all(|r| r["score"].is_number()));
    // The reason is in every format, not only in JSON.
    let table = place.path("verdicts.csv");
    let mut command = place.segad(&["inspect", model.to_str().unwrap()]);
    command.arg(&image).arg("--pictures").arg(&good);
    command.arg("--out").arg(&table);
    expect(command, 1);
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.contains("among the inspected images"), "{text}");
    // A file where the folder should be.
    let (records, _) = inspect(&[&image], &model, 1);
    assert!(records[0]["score"].is_number() && records[0]["warnings"].is_array());
}

#[test]
fn an_interrupted_inspection_does_not_look_complete() {
    let place = fitted();
    let images = place.path("images");
    std::fs::create_dir_all(&images).unwrap();
    for n in 0..600 {
        let from = place.path(&format!("plates/good/{:02}.png", n % 14));
        std::fs::hard_link(from, images.join(format!("{n}.png"))).unwrap();
    }
    let outputs = place.path("outputs");
    std::fs::create_dir_all(&outputs).unwrap();
    let out = outputs.join("all.jsonl");
    let model = place.path("model.segad");
    let folder = images.to_str().unwrap();
    let mut child = place
        .segad(&["inspect", model.to_str().unwrap(), folder])
        .args(["--threads", "1", "--out", out.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || {
        let mut files = std::fs::read_dir(&outputs).unwrap();
        files.any(|f| f.unwrap().metadata().is_ok_and(|m| m.len() > 0))
    };
    while !begun() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("of 600 images"), "{message}");
    assert!(!out.exists(), "what lacks images has no complete name");
    let partial = std::fs::read(outputs.join("all.jsonl.partial")).unwrap();
    assert!((1..600).contains(&lines(&partial).len()));
}

/// Whether a process has a handler for SIGINT.
fn catches_ctrl_c(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
    u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & 2 != 0
}

#[test]
fn a_stop_does_not_wait_for_standard_input() {
    let place = fitted();
    let model = place.path("model.segad");
    let image = place.path("plates/good/00.png");
    for list in [String::new(), format!("{}\n", image.display())] {
        let mut command = place.segad(&["inspect", model.to_str().unwrap(), "-", "--json"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Stays open, as that of somebody who types.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(list.as_bytes()).unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        if !list.is_empty() {
            stdout.read_line(&mut first).unwrap();
        }
        while !catches_ctrl_c(child.id()) {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(20));
        }
        let kill = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let since = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(since.elapsed() < Duration::from_secs(10));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        let judged = usize::from(!list.is_empty());
        assert!(
            said.contains(&format!("stopped after {judged} images")),
            "{said}"
        );
        drop(stdin);
    }
}

/// The PNG with a chunk more, before its end chunk.
fn with_orientation(png: &[u8], orientation: u8) -> Vec<u8> {
    let mut chunk = b"eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    chunk.extend([orientation, 0, 0, 0, 0, 0, 0]);
    // CRC-32 as PNG defines it.
    let mut crc = u32::MAX;
    for &byte in &chunk {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    let (picture, end) = png.split_at(png.len() - 12);
    let length = (chunk.len() as u32 - 4).to_be_bytes();
    [picture, &length, &chunk, &(!crc).to_be_bytes(), end].concat()
}

#[test]
fn images_are_read_as_the_model_was_fitted() {
    let place = fitted();
    let images = place.path("images");
    std::fs::create_dir(&images).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(images.join(name), bytes).unwrap();
    // Turned by a quarter to the right, and stating that.
    let upright = segad_imaging::decode(&plate(2, true)).unwrap();
    let mut stored = Vec::new();
    for (y, x) in (0..64).flat_map(|y| (0..64).map(move |x| (y, x))) {
        stored.extend(upright.pixel(x, 63 - y).unwrap());
    }
    let stored = Image::from_rgb(64, 64, stored).unwrap();
    write("a.png", &plate(2, true));
    write(
        "b.png",
        &with_orientation(&segad_imaging::encode_png(&stored).unwrap(), 6),
    );
    write("c.png", &segad_imaging::encode_png(&stored).unwrap());
    let wide = Image::from_grey(10, 300, &[110; 3000]).unwrap();
    write("d.png", &segad_imaging::encode_png(&wide).unwrap());
    let model = place.path("model.segad");
    let inspect = |model: &Path| {
        let paths = [model, &images].map(|p| p.to_str().unwrap());
        let run = place
            .segad(&["inspect", paths[0], paths[1], "--json"])
            .output();
        let run = run.unwrap();
        (run.status.code(), lines(&run.stdout))
    };
    let (code, records) = inspect(&model);
    assert_eq!(code, Some(0), "warnings are not failures: {records:?}");
    assert_eq!(
        records[0]["score"], records[1]["score"],
        "as every viewer shows it"
    );
    assert_ne!(records[0]["score"], records[2]["score"]);
    let warning = records[3]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("unusual aspect: 10×300"), "{warning}");
    assert!(records[0].get("warnings").is_none());
    let card = segad_product::Model::open(&model).unwrap().card().clone();
    assert!(card.summary().contains("EXIF orientation applied"));
}

#[test]
fn sixteen_bits_are_scaled_as_fit_was_told() {
    let place = Place::new();
    product(&place.path("plates"));
    // The same plates as a camera of 12 bits gives them.
    let deep = |png: &[u8], gain: u16| {
        let image = segad_imaging::decode(png).unwrap();
        let mut pgm = b"P5 64 64 65535\n".to_vec();
        let values = image.rgb().iter().step_by(3);
        pgm.extend(values.flat_map(|&v| (u16::from(v) * gain).to_be_bytes()));
        pgm
    };
    for folder in ["good", "bad/scratch"] {
        for entry in std::fs::read_dir(place.path("plates").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let pgm = deep(&std::fs::read(&path).unwrap(), 10);
            std::fs::write(path.with_extension("pgm"), pgm).unwrap();
            std::fs::remove_file(path).unwrap();
        }
    }
    let refused = fit(&place, "no.segad", &[], 5);
    assert!(refused.contains("--depth"), "{refused}");
    let wrong = fit(&place, "no.segad", &["--depth", "window:9:3"], 3);
    assert!(wrong.contains("--depth = window:9:3: expected"), "{wrong}");
    fit(&place, "model.segad", &["--depth", "auto"], 0);
    let model = place.path("model.segad");
    let card = segad_product::Model::open(&model).unwrap().card().clone();
    assert_eq!(card.reading.depth, segad_imaging::Window::new(300, 2500));

    let images = place.path("images");
    std::fs::create_dir(&images).unwrap();
    std::fs::write(images.join("a.pgm"), deep(&plate(2, true), 10)).unwrap();
    std::fs::write(images.join("b.pgm"), deep(&plate(2, true), 11)).unwrap();
    std::fs::write(images.join("c.png"), plate(2, true)).unwrap();
    let paths = ["a.pgm", "b.pgm", "c.png"].map(|name| images.join(name));
    let mut command = place.segad(&["inspect", model.to_str().unwrap(), "--json"]);
    let run = command.args(&paths).output().unwrap();
    let records = lines(&run.stdout);
    assert_eq!((run.status.code(), records.len()), (Some(1), 3));
    assert!(records[0]["score"].is_number() && records[0].get("warnings").is_none());
    let clipped = records[1]["warnings"][0].as_str().unwrap();
    assert!(clipped.contains("outside window:300:2500"), "{clipped}");
    let error = records[2]["error"].as_str().unwrap();
    assert!(error.contains("8 bits per channel; expected 16"), "{error}");
}

#[test]
fn a_model_explains_itself_and_leaves_the_house() {
    let place = fitted();
    let (model, page) = (place.path("model.segad"), place.path("why.html"));
    let image = place.path("plates/bad/scratch/01.png");
    let [model, page, image] = [&model, &page, &image].map(|p| p.to_str().unwrap());
    expect(place.segad(&["explain", model, image, "--out", page]), 0);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("data:image/png;base64,") && html.contains("most similar good patches"));
    // Nothing is replaced unasked, and an input never.
    let again = ["explain", model, image, "--out", page];
    assert!(expect(place.segad(&again), 3).contains("--force"));
    expect(place.segad(&[&again[..], &["--force"]].concat()), 0);
    let before = std::fs::read(image).unwrap();
    for input in [image, model] {
        let over = ["explain", model, image, "--force", "--out", input];
        assert!(expect(place.segad(&over), 3).contains("is read"));
    }
    assert_eq!(std::fs::read(image).unwrap(), before);
    let out = place.path("export");
    expect(
        place.segad(&["export", model, "--out", out.to_str().unwrap()]),
        0,
    );
    for name in ["patchcore.pt", "card.json", "README.md", "segments.png"] {
        assert!(out.join(name).exists(), "{name}");
    }
    let strict = [
        "export",
        model,
        "--out",
        out.to_str().unwrap(),
        "--epsilon=-1",
        "--force",
    ];
    assert!(expect(place.segad(&strict), 6).contains("removed"));
    assert!(!out.join("patchcore.pt").exists());
    let bench = place
        .segad(&[
            "bench",
            model,
            "--seconds",
            "0.05",
            "--json",
            "--threads",
            "2",
        ])
        .output()
        .unwrap();
    let times = &lines(&bench.stdout)[0];
    assert!(
        times["load_s"].as_f64().unwrap() > 0.0
            && times["statistics_and_forest_ms"]["median"].is_number()
    );
}

#[test]
fn a_model_says_what_it_is() {
    let place = fitted();
    let model = place.path("model.segad");
    let model = model.to_str().unwrap();
    let text = printed(place.segad(&["info", model]));
    for part in [
        "Threshold",
        "Images: EXIF orientation applied",
        "Detector patchcore: ",
        "backbone = \"resnet18\"",
        "Score: ",
        "18 of 64×64 pixels",
        "schema 2, SHA-256 ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let told: serde_json::Value =
        serde_json::from_str(&printed(place.segad(&["info", model, "--json"]))).unwrap();
    let bytes = std::fs::read(model).unwrap();
    let file = &told["file"];
    assert_eq!(file["sha256"], segad_provision::digest::sha256(&bytes));
    assert_eq!(
        (file["schema"].as_u64(), file["bytes"].as_u64()),
        (Some(2), Some(bytes.len() as u64))
    );
    assert_eq!(told["card"]["data"]["bad"], 4);
    let sections = file["sections"].as_array().unwrap();
    assert!(
        sections
            .iter()
            .any(|s| s["name"] == "card.json" && s["bytes"].as_u64() > Some(1000))
    );
    assert!(expect(place.segad(&["info", "/nowhere.segad"]), 5).contains("/nowhere.segad"));
}

#[test]
fn what_is_fetched_is_known_and_needs_a_network() {
    let place = Place::bare();
    let unknown = expect(place.segad(&["fetch", "resnet81"]), 3);
    assert!(
        unknown.contains("<NAME> = resnet81: expected one of elpv"),
        "{unknown}"
    );
    let offline = expect(place.segad(&["fetch", "resnet18", "--offline"]), 5);
    assert!(offline.contains("resnet18 (not fetched)"), "{offline}");
    let two = ["fetch", "resnet18", "visa", "--from", "x"];
    assert!(expect(place.segad(&two), 2).contains("--from needs"));
    let gone = ["fetch", "resnet18", "--from", "/nowhere.pth"];
    assert!(expect(place.segad(&gone), 5).contains("/nowhere.pth"));
}

#[test]
fn what_cannot_be_is_said_with_its_exit_code() {
    let place = fitted();
    assert!(
        fit(&place, "x.segad", &["--max-miss", "0.01"], 3)
            .contains("more bad images of other pieces would suffice")
    );
    assert!(fit(&place, "x.segad", &["--segments", "nothing"], 3).contains("nothing"));
    assert!(!place.path("x.segad").exists());
    let model = place.path("model.segad");
    let mut bytes = std::fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = place.path("bad.segad");
    std::fs::write(&bad, bytes).unwrap();
    let image = place.path("plates/good/00.png");
    let args = ["inspect", bad.to_str().unwrap(), image.to_str().unwrap()];
    assert!(expect(place.segad(&args), 5).contains("digest"));
    let args = ["inspect", model.to_str().unwrap(), "/nowhere"];
    assert!(expect(place.segad(&args), 5).contains("no such file"));
    let empty = place.path("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let args = ["inspect", model.to_str().unwrap(), empty.to_str().unwrap()];
    expect(place.segad(&args), 4);
    // Six images of 16 patches are too few for a memory bank.
    for n in 0..2 {
        std::fs::remove_file(place.path(&format!("plates/good/{n:02}.png"))).unwrap();
    }
    let plates = place.path("plates");
    let mut command = place.segad(&["fit", plates.to_str().unwrap(), "--out", "x.segad"]);
    command.args([
        "--backbone",
        "resnet18",
        "--image-size",
        "32",
        "--folds",
        "2",
    ]);
    let message = expect(command, 5);
    let few = "96 patches of training images; expected at least 100";
    assert!(message.contains(few), "{message}");
    std::fs::remove_dir_all(place.path("plates/bad")).unwrap();
    assert!(fit(&place, "x.segad", &[], 5).contains("0 bad images"));
    assert!(
        expect(
            place.segad(&["fit", empty.to_str().unwrap(), "--out", "x"]),
            5
        )
        .contains("good/ and bad/")
    );
    expect(place.segad(&["fit", empty.to_str().unwrap()]), 2);
}

#[test]
fn found_segments_can_be_named() {
    let place = Place::new();
    product(&place.path("plates"));
    fit(&place, "model.segad", &["--head", "segad"], 0);
    let image = place.path("plates/bad/scratch/01.png");
    let paths = ["model.segad", "named.segad", "seen.png"].map(|file| place.path(file));
    let [model, named, drawn] = paths.each_ref().map(|path| path.to_str().unwrap());
    let image = image.to_str().unwrap();
    let segments = |model: &str| -> Vec<String> {
        let show = ["segments", "show", model, image, "--json", "--out", drawn];
        let report: serde_json::Value = serde_json::from_str(&printed(place.segad(&show))).unwrap();
        let segments = report["segments"].as_array().unwrap().iter();
        segments
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = segments(model);
    assert_eq!(before[..2], ["cluster 1", "cluster 2"]);
    let name = |renaming: &str| place.segad(&["segments", "name", model, renaming, "--out", named]);
    let said = printed(name("cluster 1=rim"));
    assert!(said.contains("segments rim, cluster 2"), "{said}");
    assert_eq!(
        (segments(named)[0].as_str(), &segments(named)[1..]),
        ("rim", &before[1..])
    );
    let judge = |model: &str| {
        let output = place.segad(&["inspect", model, image]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (old, new) = (judge(model), judge(named));
    assert!(old.contains("cluster 1"), "{old}");
    assert_eq!(
        old.replace("cluster 1", "rim"),
        new,
        "only the name changes"
    );
    for (renaming, text) in [
        ("cluster 99=rim", "cluster 99"),
        ("cluster 1=cluster 2", "appears twice"),
        ("cluster 1=a/b", "a name without '/'"),
        ("cluster 1", "expected OLD=NEW"),
    ] {
        let message = expect(name(renaming), 3);
        assert!(message.contains(text), "{message}");
    }
    fit(
        &place,
        "whole.segad",
        &["--head", "segad", "--segments", "whole"],
        0,
    );
    let whole = place.path("whole.segad");
    let whole = [
        "segments",
        "name",
        whole.to_str().unwrap(),
        "whole=x",
        "--out",
        named,
    ];
    assert!(expect(place.segad(&whole), 3).contains("found from the good images"));
}
